"""A batch of rows for one insert. `now` is an argument."""

from array import array
from collections.abc import Iterable, Sequence
from typing import Final, Protocol, Self

import msgspec

from sink.freshness import sample, thinned
from sink.protocol import Intent

FIRST_BYTES: Final = 1_000
"""Assumed size of a row in bytes while a batch is empty."""


class Record(Protocol):
    """The parts of a Kafka record that a batch needs."""

    offset: int
    timestamp: int
    value: bytes | None


class Limits(msgspec.Struct, frozen=True):
    """When a batch is due: rows, bytes, or seconds since its first row."""

    rows: int
    bytes: int
    age_s: float


class Batch:
    """Rows of consecutive records of one partition, in the order of their offsets.

    Rows are joined as they arrive: they take little more memory than their bytes, and are ready for the insert.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.rows: list[bytes] = []
        """Single rows: after `unpack`, or since a record arrived that is not a row."""
        self.offsets = array("q")
        self.timestamps = array("q")
        self.size = 0
        """Bytes of all rows."""
        self.since = 0.0
        self.oldest_ms = 2**63
        """Smallest Kafka timestamp (ms): the enricher moves hits with a new user agent to the end of its chunk."""
        self.received: list[tuple[float, int]] = []
        """(`received_at` in seconds, rows represented) of a sample of the rows; see `freshness.py`."""
        self._joined: list[bytes] = []
        self._cut = False

    def add(self, records: Iterable[Record], now: float) -> None:
        """Add records; the first ones start the batch's age. A record without a value is an empty row."""
        records = list(records)
        if not records:
            return
        if not self.offsets:
            self.since = now
        values = [record.value or b"" for record in records]
        joined = b"".join(values)
        if self.rows or malformed(values, joined):
            self.unpack().rows += values
        else:
            self._joined.append(joined)
        self.received = thinned(self.received + sample(values))
        self.offsets.extend([record.offset for record in records])
        timestamps = [record.timestamp for record in records]
        self.timestamps.extend(timestamps)
        self.oldest_ms = min(self.oldest_ms, *timestamps)
        self.size += len(joined)

    def room(self, most_bytes: int) -> int:
        """Return how many rows still fit, by the mean size of the rows so far; at least 1."""
        mean = self.size / len(self.offsets) if self.offsets else FIRST_BYTES
        by_size = int(min(most_bytes, self.limits.bytes - self.size) / max(1.0, mean))
        return max(1, min(self.limits.rows - len(self.offsets), by_size))

    def is_full(self) -> bool:
        """Return whether rows or bytes make the batch due, at any age."""
        return self._cut or len(self.offsets) >= self.limits.rows or self.size >= self.limits.bytes

    def cut(self) -> None:
        """Declare the batch full: there is no memory for more."""
        self._cut = True

    def wait_s(self, now: float) -> float:
        """Return the seconds until age makes the batch due; 0 when it is."""
        return max(0.0, self.since + self.limits.age_s - now)

    def is_due(self, now: float) -> bool:
        """Return whether the batch should be inserted now."""
        return bool(self.offsets) and (self.is_full() or self.wait_s(now) == 0.0)

    def intent(self) -> Intent:
        """Return the offsets that the insert of this batch covers."""
        return Intent(self.offsets[0], self.offsets[-1], self.timestamps[0])

    def pack(self) -> bytes | None:
        """Return the rows joined, in order, and drop the single ones; returns None if a record is not a row."""
        if self.rows:
            joined = b"".join(self.rows)
            if malformed(self.rows, joined):
                return None
            self._joined, self.rows = [joined], []
        elif len(self._joined) > 1:
            self._joined = [b"".join(self._joined)]
        return self._joined[0] if self._joined else b""

    def unpack(self) -> Self:
        """Split the joined rows into single ones again: each is a line."""
        if self._joined:
            self.rows = [row + b"\n" for part in self._joined for row in part.split(b"\n")[:-1]]
            self._joined = []
        return self


def is_row(record: bytes) -> bool:
    """Return whether the record is one line in brackets: the form of a row; its content is not read.

    Only such records can be joined into a body; anything else could change the meaning of its neighbours.
    """
    return record.startswith(b"[") and record.endswith(b"]\n") and record.find(b"\n") == len(record) - 1


def malformed(rows: Sequence[bytes], joined: bytes) -> list[int]:
    """Return the indexes of the records that are not rows; cheap if there are none (one scan).

    If there are none, each record is one line, so splitting `joined` at line feeds gives the same records again.
    """
    if joined[:1] == b"[" and joined.count(b"\n") == len(rows) and all(row[-2:] == b"]\n" for row in rows):
        return []
    return [index for index, row in enumerate(rows) if not is_row(row)]

"""A batch of rows on their way to one insert: pure, with `now` as an argument."""

from array import array
from collections.abc import Iterable, Sequence
from typing import Final, Protocol, Self

import msgspec

from sink.freshness import sample, thinned
from sink.protocol import Intent

FIRST_BYTES: Final = 1_000
"""A row's size, taken for the first rows of a batch."""


class Record(Protocol):
    """What a batch takes of a Kafka record."""

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

    Joined as they come, so that they take little more memory than their bytes, and are ready when their turn comes.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.rows: list[bytes] = []
        """Single rows: once taken apart, or since a record came that is no row."""
        self.offsets = array("q")
        self.timestamps = array("q")
        self.size = 0
        """Bytes of all rows."""
        self.since = 0.0
        self.oldest_ms = 2**63
        """Least of the timestamps: the enricher puts hits with a new user agent to the end of its chunk."""
        self.received: list[tuple[float, int]] = []
        """When some of the rows were received, and how many each of them stands for; see `freshness.py`."""
        self._joined: list[bytes] = []
        self._cut = False

    def add(self, records: Iterable[Record], now: float) -> None:
        """Take records; the first ones start the batch's clock. A record without a value is an empty row."""
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
        """Return how many rows still fit, by the mean size of those there are; at least 1."""
        mean = self.size / len(self.offsets) if self.offsets else FIRST_BYTES
        by_size = int(min(most_bytes, self.limits.bytes - self.size) / max(1.0, mean))
        return max(1, min(self.limits.rows - len(self.offsets), by_size))

    def is_full(self) -> bool:
        """Return whether rows or bytes make it due, whatever its age."""
        return self._cut or len(self.offsets) >= self.limits.rows or self.size >= self.limits.bytes

    def cut(self) -> None:
        """Make it full as it is: there is no memory for more."""
        self._cut = True

    def wait_s(self, now: float) -> float:
        """Return the seconds until age makes it due; 0 when it is."""
        return max(0.0, self.since + self.limits.age_s - now)

    def is_due(self, now: float) -> bool:
        """Return whether it should be inserted now."""
        return bool(self.offsets) and (self.is_full() or self.wait_s(now) == 0.0)

    def intent(self) -> Intent:
        """Return the offsets that its insert stands for."""
        return Intent(self.offsets[0], self.offsets[-1], self.timestamps[0])

    def pack(self) -> bytes | None:
        """Return the rows joined, as they came, and let go of the single ones; None where a record is no row."""
        if self.rows:
            joined = b"".join(self.rows)
            if malformed(self.rows, joined):
                return None
            self._joined, self.rows = [joined], []
        elif len(self._joined) > 1:
            self._joined = [b"".join(self._joined)]
        return self._joined[0] if self._joined else b""

    def unpack(self) -> Self:
        """Take the rows apart again: each is a line."""
        if self._joined:
            self.rows = [row + b"\n" for part in self._joined for row in part.split(b"\n")[:-1]]
            self._joined = []
        return self


def is_row(record: bytes) -> bool:
    """Return whether the record is one line with brackets around it: the form of a row, whatever is in it.

    Only such records can stand beside each other in a body; anything else could change what its neighbours mean.
    """
    return record.startswith(b"[") and record.endswith(b"]\n") and record.find(b"\n") == len(record) - 1


def malformed(rows: Sequence[bytes], joined: bytes) -> list[int]:
    """Return the indexes of the records that are not rows; cheap (a scan of `joined`, a look at ends) if there is none.

    Each then is one line, whose end is the record's: taken apart again they are the records they were, however they
    came together.
    """
    if joined[:1] == b"[" and joined.count(b"\n") == len(rows) and all(row[-2:] == b"]\n" for row in rows):
        return []
    return [index for index, row in enumerate(rows) if not is_row(row)]

"""A Kafka record batch (format 2) of values without keys, packed as a whole; made for `send_batch`.

Reason: a record appended to aiokafka's own batch costs three times what it costs here (compiled), and is copied once
more. What `send_batch` needs of a batch, `Batch` has. Format: Kafka's documentation, "Record Batch".
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64

from stage.aiokafka_internals import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from stage.record_batch import RecordBatch

Codec = tuple[int, Callable[[bytes], bytes]]
CODECS: Final[dict[str, Codec]] = {
    "none": (0, bytes),
    "gzip": (1, gzip_encode),
    "snappy": (2, snappy_encode),
    "lz4": (3, lz4_encode),
    "zstd": (4, partial(zstd_encode, level=1)),
}
"""By the setting's name: the number in a batch's attributes, and how to pack. Of zstd's levels the first: rows get no
smaller by the third, Kafka's default, which takes a quarter longer."""

_TRANSACTIONAL: Final = 1 << 4


def _size(number: i64) -> i64:
    """Return the bytes of a number as Kafka's zigzag varint."""
    left = (number << 1) ^ (number >> 63)
    size: i64 = 1
    while left > 127:
        left >>= 7
        size += 1
    return size


def write_varint(out: BytesWriter, number: i64) -> None:
    """Append a number, from -2^62 to 2^62 - 1, as Kafka's zigzag varint."""
    left = (number << 1) ^ (number >> 63)
    while left > 127:
        out.append(left & 127 | 128)
        left >>= 7
    out.append(left)


class Batch(RecordBatch):
    """A record batch of packed values."""

    def __init__(self, records: bytes, count: int, first: int, last: int, codec: str, *, transactional: bool) -> None:
        """Take the bytes of at least one record; `first` and `last` are timestamps, the first's and the greatest."""
        number, pack = CODECS[codec]
        super().__init__(number | (_TRANSACTIONAL if transactional else 0), pack(records), count, first, last)


class BatchWriter:
    """Values of one topic, each with its timestamp, written into batches as they come."""

    def __init__(self, codec: str, most_bytes: int, *, transactional: bool) -> None:
        """Make batches of at most `most_bytes` before packing; a longer record is a batch of its own."""
        self._codec: Final = codec
        self._most_bytes: Final[i64] = most_bytes
        self._transactional: Final = transactional
        self._batches: list[Batch] = []
        self._open = BytesWriter()
        """BatchWriter of the batch that is not full yet."""
        self._count: i64 = 0
        self._first: i64 = 0
        self._last: i64 = 0
        """Timestamps of the first of them, and the greatest."""
        self.count = 0
        """Of all batches."""

    def add(self, value: bytes, timestamp: int) -> None:
        """Take one more; timestamps are milliseconds since the epoch."""
        length: i64 = len(value)
        at: i64 = timestamp
        out = self._open
        if self._count == 0:
            self._first = self._last = at
        elif len(out) + length + _OVERHEAD > self._most_bytes:
            self._close()
            self._first = self._last = at
        elif at > self._last:
            self._last = at
        gap = at - self._first
        size = _size(gap) + _size(self._count) + _size(length) + length + _FIXED
        write_varint(out, size)
        out.append(0)  # attributes
        write_varint(out, gap)
        write_varint(out, self._count)
        out.append(1)  # no key
        write_varint(out, length)
        out.write(value)
        out.append(0)  # no headers
        self._count += 1
        self.count += 1

    def batches(self) -> list[Batch]:
        """Return all of them; nothing is added after."""
        if self._count:
            self._close()
        return self._batches

    def _close(self) -> None:
        records = self._open.getvalue()
        self._open.truncate(0)
        self._batches.append(
            Batch(records, self._count, self._first, self._last, self._codec, transactional=self._transactional)
        )
        self._count = 0


_FIXED: Final[i64] = len(b"\0" + b"\1" + b"\0")
"""Other bytes of a record: attributes, no key, no headers."""
_OVERHEAD: Final[i64] = 24
"""Bytes around a value, at most."""

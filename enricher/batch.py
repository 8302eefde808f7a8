"""Pure: a Kafka record batch (format 2) of values without keys, packed as a whole; made for `send_batch`.

Reason: a record appended to aiokafka's own batch costs three times what it costs here, and is copied once more. What
`send_batch` needs of a batch, `Batch` has. Format: Kafka's documentation, "Record Batch".
"""

import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate, chain, repeat
from typing import Final

from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from aiokafka.record.util import calc_crc32c

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
_HEAD: Final = struct.Struct(">qiiBI")
"""Base offset, length of what follows it, leader epoch, magic, CRC-32C of all after it."""
_BODY: Final = struct.Struct(">hiqqqhii")
"""Attributes, last offset delta, first and last timestamp, producer id, its epoch, base sequence, count."""


def varint(number: int) -> bytes:
    """Return a number as Kafka's zigzag varint."""
    left = number << 1 if number >= 0 else (-number << 1) - 1
    out = bytearray()
    while left > 127:
        out.append(left & 127 | 128)
        left >>= 7
    out.append(left)
    return bytes(out)


_VARINTS: Final = [varint(number) for number in range(1 << 13)]
"""Of the small numbers: 8,192 cover offsets in a batch, sizes of values, and most timestamps."""


def _varints(numbers: Sequence[int]) -> list[bytes]:
    """Return each as a varint."""
    if min(numbers) >= 0 and max(numbers) < len(_VARINTS):
        return list(map(_VARINTS.__getitem__, numbers))
    return list(map(varint, numbers))


def records(values: Sequence[bytes], timestamps: Sequence[int]) -> bytes:
    """Return the records' bytes: values with their timestamps, offsets from 0 up, without keys and headers.

    Part by part, and a part for all records: a third of the price of one record after another.
    """
    first = timestamps[0]
    lengths = list(map(len, values))
    gaps = _varints([timestamp - first for timestamp in timestamps])
    offsets = _varints(range(len(values)))
    sizes = _varints(lengths)
    bare = len(b"\0" + b"\1" + b"\0")
    wholes = _varints([
        bare + gap + offset + size + length
        for gap, offset, size, length in zip(map(len, gaps), map(len, offsets), map(len, sizes), lengths, strict=True)
    ])  # fmt: skip
    # Length; attributes; timestamp and offset, both as differences; no key; the value's size, and it; no headers.
    parts = zip(wholes, repeat(b"\0"), gaps, offsets, repeat(b"\1"), sizes, values, repeat(b"\0"), strict=False)
    return b"".join(chain.from_iterable(parts))


class Batch:
    """What `send_batch` takes, in the form of aiokafka's BatchBuilder: one batch, whole from the start."""

    def __init__(self, values: Sequence[bytes], timestamps: Sequence[int], codec: str, *, transactional: bool) -> None:
        """Take at least one value; timestamps are milliseconds since the epoch."""
        number, pack = CODECS[codec]
        self._attributes: Final = number | (_TRANSACTIONAL if transactional else 0)
        self._payload = pack(records(values, timestamps))
        self._count: Final = len(values)
        self._first: Final = timestamps[0]
        self._last: Final = max(timestamps)
        self._producer = (-1, -1, -1)
        self._buffer: bytearray | None = None

    def close(self) -> None:
        """Nothing can be added anyway."""

    def closed(self) -> bool:
        return True

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._producer = (producer_id, producer_epoch, base_sequence)

    def _build(self) -> bytearray:
        if self._buffer is None:
            body = _BODY.pack(self._attributes, self._count - 1, self._first, self._last, *self._producer, self._count)
            body += self._payload
            self._payload = b""
            head = _HEAD.pack(0, len(body) + 9, 0, 2, calc_crc32c(body))
            self._buffer = bytearray(head + body)
        return self._buffer

    def record_count(self) -> int:
        return self._count

    def size(self) -> int:
        return len(self._build())


class Records:
    """Values of one topic, each with its timestamp, on their way into batches."""

    def __init__(self) -> None:
        self.values: list[bytes] = []
        self.timestamps: list[int] = []

    def add(self, value: bytes, timestamp: int) -> None:
        """Take one more."""
        self.values.append(value)
        self.timestamps.append(timestamp)

    def add_all(self, values: Sequence[bytes], timestamps: Sequence[int]) -> None:
        """Take some more."""
        self.values += values
        self.timestamps += timestamps

    def batches(self, codec: str, most_bytes: int, *, transactional: bool) -> Iterator[Batch]:
        """Yield batches of at most `most_bytes` before packing; a longer record is a batch of its own."""
        held = list(accumulate(len(value) + _OVERHEAD for value in self.values))
        start = before = 0
        while start < len(held):
            end = max(start + 1, bisect_right(held, before + most_bytes, start))
            yield Batch(self.values[start:end], self.timestamps[start:end], codec, transactional=transactional)
            start, before = end, held[end - 1]


_OVERHEAD: Final = 24
"""Bytes around a value, at most."""

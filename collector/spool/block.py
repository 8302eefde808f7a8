"""A block: hits that are written together, as Kafka's records, encoded and compressed once for disk and Kafka.

The spool's bytes go to Kafka as they are. The records of a block carry their offsets in a batch from `first` on, so
consecutive blocks form a batch without further work. Small blocks stay uncompressed, since a small block alone hardly
shrinks: they are compressed together in memory (kafka/unsent_buffer.py), or when they are sent. Formats: Kafka's
"Record" (message format 2), LZ4's block.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import cramjam

LARGEST_PAYLOAD: Final = 900_000
"""Largest hit, in bytes: under the 1 MiB that a Kafka topic accepts by default."""
MOST_PLAIN_BYTES: Final = 256 << 10
"""Largest block before compression, in bytes; a single hit may be larger."""
_COMPRESSED_FROM: Final = 8 << 10


class Block(NamedTuple):
    """Consecutive hits."""

    first: int
    """Number of hits of the same batch before this block."""
    hits: int
    plain_bytes: int
    """Length of the records. `data` is shorter if it is compressed, else of the same length."""
    data: bytes


def varint(number: int) -> bytes:
    """Return a number of at least 0 as Kafka's zigzag varint."""
    left = number << 1
    out = bytearray()
    while left > 127:
        out.append(left & 127 | 128)
        left >>= 7
    out.append(left)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at index `at`, and the index after it."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number >> 1, at
        shift += 7


_deltas: Final[list[bytes]] = []
"""Encoded offset deltas from 0 up, as many as were needed so far."""
_frames: Final[dict[int, tuple[bytes, bytes]]] = {}
"""Bytes before and after the offset delta, by 4 * payload length + delta length."""
_MOST_FRAMES: Final = 1 << 14


def _frame(size: int, delta_bytes: int) -> tuple[bytes, bytes]:
    """Return the bytes before and after a record's offset delta, for a payload's size and the delta's length.

    Before: the record's length, attributes 0, timestamp delta 0. After: no key, the payload's length.
    """
    length = 2 + delta_bytes + 1 + len(varint(size)) + size + 1
    framed = varint(length) + b"\0\0", b"\1" + varint(size)
    if len(_frames) >= _MOST_FRAMES:
        _frames.clear()
    _frames[size << 2 | delta_bytes] = framed
    return framed


def _records(payloads: Sequence[bytes], first: int) -> bytes:
    """Return the records' bytes, offsets from `first` up, without keys or headers."""
    while len(_deltas) < first + len(payloads):
        _deltas.append(varint(len(_deltas)))
    parts: list[bytes] = []
    at = first
    for payload in payloads:
        delta = _deltas[at]
        at += 1
        size = len(payload)
        framed = _frames.get(size << 2 | len(delta))
        if framed is None:
            framed = _frame(size, len(delta))
        before, after = framed
        parts.append(before)
        parts.append(delta)
        parts.append(after)
        parts.append(payload)
        parts.append(b"\0")
    return b"".join(parts)


def compressed(plain: bytes) -> bytes:
    """Return an LZ4 block, or the bytes themselves if that is not shorter."""
    block = bytes(cramjam.lz4.compress_block(plain, store_size=False))
    return block if len(block) < len(plain) else plain


def pack(payloads: Sequence[bytes], first: int = 0) -> Block:
    """Return the block of at least one payload, each of 1 to LARGEST_PAYLOAD bytes."""
    plain = _records(payloads, first)
    data = plain if len(plain) < _COMPRESSED_FROM else compressed(plain)
    # Not `Block(...)`: a named tuple's own constructor is Python code, and this runs in each turn of the loop.
    return tuple.__new__(Block, (first, len(payloads), len(plain), data))


def grouped(payloads: Sequence[bytes]) -> list[Sequence[bytes]]:
    """Return the payloads in order, in one group a block."""
    if sum(map(len, payloads)) <= MOST_PLAIN_BYTES:
        return [payloads]
    groups: list[Sequence[bytes]] = []
    begin = size = 0
    for at, payload in enumerate(payloads):
        if size and size + len(payload) > MOST_PLAIN_BYTES:
            groups.append(payloads[begin:at])
            begin, size = at, 0
        size += len(payload)
    groups.append(payloads[begin:])
    return groups


def unpack(block: Block) -> list[bytes]:
    """Return the payloads.

    Raises:
        ValueError: `pack` did not make this block.
    """
    data = block.data
    found: list[bytes] = []
    at = 0
    try:
        if len(data) < block.plain_bytes:
            data = bytes(cramjam.lz4.decompress_block(data, output_len=block.plain_bytes))
        for _ in range(block.hits):
            length, at = _read_varint(data, at)
            start = _read_varint(data, at + 2)[1]
            size, start = _read_varint(data, start + 1)
            at += length
            if start + size + 1 != at or at > len(data):
                raise ValueError("a record's lengths contradict each other")
            found.append(data[start : start + size])
    except (IndexError, cramjam.DecompressionError) as problem:
        raise ValueError(f"not the records of {block.hits} hits: {problem}") from None
    if at != len(data):
        raise ValueError("more than the records")
    return found


def joined(blocks: Sequence[Block]) -> list[Block]:
    """Return blocks with the same hits, numbered from 0 without a gap, as one batch needs them."""
    out: list[Block] = []
    hits = 0
    for block in blocks:
        fits = block.first == hits
        out.append(block if fits else pack(unpack(block), hits))
        hits += block.hits
    return out

"""Pure: a block: hits that are written together, as Kafka's records, encoded and compressed once for disk and Kafka.

Rule: what lies in the spool is what goes to Kafka. A block's records carry their offsets in a batch from `first` on, so
blocks that follow each other make a batch without being touched again. Small blocks stay as they are, since alone
they would hardly shrink: they are compressed together in memory (recent.py), or when they are sent. Formats: Kafka's
"Record" (message format 2), LZ4's block.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import cramjam

LARGEST_PAYLOAD: Final = 900_000
"""Under the 1 MiB that a Kafka topic takes by default."""
MOST_PLAIN_BYTES: Final = 256 << 10
"""Of a block's records before compression, unless a single hit is larger."""
_COMPRESSED_FROM: Final = 8 << 10


class Block(NamedTuple):
    """Some hits, in order."""

    first: int
    """How many hits of its batch come before it."""
    hits: int
    plain_bytes: int
    """Length of the records. `data` is shorter where it is compressed, and else as long."""
    data: bytes


def varint(number: int) -> bytes:
    """Return a number from 0 up as Kafka's zigzag varint."""
    left = number << 1
    out = bytearray()
    while left > 127:
        out.append(left & 127 | 128)
        left >>= 7
    out.append(left)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at a place, and the place behind it."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number >> 1, at
        shift += 7


_deltas: Final[list[bytes]] = []
"""Offset deltas from 0 up, as far as they were needed."""
_frames: Final[dict[int, tuple[bytes, bytes]]] = {}
"""What stands around the offset delta, by four times the payload's length and the delta's own length."""
_MOST_FRAMES: Final = 1 << 14


def _frame(size: int, delta_bytes: int) -> tuple[bytes, bytes]:
    """Return what stands around the offset delta of a record, for a payload's size and the delta's own length.

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
    """Return an LZ4 block, or the bytes themselves where that is not shorter."""
    block = bytes(cramjam.lz4.compress_block(plain, store_size=False))
    return block if len(block) < len(plain) else plain


def pack(payloads: Sequence[bytes], first: int = 0) -> Block:
    """Return the block of at least one payload, each of 1 to LARGEST_PAYLOAD bytes."""
    plain = _records(payloads, first)
    data = plain if len(plain) < _COMPRESSED_FROM else compressed(plain)
    # Not `Block(...)`: a named tuple's own constructor is Python code, and this is done each turn of the loop.
    return tuple.__new__(Block, (first, len(payloads), len(plain), data))


def grouped(payloads: Sequence[bytes]) -> list[Sequence[bytes]]:
    """Return the payloads in order, in groups for a block each."""
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
        ValueError: it is not what `pack` made.
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
    """Return blocks with the same hits that follow each other from 0, as one batch needs it."""
    out: list[Block] = []
    hits = 0
    for block in blocks:
        fits = block.first == hits
        out.append(block if fits else pack(unpack(block), hits))
        hits += block.hits
    return out

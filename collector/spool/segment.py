"""The format of a spool segment: consecutive blocks, each with a magic number, a CRC and a header.

    MAGIC (4 bytes) | CRC-32 of the rest | length of the data | first | hits | plain_bytes | data

All numbers are u32, little endian; block.py explains them. After damage the reader searches for the next MAGIC, and the
CRC shows whether a block begins there.
"""

import struct
import zlib
from typing import Final, NamedTuple

from collector.spool.block import LARGEST_PAYLOAD, Block

MAGIC: Final = b"\xf5PH2"
_HEADER: Final = struct.Struct("<4sIIIII")
_NUMBERS: Final = struct.Struct("<IIII")
HEADER_BYTES: Final = _HEADER.size
_COVERED_FROM: Final = 8
"""First byte of a header that the CRC covers."""
LARGEST_DATA: Final = LARGEST_PAYLOAD + 1024


def frame(block: Block) -> bytes:
    """Return the block's bytes in a segment."""
    data = block.data
    numbers = _NUMBERS.pack(len(data), block.first, block.hits, block.plain_bytes)
    crc = zlib.crc32(data, zlib.crc32(numbers))
    return b"".join((MAGIC, crc.to_bytes(4, "little"), numbers, data))


class Scan(NamedTuple):
    """Contents of a piece of a segment."""

    blocks: list[Block]
    ends: list[int]
    """End of each block, counted from the piece's first byte."""
    read_to: int
    """Everything before is blocks or damage; the rest is the beginning of a block, or empty."""
    damage: list[tuple[int, int]]
    """Stretches [from, to) that are no block."""


def scan(piece: bytes, *, last: bool, most_bytes: int = 1 << 62) -> Scan:
    """Read the blocks of a piece that begins at a block, or anywhere after damage. Total.

    `last`: the segment ends with this piece, so an unfinished block at its end is damage, too. Stops after
    `most_bytes` of data.
    """
    blocks: list[Block] = []
    ends: list[int] = []
    damage: list[tuple[int, int]] = []
    at, size, taken = 0, len(piece), 0
    view = memoryview(piece)
    while at + HEADER_BYTES <= size and taken < most_bytes:
        magic, crc, length, first, hits, plain_bytes = _HEADER.unpack_from(piece, at)
        start = at + HEADER_BYTES
        end = start + length
        if magic == MAGIC and 0 < length <= LARGEST_DATA:
            if end <= size:
                if zlib.crc32(view[at + _COVERED_FROM : end]) == crc:
                    blocks.append(Block(first, hits, plain_bytes, piece[start:end]))
                    ends.append(end)
                    at = end
                    taken += length
                    continue
            elif not last:
                return Scan(blocks, ends, at, damage)
        after = piece.find(MAGIC, at + 1)
        if after < 0:
            # A MAGIC that is cut in two by the piece's end may still begin here.
            after = size if last else max(at + 1, size - len(MAGIC) + 1)
        if damage and damage[-1][1] == at:
            damage[-1] = (damage[-1][0], after)
        else:
            damage.append((at, after))
        at = after
    if last and taken < most_bytes and at < size:
        damage.append((at, size))
        at = size
    return Scan(blocks, ends, at, damage)

"""Pure: the form of a spool segment: blocks one after the other, each with a mark, a CRC, and what it holds.

    MAGIC (4 bytes) | CRC-32 of all that follows | length of the data | first | hits | plain_bytes | data

All numbers are u32, little endian; block.py says what they mean. Rule: after damage the next whole block is found by
looking for MAGIC, and its CRC tells whether it is one.
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
"""Where in a header the CRC begins to count."""
LARGEST_DATA: Final = LARGEST_PAYLOAD + 1024


def frame(block: Block) -> bytes:
    """Return the block as it stands in a segment."""
    data = block.data
    numbers = _NUMBERS.pack(len(data), block.first, block.hits, block.plain_bytes)
    crc = zlib.crc32(data, zlib.crc32(numbers))
    return b"".join((MAGIC, crc.to_bytes(4, "little"), numbers, data))


class Scan(NamedTuple):
    """What a piece of a segment holds."""

    blocks: list[Block]
    ends: list[int]
    """For each block, where it ends, counted from the piece's first byte."""
    read_to: int
    """Everything before is blocks or damage; what follows is the beginning of a block, or nothing."""
    damage: list[tuple[int, int]]
    """Stretches [from, to) that are no block."""


def scan(piece: bytes, *, last: bool, most_bytes: int = 1 << 62) -> Scan:
    """Read the blocks of a piece that begins at a block, or anywhere after damage.

    `last` says that nothing follows: an unfinished block at the end is then damage, too. Stops after `most_bytes` of
    data. Total: any bytes give a Scan.
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

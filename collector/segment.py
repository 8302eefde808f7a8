"""Pure: the form of a spool segment: records one after the other, each with a mark, its length and a CRC.

    record = MAGIC (4 bytes) | length (u32, little endian) | CRC-32 (u32) of the payload, seeded with length | payload

Rule: MAGIC begins with 0xF5, which no UTF-8 text contains, and a payload is UTF-8 text. So after damage the next whole
record is found by looking for MAGIC, and no payload can be taken for a record.
"""

import struct
import zlib
from collections.abc import Sequence
from typing import Final, NamedTuple

MAGIC: Final = b"\xf5PH1"
_HEADER: Final = struct.Struct("<4sII")
HEADER_BYTES: Final = _HEADER.size
LARGEST_PAYLOAD: Final = 900_000
"""Under the 1 MiB that a Kafka topic takes by default."""

_pack = _HEADER.pack
_unpack_from = _HEADER.unpack_from
_crc32 = zlib.crc32


def frame(payloads: Sequence[bytes]) -> bytes:
    """Return the records of these payloads, each of 1 to LARGEST_PAYLOAD bytes."""
    parts: list[bytes] = []
    add = parts.append
    for payload in payloads:
        length = len(payload)
        add(_pack(MAGIC, length, _crc32(payload, length)))
        add(payload)
    return b"".join(parts)


class Scan(NamedTuple):
    """What a piece of a segment holds."""

    payloads: list[bytes]
    ends: list[int]
    """For each payload, where its record ends, counted from the piece's first byte."""
    read_to: int
    """Everything before is payloads or damage; what follows is the beginning of a record, or nothing."""
    damage: list[tuple[int, int]]
    """Stretches [from, to) that are no record."""


def scan(piece: bytes, *, last: bool, most_bytes: int = 1 << 62) -> Scan:
    """Read the records of a piece that begins at a record, or anywhere after damage.

    `last` says that nothing follows: an unfinished record at the end is then damage, too. Stops after `most_bytes` of
    payload. Total: any bytes give a Scan.
    """
    payloads: list[bytes] = []
    ends: list[int] = []
    damage: list[tuple[int, int]] = []
    at, size, taken = 0, len(piece), 0
    while at + HEADER_BYTES <= size and taken < most_bytes:
        magic, length, crc = _unpack_from(piece, at)
        start = at + HEADER_BYTES
        end = start + length
        if magic == MAGIC and 0 < length <= LARGEST_PAYLOAD:
            if end <= size:
                payload = piece[start:end]
                if _crc32(payload, length) == crc:
                    payloads.append(payload)
                    ends.append(end)
                    at = end
                    taken += length
                    continue
            elif not last and piece.find(MAGIC, at + 1) < 0:
                return Scan(payloads, ends, at, damage)
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
    return Scan(payloads, ends, at, damage)

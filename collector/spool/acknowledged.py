"""The spool's mark: the position up to which Kafka has acknowledged, in a small file that a crash cannot garble.

The file has two slots, written alternately, each with a counter and a CRC. The valid slot with the higher counter
applies. A lost mark costs repeats, never hits.
"""

import errno
import os
import struct
import zlib
from pathlib import Path
from typing import Final, NamedTuple


class Position(NamedTuple):
    """A place between two records: segment number and byte in it."""

    segment: int
    offset: int


_SLOT: Final = struct.Struct("<4sQQQiqI")
_MAGIC: Final = b"PHMK"


class Mark:
    """The file, open for writing."""

    def __init__(self, path: Path) -> None:
        """Open or create the file and read it.

        Raises:
            OSError: it cannot be opened or read.
        """
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self.position = Position(0, 0)
        self.partition = -1
        """Partition of the last acknowledged batch, -1 before the first."""
        self.offset = -1
        """Kafka's offset of the last acknowledged batch in it."""
        self._count = 0
        try:
            text = os.pread(self._fd, 2 * _SLOT.size, 0)
        except OSError as problem:
            if problem.errno != errno.EIO:
                os.close(self._fd)
                raise
            text = b""  # a bad sector; the next mark overwrites it
        for slot in _slots(text):
            if slot[0] > self._count:
                self._count, segment, offset, self.partition, self.offset = slot
                self.position = Position(segment, offset)

    def move(self, position: Position, partition: int, offset: int) -> None:
        """Write the mark.

        Raises:
            OSError: the disk refuses; the mark in memory has moved nevertheless.
        """
        self.position, self.partition, self.offset = position, partition, offset
        self._count += 1
        body = _SLOT.pack(_MAGIC, self._count, *position, partition, offset, 0)[:-4]
        os.pwrite(self._fd, body + zlib.crc32(body).to_bytes(4, "little"), self._count % 2 * _SLOT.size)

    def close(self) -> None:
        os.close(self._fd)


def _slots(text: bytes) -> list[tuple[int, int, int, int, int]]:
    found = []
    for start in (0, _SLOT.size):
        slot = text[start : start + _SLOT.size]
        if len(slot) == _SLOT.size:
            magic, count, segment, offset, partition, kafka_offset, crc = _SLOT.unpack(slot)
            if magic == _MAGIC and crc == zlib.crc32(slot[:-4]):
                found.append((count, segment, offset, partition, kafka_offset))
    return found


def read(path: Path) -> Position:
    """Return a mark's position without opening it for writing; (0, 0) without a valid one."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return Position(0, 0)
    return max(((count, Position(seg, off)) for count, seg, off, *_ in _slots(text)), default=(0, Position(0, 0)))[1]

"""Read blocks back from the segments of one spool folder, past damage and past sectors that the disk cannot read."""

import errno
import os
from collections.abc import Callable
from typing import Final

from collector.spool import disk
from collector.spool.acknowledged import Position
from collector.spool.inventory import Chunk, Inventory
from collector.spool.quarantine import Quarantine
from collector.spool.segment import HEADER_BYTES, LARGEST_DATA, Scan, scan

READ_BYTES: Final = 512 << 10
"""Default size of one read."""
_READ_AHEAD_BYTES: Final = 64 << 10
_MOST_UNREADABLE: Final = 64
"""Unreadable sectors in a row after which one `read` gives up: a disk that is gone may come back."""


class SegmentReader:
    """Reads segments, counts damage once, and copies damaged bytes to the quarantine."""

    def __init__(self, inventory: Inventory, quarantine: Quarantine, retire: Callable[[], None]) -> None:
        """`retire` closes the live segment to appends."""
        self._inventory: Final = inventory
        self._retire: Final = retire
        self._quarantine: Final = quarantine
        self._fd = -1
        self._number = 0
        self._damage_seen_to = Position(0, 0)
        self._unreadable: dict[Position, int] = {}
        self.damaged_bytes = 0
        self.damaged_stretches = 0

    def read(self, start: Position, most_bytes: int = READ_BYTES) -> list[Chunk]:
        """Return the next blocks of one batch from `start`, or an empty list where nothing is written yet.

        Skips damage, unreadable sectors, and segments that somebody removed.

        Raises:
            OSError: the disk reads nothing for a long stretch; the next call continues further on.
        """
        number, offset = start
        sizes = self._inventory.sizes
        ahead = most_bytes + _READ_AHEAD_BYTES
        bad_from = bad_to = Position(0, 0)
        sectors = 0
        while True:
            known = sorted(n for n in sizes if n >= number)
            if not known:
                return []
            if known[0] > number:
                number, offset = known[0], 0
            size = sizes[number]
            if offset >= size:
                if number >= self._inventory.live:
                    return []
                number, offset = number + 1, 0
                continue
            try:
                piece, cut = disk.pread(self._open(number), min(size - offset, ahead), offset)
            except FileNotFoundError:
                self._count_damage(number, offset, size)
                self._forget(number)
                continue
            if cut and not piece:
                if (number, offset) != bad_to:
                    bad_from, sectors = Position(number, offset), 0
                further = self._unreadable.get(Position(number, offset), 0)
                if not further:
                    sectors += 1
                after = min(further or (offset // disk.SECTOR_BYTES + 1) * disk.SECTOR_BYTES, size)
                self._count_damage(number, offset, after)
                offset = after
                bad_to = Position(number, offset)
                if sectors >= _MOST_UNREADABLE:
                    self._unreadable[bad_from] = offset
                    raise OSError(errno.EIO, f"segment {number} cannot be read before byte {offset}")
                continue
            whole = cut or offset + len(piece) >= size
            seen = scan(piece, last=whole, most_bytes=most_bytes)
            for damaged_from, damaged_to in seen.damage:
                self._count_damage(number, offset + damaged_from, offset + damaged_to, piece[damaged_from:damaged_to])
            if not piece:
                # The file is shorter than it was: somebody cut it, and it holds nothing more.
                offset = size
                continue
            if not (seen.blocks or whole or seen.damage):
                ahead = HEADER_BYTES + LARGEST_DATA  # one block that is longer than the first look
                continue
            if seen.blocks:
                return _one_batch(number, offset, seen)
            offset += max(seen.read_to, 1)

    def nothing_between(self, start: Position, end: Position) -> bool:
        """Return whether no hit lies between the two places."""
        sizes = self._inventory.sizes
        if start.segment == end.segment:
            return start.offset >= end.offset
        return (
            end.offset == 0
            and start.offset >= sizes.get(start.segment, 0)
            and not any(start.segment < number < end.segment for number in sizes)
        )

    def set_aside(self, block_at: Position, number: int, payload: bytes) -> None:
        """Put a hit that Kafka refuses, the `number`th of its block, into the quarantine."""
        self.damaged_bytes += len(payload)
        self.damaged_stretches += 1
        self._keep(block_at.segment, f"{block_at.offset}-{number}", payload)

    def close(self, number: int = 0) -> None:
        """Close the open segment; with a `number`, only if it is that segment."""
        if self._fd >= 0 and number in (0, self._number):
            os.close(self._fd)
            self._fd, self._number = -1, 0

    def _open(self, number: int) -> int:
        if self._number != number:
            self.close()
            self._fd = os.open(self._inventory.paths[number], os.O_RDONLY | os.O_CLOEXEC)
            self._number = number
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        return self._fd

    def _forget(self, number: int) -> None:
        """Skip a segment that somebody removed."""
        if number == self._inventory.live:
            self._retire()  # the next hit would have no name on the disk
        self.close(number)
        self._inventory.remove(number)

    def _count_damage(self, number: int, start: int, end: int, content: bytes = b"") -> None:
        """Count bytes that are no block and keep them; once, though each new producer reads them again."""
        seen = self._damage_seen_to
        if Position(number, end) <= seen:
            return
        if Position(number, start) > seen:
            self.damaged_stretches += 1
        elif number == seen.segment:
            content = content[seen.offset - start :]
            start = seen.offset
        self._damage_seen_to = Position(number, end)
        self.damaged_bytes += end - start
        if content.strip(b"\0"):
            self._keep(number, str(start), content)

    def _keep(self, number: int, place: str, content: bytes) -> None:
        try:
            self._quarantine.keep(f"{number:012}-{place}.bin", content)
        except OSError as problem:
            self._inventory.trouble = disk.name_of(problem)


def _one_batch(number: int, offset: int, seen: Scan) -> list[Chunk]:
    """Return the blocks of a scan up to the first that begins another batch; the scan began at `offset`."""
    chunks: list[Chunk] = []
    start = Position(number, offset)
    for block, block_end in zip(seen.blocks, seen.ends, strict=True):
        if chunks and not block.first:
            break
        end = Position(number, offset + block_end)
        chunks.append(Chunk(start, end, block))
        start = end
    return chunks

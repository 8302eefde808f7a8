"""Write blocks to the live segment of one spool folder, and put them on the disk.

A segment is appended to only by the process that created it. After a start the first block begins a new segment.
"""

import os
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

from collector.spool import disk
from collector.spool.acknowledged import Position
from collector.spool.block import Block, grouped, pack
from collector.spool.inventory import Chunk, Inventory, Limits
from collector.spool.segment import frame

Fsync = Literal["always", "interval", "never"]


class SpoolRefused(Exception):
    """The spool cannot take hits now. `why` is one of: full, floor, fsync, oversized, or an errno's name."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class _OpenBatch(NamedTuple):
    """Contents of the Kafka batch that the next block continues."""

    hits: int
    plain_bytes: int
    bytes: int


_EMPTY_BATCH: Final = _OpenBatch(0, 0, 0)


class SegmentWriter:
    """Appends to the live segment. `sync` may run in one other thread, everything else in the event loop's."""

    def __init__(
        self,
        folder: Path,
        directory: int,
        inventory: Inventory,
        limits: Limits,
        now: Callable[[], float],
        make_room: Callable[[], None],
    ) -> None:
        """`directory` is the folder's open descriptor. `make_room` deletes acknowledged segments of a full spool."""
        self._folder: Final = folder
        self._directory: Final = directory
        self._inventory: Final = inventory
        self._limits: Final = limits
        self._now: Final = now
        self._make_room: Final = make_room
        self._fd = -1
        self._begun_at = 0.0
        self._batch = _EMPTY_BATCH
        self._retired: deque[int] = deque()
        self._unsynced: deque[Path] = deque()
        self._names_dirty = False
        self.dirty = False
        """Bytes are written that `sync` has not yet put on the disk."""
        self.sync_failed = False
        """The last sync failed; the spool refuses hits until a sync of a probe file works."""
        self.room = 1 << 62
        """Bytes that may still be written before the disk has too little free space."""

    def append(self, payloads: Sequence[bytes]) -> list[Chunk]:
        """Write at least one hit, all with one write. After the return a kill -9 does not lose them.

        Raises:
            SpoolRefused: none of the hits was kept.
        """
        blocks = [self._next_block(group) for group in grouped(payloads)]
        framed = [frame(block) for block in blocks]
        try:
            start = self._append(b"".join(framed) if len(framed) > 1 else framed[0])
        except SpoolRefused:
            self.cut()
            raise
        chunks = []
        for block, data in zip(blocks, framed, strict=True):
            end = tuple.__new__(Position, (start.segment, start.offset + len(data)))
            chunks.append(tuple.__new__(Chunk, (start, end, block)))
            start = end
        return chunks

    def cut(self) -> None:
        """Make the next block begin a new Kafka batch."""
        self._batch = _EMPTY_BATCH

    def _next_block(self, payloads: Sequence[bytes]) -> Block:
        hits, plain_bytes, size = self._batch
        block = pack(payloads, hits)
        if hits and (
            size + len(block.data) > self._limits.batch_bytes
            or plain_bytes + block.plain_bytes > self._limits.batch_plain_bytes
        ):
            hits = plain_bytes = size = 0
            block = pack(payloads)
        batch = (hits + block.hits, plain_bytes + block.plain_bytes, size + len(block.data))
        self._batch = tuple.__new__(_OpenBatch, batch)
        return block

    def _append(self, data: bytes) -> Position:
        """Write to the live segment; return the place of the first byte."""
        inventory = self._inventory
        size = len(data)
        if inventory.disk_bytes + size > self._limits.most_bytes:
            self._make_room()
            if inventory.disk_bytes + size > self._limits.most_bytes:
                raise self._refusal("full")
        if size > self.room:
            raise self._refusal("fsync" if self.sync_failed else "floor")
        try:
            if self._fd < 0:
                self._begin()
            self._write(data)
        except OSError as problem:
            raise self._refusal(disk.name_of(problem)) from problem
        self.room -= size
        self.dirty = True
        inventory.trouble = ""
        at = tuple.__new__(Position, (inventory.live, inventory.sizes[inventory.live]))
        inventory.sizes[inventory.live] = at.offset + size
        if at.offset + size >= self._limits.segment_bytes:
            self.retire()
        return at

    def _refusal(self, why: str) -> SpoolRefused:
        self._inventory.trouble = why
        return SpoolRefused(why)

    def _begin(self) -> None:
        number = self._inventory.live
        path = self._folder / disk.segment_name(number)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._inventory.add(number, path, 0)
        self._begun_at = self._now()
        self._names_dirty = True

    def _write(self, data: bytes) -> None:
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:] if written else data)
        except OSError:
            if written:
                try:
                    os.ftruncate(self._fd, self._inventory.sizes[self._inventory.live])
                except OSError:
                    # The half-written block stays as damage at this segment's end. The next block goes elsewhere.
                    self.retire()
            raise

    def retire(self) -> None:
        """Close the live segment to appends; the next block begins a new one."""
        if self._fd >= 0:
            self._retired.append(self._fd)
            self._fd = -1
            self._inventory.live += 1

    def retire_old(self) -> None:
        """Retire a live segment that is older than the limit."""
        size = self._inventory.sizes.get(self._inventory.live, 0)
        if self._fd >= 0 and size and self._now() - self._begun_at >= self._limits.segment_s:
            self.retire()

    def must_sync(self, paths: Sequence[Path]) -> None:
        """Have the next `sync` also put these files, and their names, on the disk."""
        self._unsynced.extend(paths)
        if paths:
            self.dirty = self._names_dirty = True

    def sync(self) -> None:
        """Put everything written before the call on the disk.

        Raises:
            OSError: the disk failed; `sync_failed` is set and `dirty` stays set.
        """
        self.dirty = False
        failed: OSError | None = None
        # The event loop may retire the live segment at any moment, and a hit may begin a new one. So the order is: the
        # live segment first, then the retired ones, then the names.
        live = self._fd
        if live >= 0:
            failed = disk.synced(live) or failed
        while self._retired:
            fd = self._retired.popleft()
            failed = disk.synced(fd) or failed
            os.close(fd)
        while self._unsynced:
            failed = disk.synced_file(self._unsynced.popleft()) or failed
        if self._names_dirty:
            self._names_dirty = False
            try:
                os.fsync(self._directory)
            except OSError as problem:
                self._names_dirty = True
                failed = problem
        if failed is not None:
            self.sync_failed = self.dirty = True
            raise failed

    def release_unsynced(self) -> None:
        """Close retired segments without a sync (`fsync` never)."""
        while self._retired:
            os.close(self._retired.popleft())
        self._unsynced.clear()

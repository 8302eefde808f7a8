"""The spool: accepted hits on this host's disk until Kafka has them. One folder a worker, written by one process.

    FOLDER/lock             held (flock) by the worker that owns the folder
    FOLDER/mark             up to where Kafka has acknowledged (mark.py)
    FOLDER/NNNNNNNNNNNN.seg segments (segment.py), numbered upwards, never written again once a later one exists
    FOLDER/damage/          bytes that were no block, and hits that Kafka refused, by segment and offset (damage.py)
    FOLDER/probe            for a moment, while the disk is in trouble: tells whether it can be written again

Rule: a segment is only appended to by the process that made it; after a start the first hit begins a new one. Over 250
lines: writing, reading back and letting go share one account of what lies on the disk, and belong together.
"""

import errno
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

from collector.spool import disk
from collector.spool.acknowledged import Mark, Position
from collector.spool.block import Block, grouped, pack
from collector.spool.quarantine import Damage
from collector.spool.segment import HEADER_BYTES, LARGEST_DATA, Scan, frame, scan

_READ_BYTES: Final = 512 << 10
_READ_AHEAD_BYTES: Final = 64 << 10
_MOST_UNREADABLE: Final = 64
"""Sectors in a row that one `read` gives up: a disk that is gone altogether may come back."""


class SpoolRefused(Exception):
    """The spool cannot take hits now. `why` is short and closed: full, floor, fsync, or the errno's name."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Chunk(NamedTuple):
    """A block, and where it lies."""

    start: Position
    end: Position
    block: Block


class Limits(NamedTuple):
    """What a worker's spool may use."""

    most_bytes: int
    free_bytes: int = 0
    segment_bytes: int = 64 << 20
    segment_s: float = 300
    keep_s: float = 0
    batch_bytes: int = 256 << 10
    """Of the blocks that are numbered as one batch to Kafka, unless a single one is larger."""
    batch_plain_bytes: int = 4 << 20
    """The same before compression: a reader of the batch has to hold them."""


class _Batch(NamedTuple):
    """What the blocks that the next one goes on with have in them."""

    hits: int
    plain_bytes: int
    bytes: int


_NEW_BATCH: Final = _Batch(0, 0, 0)


class Found(NamedTuple):
    """What opening a spool found."""

    segments: int
    unsent_bytes: int
    torn_bytes: int


class Spool:
    """One worker's spool. `sync` and `sweep` may run in one other thread, everything else in the owner's."""

    def __init__(self, folder: Path, limits: Limits, now: Callable[[], float] = time.time) -> None:
        """Lock the folder, cut a torn tail, take stock.

        Raises:
            Busy: another process owns the folder.
            OSError: the folder cannot be made, read or written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder: Final = folder
        self._limits: Final = limits._replace(
            segment_bytes=max(4096, min(limits.segment_bytes, limits.most_bytes // 8))
        )
        self._now: Final = now
        self._lock = disk.lock(folder)
        self._directory = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        self._sizes: dict[int, int] = {}
        self._paths: dict[int, Path] = {}
        torn = 0
        try:
            self._mark = Mark(folder / "mark")
            try:
                self._paths = disk.segments_in(folder)
                if self._paths:
                    torn = disk.cut_torn_tail(self._paths[max(self._paths)])
                for number, path in self._paths.items():
                    self._sizes[number] = path.stat().st_size
            except OSError:
                self._mark.close()
                raise
        except OSError:
            os.close(self._directory)
            os.close(self._lock)  # else the next try, in this very process, would find the folder taken
            raise
        self._fd = -1
        self._live = max([self._mark.position.segment, *self._paths]) + 1
        self._begun_at = 0.0
        self._reader = -1
        self._reading = 0
        self._retired: deque[int] = deque()
        self._trash: deque[Path] = deque()
        # The process before may have gone without syncing what it wrote, or the cut of its tail.
        self._unsynced: deque[Path] = deque(self._paths.values())
        self._dirty = self._names_dirty = bool(self._paths)
        self._sync_failed = False
        self._room = 1 << 62
        self._batch = _NEW_BATCH
        self.acknowledged_bytes = 0
        """What the mark has passed since the start; a second time counts again."""
        self.damaged_bytes = 0
        self.damaged_stretches = 0
        self._damage = Damage(folder / "damage", limits.most_bytes // 16)
        self._damage_seen_to = Position(0, 0)
        self._unreadable: dict[Position, int] = {}
        self.trouble = ""
        """Why hits are refused, or would be; `tick` and `sweep` find out when it is over."""
        self.sweep()
        self._let_go()
        self.found: Final = Found(len(self._sizes), self.unsent_bytes, torn)

    # What lies there.

    @property
    def end(self) -> Position:
        """Where the next hit will stand."""
        return Position(self._live, self._sizes.get(self._live, 0))

    @property
    def mark(self) -> Position:
        """Up to where Kafka has acknowledged."""
        return self._mark.position

    @property
    def last_acknowledged(self) -> tuple[int, int]:
        """Partition and offset of the last acknowledged batch; -1 and -1 before the first."""
        return self._mark.partition, self._mark.offset

    @property
    def disk_bytes(self) -> int:
        """On disk, with what is kept."""
        return sum(self._sizes.values())

    @property
    def unsent_bytes(self) -> int:
        segment, offset = self._mark.position
        unsent = sum(size for number, size in self._sizes.items() if number >= segment)
        return max(0, unsent - min(offset, self._sizes.get(segment, 0)))

    @property
    def oldest_unsent_at(self) -> float | None:
        """When the oldest segment with unsent hits was last written, in epoch seconds."""
        for number in sorted(self._sizes):
            if not self._acknowledged(number) and self._sizes[number]:
                try:
                    return self._paths[number].stat().st_mtime
                except OSError:
                    return None
        return None

    # Writing.

    def append(self, payloads: Sequence[bytes]) -> list[Chunk]:
        """Write the hits, at least one, with one write; when this returns, a kill -9 does not lose them.

        Raises:
            SpoolRefused: nothing of it was kept.
        """
        blocks = [self._next_block(group) for group in grouped(payloads)]
        framed = [frame(block) for block in blocks]
        try:
            start = self._append(b"".join(framed) if len(framed) > 1 else framed[0])
        except SpoolRefused:
            self.cut()
            raise
        chunks = []
        for block, text in zip(blocks, framed, strict=True):
            end = tuple.__new__(Position, (start.segment, start.offset + len(text)))
            chunks.append(tuple.__new__(Chunk, (start, end, block)))
            start = end
        return chunks

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
        self._batch = tuple.__new__(_Batch, batch)
        return block

    def cut(self) -> None:
        """Have the next block begin a new batch."""
        self._batch = _NEW_BATCH

    def _append(self, data: bytes) -> Position:
        """Write to the live segment; return where it stands."""
        size = len(data)
        if self.disk_bytes + size > self._limits.most_bytes:
            self._let_go(crowded=True)
            if self.disk_bytes + size > self._limits.most_bytes:
                raise self._refuse("full")
        if size > self._room:
            raise self._refuse("fsync" if self._sync_failed else "floor")
        try:
            if self._fd < 0:
                self._begin()
            self._write(data)
        except OSError as problem:
            raise self._refuse(disk.name_of(problem)) from problem
        self._room -= size
        self._dirty = True
        self.trouble = ""
        at = tuple.__new__(Position, (self._live, self._sizes[self._live]))
        self._sizes[self._live] = at.offset + size
        if at.offset + size >= self._limits.segment_bytes:
            self._retire()
        return at

    def _refuse(self, why: str) -> SpoolRefused:
        self.trouble = why
        return SpoolRefused(why)

    def _begin(self) -> None:
        path = self.folder / disk.segment_name(self._live)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._paths[self._live] = path
        self._sizes[self._live] = 0
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
                    os.ftruncate(self._fd, self._sizes[self._live])
                except OSError:
                    # The half-written block stays as damage at this segment's end; what follows goes into another.
                    self._retire()
            raise

    def _retire(self) -> None:
        """Close the live segment to appends."""
        if self._fd >= 0:
            self._retired.append(self._fd)
            self._fd = -1
            self._live += 1

    # Disk.

    @property
    def dirty(self) -> bool:
        """Something is written that `sync` has not yet put on the disk."""
        return self._dirty

    def sync(self) -> None:
        """Put everything written before the call on the disk.

        Raises:
            OSError: the disk failed. From the next `tick` on hits are refused, until a sync works again; those after
                that go into another segment.
        """
        self._dirty = False
        failed: OSError | None = None
        # A tick may retire the live segment at any moment, and a hit begin a new one. Hence this order: what is live is
        # looked at before what was retired, and both before the names.
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
            self._sync_failed = self._dirty = True
            raise failed

    def sweep(self) -> None:
        """Unlink what was let go, look at the free space and at a disk in trouble.

        Call it about once a second; it may wait for the disk.
        """
        before = self.trouble
        self._empty_trash()
        if before not in ("", "full", "floor"):
            why = disk.probed(self.folder / "probe")
            if not why and before == "fsync":
                self._sync_failed = False
            if self.trouble == before and not (why and before == "fsync"):
                self.trouble = why
        try:
            room = os.statvfs(self.folder)
        except OSError as problem:
            self.trouble = disk.name_of(problem)
            return
        self._room = -1 if self._sync_failed else room.f_bavail * room.f_frsize - self._limits.free_bytes

    def _empty_trash(self) -> None:
        for _ in range(len(self._trash)):
            path = self._trash.popleft()
            try:
                path.unlink(missing_ok=True)
            except OSError as problem:
                self._trash.append(path)
                self.trouble = disk.name_of(problem)

    def release_unsynced(self) -> None:
        """Close retired segments without syncing them (`fsync` never)."""
        while self._retired:
            os.close(self._retired.popleft())
        self._unsynced.clear()

    def tick(self) -> None:
        """Retire a live segment that is old or could not be synced, let go what was kept long enough, see what is over.

        Call it about once a second, and when `sync` fails.
        """
        if self._sync_failed:
            # What the disk says of these pages from now on is not to be believed (the system forgets a failed write).
            self._retire()
            self._room = -1
            self.trouble = "fsync"
        if self._fd >= 0 and self._sizes[self._live] and self._now() - self._begun_at >= self._limits.segment_s:
            self._retire()
        self._let_go(crowded=self.trouble == "full")
        enough = min(self._limits.segment_bytes, 1 << 20)
        if (self.trouble == "full" and self.disk_bytes + enough <= self._limits.most_bytes) or (
            self.trouble == "floor" and self._room >= enough
        ):
            self.trouble = ""

    # Reading back.

    def read(self, start: Position, most_bytes: int = _READ_BYTES) -> list[Chunk]:
        """Return the next blocks of one batch from `start`, none where there are none yet.

        Steps over damage, over sectors that cannot be read, and over segments that somebody removed.

        Raises:
            OSError: the disk reads nothing for a long stretch; the next call looks further on.
        """
        number, offset = start
        ahead = most_bytes + _READ_AHEAD_BYTES
        bad_from = bad_to = Position(0, 0)
        sectors = 0
        while True:
            known = sorted(n for n in self._sizes if n >= number)
            if not known:
                return []
            if known[0] > number:
                number, offset = known[0], 0
            size = self._sizes[number]
            if offset >= size:
                if number >= self._live:
                    return []
                number, offset = number + 1, 0
                continue
            try:
                piece, cut = disk.pread(self._open(number), min(size - offset, ahead), offset)
            except FileNotFoundError:
                self._damaged(number, offset, size)
                self._forget(number)
                continue
            if cut and not piece:
                if (number, offset) != bad_to:
                    bad_from, sectors = Position(number, offset), 0
                further = self._unreadable.get(Position(number, offset), 0)
                if not further:
                    sectors += 1
                after = min(further or (offset // disk.SECTOR_BYTES + 1) * disk.SECTOR_BYTES, size)
                self._damaged(number, offset, after)
                offset = after
                bad_to = Position(number, offset)
                if sectors >= _MOST_UNREADABLE:
                    self._unreadable[bad_from] = offset
                    raise OSError(errno.EIO, f"segment {number} cannot be read before byte {offset}")
                continue
            whole = cut or offset + len(piece) >= size
            seen = scan(piece, last=whole, most_bytes=most_bytes)
            for damaged_from, damaged_to in seen.damage:
                self._damaged(number, offset + damaged_from, offset + damaged_to, piece[damaged_from:damaged_to])
            if not piece:
                # The file is shorter than it was: cut by somebody else, and nothing more to be had from it.
                offset = size
                continue
            if not (seen.blocks or whole or seen.damage):
                ahead = HEADER_BYTES + LARGEST_DATA  # one block longer than was looked at
                continue
            if seen.blocks:
                return _of_one_batch(number, offset, seen)
            offset += max(seen.read_to, 1)

    def nothing_between(self, start: Position, end: Position) -> bool:
        """Tell whether no hit lies between the two places."""
        if start.segment == end.segment:
            return start.offset >= end.offset
        return (
            end.offset == 0
            and start.offset >= self._sizes.get(start.segment, 0)
            and not any(start.segment < number < end.segment for number in self._sizes)
        )

    def set_aside(self, block_at: Position, number: int, payload: bytes) -> None:
        """Put a hit that Kafka will not take, the block's `number`th, into the damage folder."""
        self.damaged_bytes += len(payload)
        self.damaged_stretches += 1
        self._set_aside(block_at.segment, f"{block_at.offset}-{number}", payload)

    def _open(self, number: int) -> int:
        if self._reading != number:
            self._close_reader()
            self._reader = os.open(self._paths[number], os.O_RDONLY | os.O_CLOEXEC)
            self._reading = number
            os.posix_fadvise(self._reader, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        return self._reader

    def _close_reader(self) -> None:
        if self._reader >= 0:
            os.close(self._reader)
        self._reader, self._reading = -1, 0

    def _forget(self, number: int) -> None:
        """Leave a segment that somebody removed."""
        if number == self._live:
            self._retire()  # what came next would have no name either
        if number == self._reading:
            self._close_reader()
        del self._sizes[number], self._paths[number]

    def _damaged(self, number: int, start: int, end: int, content: bytes = b"") -> None:
        """Count what is no block and set it aside; once, though each new producer reads it again."""
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
            self._set_aside(number, str(start), content)

    def _set_aside(self, number: int, place: str, content: bytes) -> None:
        try:
            self._damage.keep(f"{number:012}-{place}.bin", content)
        except OSError as problem:
            self.trouble = disk.name_of(problem)

    @property
    def dropped_damage_bytes(self) -> int:
        """What the damage folder had no room for."""
        return self._damage.dropped_bytes

    # Letting go.

    def acknowledge(self, position: Position, partition: int = -1, offset: int = -1) -> None:
        """Kafka has everything before `position`; the mark moves, whole segments before it are let go or kept."""
        unsent = self.unsent_bytes
        try:
            self._mark.move(position, partition, offset)
        except OSError as problem:
            self.trouble = disk.name_of(problem)
        self.acknowledged_bytes += max(0, unsent - self.unsent_bytes)
        self._let_go()

    def start_again(self) -> Position:
        """Take everything that is still here as unsent: the broker has lost it. Return where it begins."""
        self.acknowledge(Position(min(self._sizes, default=self._live), 0))
        return self.mark

    def _acknowledged(self, number: int) -> bool:
        segment, offset = self._mark.position
        return number < segment or (number == segment != self._live and offset >= self._sizes[number])

    def _let_go(self, crowded: bool = False) -> None:
        for number in sorted(self._sizes):
            if number == self._live or not self._acknowledged(number):
                return
            path = self._paths[number]
            if self._limits.keep_s and not crowded:
                try:
                    if self._now() - path.stat().st_mtime < self._limits.keep_s:
                        return
                except OSError:
                    pass  # gone already: forgotten below
            if self._reading == number:
                self._close_reader()
            self._trash.append(path)
            del self._sizes[number], self._paths[number]
            if crowded and self.disk_bytes < self._limits.most_bytes // 2:
                return

    # Others' segments.

    def adopt(self, orphan: Path) -> int:
        """Take over the unsent segments of a folder that no worker owns, and remove it; return how many they were.

        Raises:
            Busy: its worker lives.
            OSError: the disk refuses.
        """
        held = disk.lock(orphan)
        try:
            mark = Mark(orphan / "mark")
            mark.close()
            taken = 0
            paths = disk.segments_in(orphan)
            if paths:
                disk.cut_torn_tail(paths[max(paths)])
            for number, path in paths.items():
                if number < mark.position.segment and not self._limits.keep_s:
                    path.unlink()
                    continue
                self._retire()
                mine = self.folder / disk.segment_name(self._live)
                path.rename(mine)
                self._paths[self._live], self._sizes[self._live] = mine, mine.stat().st_size
                self._unsynced.append(mine)
                self._dirty = self._names_dirty = True
                self._live += 1
                taken += 1
            for name in ("mark", "lock", "probe"):
                (orphan / name).unlink(missing_ok=True)
            try:
                orphan.rmdir()
            except OSError as problem:
                if problem.errno != errno.ENOTEMPTY:  # set-aside damage stays for a person to look at
                    raise
            return taken
        finally:
            os.close(held)

    def close(self) -> None:
        """Release the folder. What was not synced is left to the system."""
        self._retire()
        self.release_unsynced()
        self._close_reader()
        self._empty_trash()
        self._mark.close()
        os.close(self._directory)
        os.close(self._lock)


def _of_one_batch(number: int, offset: int, seen: Scan) -> list[Chunk]:
    """Return what was seen from a place in a segment on, up to where a block begins another batch."""
    chunks: list[Chunk] = []
    start = Position(number, offset)
    for block, block_end in zip(seen.blocks, seen.ends, strict=True):
        if chunks and not block.first:
            break
        end = Position(number, offset + block_end)
        chunks.append(Chunk(start, end, block))
        start = end
    return chunks


Fsync = Literal["always", "interval", "never"]

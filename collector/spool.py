"""The spool: accepted hits on this host's disk until Kafka has them. One folder a worker, written by one process.

    FOLDER/lock             held (flock) by the worker that owns the folder
    FOLDER/mark             up to where Kafka has acknowledged (mark.py)
    FOLDER/NNNNNNNNNNNN.seg segments (segment.py), numbered upwards, never written again once a later one exists
    FOLDER/damage/          bytes that were no block, and hits that Kafka refused, named by segment and offset

Rule: a segment is only appended to by the process that made it; after a start the first hit begins a new one. Over 250
lines: writing, reading back and letting go share one account of what lies on the disk, and belong together.
"""

import errno
import fcntl
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

from collector.block import Block, grouped, pack
from collector.mark import Mark, Position
from collector.segment import HEADER_BYTES, LARGEST_DATA, Scan, frame, scan

_READ_BYTES: Final = 512 << 10
_READ_AHEAD_BYTES: Final = 64 << 10
_SUFFIX: Final = ".seg"


class SpoolRefused(Exception):
    """The spool cannot take hits now. `why` is short and closed: full, floor, or the errno's name."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Busy(Exception):
    """Another process owns the folder."""


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


def segments_in(folder: Path) -> dict[int, Path]:
    """Return the segments of a folder by number, in order."""
    found = {int(path.stem): path for path in folder.glob("*" + _SUFFIX) if path.stem.isdecimal()}
    return dict(sorted(found.items()))


def segment_name(number: int) -> str:
    return f"{number:012}{_SUFFIX}"


def cut_torn_tail(path: Path) -> int:
    """Cut a segment after its last whole block; return how many bytes went.

    Raises:
        OSError: it cannot be read or cut.
    """
    size = path.stat().st_size
    at = whole_to = 0
    with path.open("rb") as file:
        piece = b""
        while True:
            more = file.read(_READ_BYTES)
            piece += more
            seen = scan(piece, last=not more)
            if seen.ends:
                whole_to = at + seen.ends[-1]
            at += seen.read_to
            piece = piece[seen.read_to :]
            if not more:
                break
    if whole_to < size:
        os.truncate(path, whole_to)
    return size - whole_to


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
        self._lock = lock(folder)
        self._directory = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        self._mark = Mark(folder / "mark")
        self._sizes: dict[int, int] = {}
        self._paths = segments_in(folder)
        torn = 0
        if self._paths:
            torn = cut_torn_tail(self._paths[max(self._paths)])
        for number, path in self._paths.items():
            self._sizes[number] = path.stat().st_size
        self._fd = -1
        self._live = max([self._mark.position.segment, *self._paths]) + 1
        self._begun_at = 0.0
        self._reader = -1
        self._reading = 0
        self._retired: list[int] = []
        self._trash: list[Path] = []
        self._dirty = self._names_dirty = False
        self._room = 1 << 62
        self._batch = _NEW_BATCH
        self.acknowledged_bytes = 0
        """What the mark has passed since the start; a second time counts again."""
        self.damaged_bytes = 0
        self.damaged_stretches = 0
        self.trouble = ""
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
            end = Position(start.segment, start.offset + len(text))
            chunks.append(Chunk(start, end, block))
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
        self._batch = _Batch(hits + block.hits, plain_bytes + block.plain_bytes, size + len(block.data))
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
            raise self._refuse("floor")
        try:
            if self._fd < 0:
                self._begin()
            self._write(data)
        except OSError as problem:
            raise self._refuse(errno.errorcode.get(problem.errno or 0, "EIO")) from problem
        self._room -= size
        self._dirty = True
        self.trouble = ""
        at = Position(self._live, self._sizes[self._live])
        self._sizes[self._live] = at.offset + size
        if at.offset + size >= self._limits.segment_bytes:
            self._retire()
        return at

    def _refuse(self, why: str) -> SpoolRefused:
        self.trouble = why
        return SpoolRefused(why)

    def _begin(self) -> None:
        path = self.folder / segment_name(self._live)
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
            OSError: the disk failed; the segment is closed, hits after it go into another.
        """
        self._dirty = False
        names, self._names_dirty = self._names_dirty, False
        retired, self._retired = self._retired, []
        live = self._fd
        try:
            for fd in retired:
                os.fdatasync(fd)
            if live >= 0:
                os.fdatasync(live)
            if names:
                os.fsync(self._directory)
        except OSError:
            self._names_dirty = True
            raise
        finally:
            for fd in retired:
                os.close(fd)

    def sweep(self) -> None:
        """Unlink what was let go, look at the free space. Call it about once a second; it may wait for the disk."""
        trash, self._trash = self._trash, []
        for path in trash:
            path.unlink(missing_ok=True)
        try:
            disk = os.statvfs(self.folder)
            self._room = disk.f_bavail * disk.f_frsize - self._limits.free_bytes
        except OSError as problem:
            self.trouble = errno.errorcode.get(problem.errno or 0, "EIO")

    def release_unsynced(self) -> None:
        """Close retired segments without syncing them (`fsync` never)."""
        retired, self._retired = self._retired, []
        for fd in retired:
            os.close(fd)

    def tick(self) -> None:
        """Retire a live segment that is old, and let go what was kept long enough. Call it about once a second."""
        if self._fd >= 0 and self._sizes[self._live] and self._now() - self._begun_at >= self._limits.segment_s:
            self._retire()
        self._let_go()

    # Reading back.

    def read(self, start: Position, most_bytes: int = _READ_BYTES) -> list[Chunk]:
        """Return the next blocks of one batch from `start`, none where there are none yet. Steps over damage."""
        number, offset = start
        ahead = most_bytes + _READ_AHEAD_BYTES
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
            piece = os.pread(self._open(number), min(size - offset, ahead), offset)
            whole = offset + len(piece) >= size
            seen = scan(piece, last=whole, most_bytes=most_bytes)
            for damaged_from, damaged_to in seen.damage:
                self._set_aside(number, str(offset + damaged_from), piece[damaged_from:damaged_to])
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

    def _set_aside(self, number: int, place: str, damage: bytes) -> None:
        self.damaged_bytes += len(damage)
        self.damaged_stretches += 1
        if damage.strip(b"\0"):
            try:
                folder = self.folder / "damage"
                folder.mkdir(exist_ok=True)
                (folder / f"{number:012}-{place}.bin").write_bytes(damage)
            except OSError as problem:
                self.trouble = errno.errorcode.get(problem.errno or 0, "EIO")

    # Letting go.

    def acknowledge(self, position: Position, partition: int = -1, offset: int = -1) -> None:
        """Kafka has everything before `position`; the mark moves, whole segments before it are let go or kept."""
        unsent = self.unsent_bytes
        try:
            self._mark.move(position, partition, offset)
        except OSError as problem:
            self.trouble = errno.errorcode.get(problem.errno or 0, "EIO")
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
        held = lock(orphan)
        try:
            mark = Mark(orphan / "mark")
            taken = 0
            paths = segments_in(orphan)
            if paths:
                cut_torn_tail(paths[max(paths)])
            for number, path in paths.items():
                if number < mark.position.segment and not self._limits.keep_s:
                    path.unlink()
                    continue
                self._retire()
                mine = self.folder / segment_name(self._live)
                path.rename(mine)
                self._paths[self._live], self._sizes[self._live] = mine, mine.stat().st_size
                self._live += 1
                taken += 1
            mark.close()
            for name in ("mark", "lock"):
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
        for path in self._trash:
            path.unlink(missing_ok=True)
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


def lock(folder: Path) -> int:
    """Own a spool's folder; return the descriptor that holds it.

    Raises:
        Busy: another process owns it.
    """
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise Busy(str(folder)) from None
    return fd


Fsync = Literal["always", "interval", "never"]

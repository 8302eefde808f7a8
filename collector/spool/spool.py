"""The spool: accepted hits on this host's disk until Kafka has them. One folder a worker, written by one process.

    FOLDER/lock             locked (flock) by the worker that owns the folder
    FOLDER/mark             the position up to which Kafka has acknowledged (acknowledged.py)
    FOLDER/NNNNNNNNNNNN.seg segments (segment.py), in ascending order; only the last one is written
    FOLDER/damage/          bytes that were no block, and hits that Kafka refused, by segment and offset (quarantine.py)
    FOLDER/probe            a short-lived file: shows whether a disk in trouble can be written again

This module opens the folder, deletes what Kafka has, and takes over folders of former workers. Over 250 lines with the
short methods that pass a call on to the writer or the reader: its users know one class.
"""

import errno
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from collector.spool import disk
from collector.spool.acknowledged import Mark, Position
from collector.spool.inventory import Chunk, Inventory, Limits
from collector.spool.quarantine import Quarantine
from collector.spool.reader import READ_BYTES, SegmentReader
from collector.spool.writer import SegmentWriter


class Found(NamedTuple):
    """Contents of a spool folder at its opening."""

    segments: int
    unsent_bytes: int
    torn_bytes: int
    """Bytes cut from a half-written tail."""


class Spool:
    """One worker's spool. `sync` and `sweep` may run in one other thread, everything else in the event loop's."""

    def __init__(self, folder: Path, limits: Limits, now: Callable[[], float] = time.time) -> None:
        """Lock the folder, cut a torn tail, list the segments.

        Raises:
            Busy: another process owns the folder.
            OSError: the folder cannot be created, read or written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder: Final = folder
        self._limits: Final = limits._replace(
            segment_bytes=max(4096, min(limits.segment_bytes, limits.most_bytes // 8))
        )
        self._now: Final = now
        self._lock = disk.lock(folder)
        self._directory = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        inventory = self._inventory = Inventory()
        torn = 0
        try:
            self._mark = Mark(folder / "mark")
            try:
                paths = disk.segments_in(folder)
                if paths:
                    torn = disk.cut_torn_tail(paths[max(paths)])
                for number, path in paths.items():
                    inventory.add(number, path, path.stat().st_size)
            except OSError:
                self._mark.close()
                raise
        except OSError:
            os.close(self._directory)
            os.close(self._lock)  # else the next try, in this very process, would find the folder locked
            raise
        inventory.live = max([self._mark.position.segment, *paths]) + 1
        self._writer: Final = SegmentWriter(
            folder, self._directory, inventory, self._limits, now, self._delete_for_room
        )
        # The former process may have ended without a sync of its last writes, or of the cut of its tail.
        self._writer.must_sync(list(paths.values()))
        self._quarantine: Final = Quarantine(folder / "damage", limits.most_bytes // 16)
        self._reader: Final = SegmentReader(inventory, self._quarantine, self._writer.retire)
        self._trash: deque[Path] = deque()
        self.acknowledged_bytes = 0
        """Bytes that the mark has passed since the start; bytes that are sent again count again."""
        self.sweep()
        self._delete_acknowledged()
        self.found: Final = Found(len(inventory.sizes), self.unsent_bytes, torn)

    # Contents.

    @property
    def trouble(self) -> str:
        """Why hits are refused now; empty: they are accepted. `tick` and `sweep` notice the end of it."""
        return self._inventory.trouble

    @property
    def end(self) -> Position:
        """Place of the next block."""
        inventory = self._inventory
        return Position(inventory.live, inventory.sizes.get(inventory.live, 0))

    @property
    def mark(self) -> Position:
        """Position up to which Kafka has acknowledged."""
        return self._mark.position

    @property
    def last_acknowledged(self) -> tuple[int, int]:
        """Partition and offset of the last acknowledged batch; -1 and -1 before the first."""
        return self._mark.partition, self._mark.offset

    @property
    def disk_bytes(self) -> int:
        """Bytes of all segments, acknowledged ones included."""
        return self._inventory.disk_bytes

    @property
    def unsent_bytes(self) -> int:
        """Bytes that Kafka has not acknowledged."""
        segment, offset = self._mark.position
        sizes = self._inventory.sizes
        unsent = sum(size for number, size in sizes.items() if number >= segment)
        return max(0, unsent - min(offset, sizes.get(segment, 0)))

    @property
    def oldest_unsent_at(self) -> float | None:
        """Time of the last write to the oldest segment with unsent hits, in epoch seconds; None without one."""
        sizes = self._inventory.sizes
        for number in sorted(sizes):
            if not self._acknowledged(number) and sizes[number]:
                try:
                    return self._inventory.paths[number].stat().st_mtime
                except OSError:
                    return None
        return None

    @property
    def damaged_bytes(self) -> int:
        """Bytes that were no block, and hits that Kafka refused, since the start."""
        return self._reader.damaged_bytes

    @property
    def damaged_stretches(self) -> int:
        """Number of the same."""
        return self._reader.damaged_stretches

    @property
    def dropped_damage_bytes(self) -> int:
        """Bytes for which the damage folder had no room."""
        return self._quarantine.dropped_bytes

    # Writing: see writer.py.

    def append(self, payloads: Sequence[bytes]) -> list[Chunk]:
        """Write at least one hit, all with one write. After the return a kill -9 does not lose them.

        Raises:
            SpoolRefused: none of the hits was kept.
        """
        return self._writer.append(payloads)

    def cut(self) -> None:
        """Make the next block begin a new Kafka batch."""
        self._writer.cut()

    @property
    def dirty(self) -> bool:
        """Whether bytes are written that `sync` has not yet put on the disk."""
        return self._writer.dirty

    def sync(self) -> None:
        """Put everything written before the call on the disk.

        Raises:
            OSError: the disk failed. From the next `tick` on hits are refused, until a sync works again; later hits go
                into another segment.
        """
        self._writer.sync()

    def release_unsynced(self) -> None:
        """Close retired segments without a sync (`fsync` never)."""
        self._writer.release_unsynced()

    # Reading: see reader.py.

    def read(self, start: Position, most_bytes: int = READ_BYTES) -> list[Chunk]:
        """Return the next blocks of one batch from `start`, or an empty list where nothing is written yet.

        Raises:
            OSError: the disk reads nothing for a long stretch; the next call continues further on.
        """
        return self._reader.read(start, most_bytes)

    def nothing_between(self, start: Position, end: Position) -> bool:
        """Return whether no hit lies between the two places."""
        return self._reader.nothing_between(start, end)

    def set_aside(self, block_at: Position, number: int, payload: bytes) -> None:
        """Put a hit that Kafka refuses, the `number`th of its block, into the damage folder."""
        self._reader.set_aside(block_at, number, payload)

    # Once a second.

    def tick(self) -> None:
        """Retire a live segment that is old or could not be synced, delete acknowledged segments, end a trouble.

        Call it about once a second, and when `sync` fails.
        """
        writer, inventory = self._writer, self._inventory
        if writer.sync_failed:
            # The system forgets a failed write: a later sync of the same pages proves nothing.
            writer.retire()
            writer.room = -1
            inventory.trouble = "fsync"
        writer.retire_old()
        self._delete_acknowledged(crowded=inventory.trouble == "full")
        enough = min(self._limits.segment_bytes, 1 << 20)
        if (inventory.trouble == "full" and self.disk_bytes + enough <= self._limits.most_bytes) or (
            inventory.trouble == "floor" and writer.room >= enough
        ):
            inventory.trouble = ""

    def sweep(self) -> None:
        """Unlink deleted segments, measure the free space, probe a disk in trouble.

        Call it about once a second; it may wait for the disk.
        """
        writer, inventory = self._writer, self._inventory
        before = inventory.trouble
        self._empty_trash()
        if before not in ("", "full", "floor"):
            why = disk.probed(self.folder / "probe")
            if not why and before == "fsync":
                writer.sync_failed = False
            if inventory.trouble == before and not (why and before == "fsync"):
                inventory.trouble = why
        try:
            room = os.statvfs(self.folder)
        except OSError as problem:
            inventory.trouble = disk.name_of(problem)
            return
        writer.room = -1 if writer.sync_failed else room.f_bavail * room.f_frsize - self._limits.free_bytes

    def _empty_trash(self) -> None:
        for _ in range(len(self._trash)):
            path = self._trash.popleft()
            try:
                path.unlink(missing_ok=True)
            except OSError as problem:
                self._trash.append(path)
                self._inventory.trouble = disk.name_of(problem)

    # Deletion.

    def acknowledge(self, position: Position, partition: int = -1, offset: int = -1) -> None:
        """Move the mark: Kafka has everything before `position`. Whole segments before it are deleted, or kept."""
        unsent = self.unsent_bytes
        try:
            self._mark.move(position, partition, offset)
        except OSError as problem:
            self._inventory.trouble = disk.name_of(problem)
        self.acknowledged_bytes += max(0, unsent - self.unsent_bytes)
        self._delete_acknowledged()

    def start_again(self) -> Position:
        """Treat all segments as unsent, since the broker has lost them. Return the first place."""
        self.acknowledge(Position(min(self._inventory.sizes, default=self._inventory.live), 0))
        return self.mark

    def _acknowledged(self, number: int) -> bool:
        segment, offset = self._mark.position
        inventory = self._inventory
        return number < segment or (number == segment != inventory.live and offset >= inventory.sizes[number])

    def _delete_for_room(self) -> None:
        self._delete_acknowledged(crowded=True)

    def _delete_acknowledged(self, crowded: bool = False) -> None:
        """Delete acknowledged segments whose time is over; `crowded`: also younger ones, up to half of the bound."""
        inventory = self._inventory
        for number in sorted(inventory.sizes):
            if number == inventory.live or not self._acknowledged(number):
                return
            path = inventory.paths[number]
            if self._limits.keep_s and not crowded:
                try:
                    if self._now() - path.stat().st_mtime < self._limits.keep_s:
                        return
                except OSError:
                    pass  # the file is gone: only the account has it
            self._reader.close(number)
            self._trash.append(path)
            inventory.remove(number)
            if crowded and self.disk_bytes < self._limits.most_bytes // 2:
                return

    # Folders of former workers.

    def adopt(self, orphan: Path) -> int:
        """Take over the unsent segments of a folder that no worker owns, and remove it; return their number.

        Raises:
            Busy: its worker runs.
            OSError: the disk refuses.
        """
        held = disk.lock(orphan)
        inventory = self._inventory
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
                self._writer.retire()
                mine = self.folder / disk.segment_name(inventory.live)
                path.rename(mine)
                inventory.add(inventory.live, mine, mine.stat().st_size)
                self._writer.must_sync([mine])
                inventory.live += 1
                taken += 1
            for name in ("mark", "lock", "probe"):
                (orphan / name).unlink(missing_ok=True)
            try:
                orphan.rmdir()
            except OSError as problem:
                if problem.errno != errno.ENOTEMPTY:  # damage that was set aside stays for an operator
                    raise
            return taken
        finally:
            os.close(held)

    def close(self) -> None:
        """Release the folder. Bytes that were not synced are left to the operating system."""
        self._writer.retire()
        self.release_unsynced()
        self._reader.close()
        self._empty_trash()
        self._mark.close()
        os.close(self._directory)
        os.close(self._lock)

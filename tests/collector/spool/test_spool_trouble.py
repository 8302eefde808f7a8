"""A disk in trouble: what is lost is what it lost, all else goes on, and what is over is noticed without a hit.

Long, because it is a list: the troubles.
"""

import asyncio
import errno
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Literal

import pytest

from collector.metrics import Tally
from collector.spool.acknowledged import Position
from collector.spool.disk import segments_in
from collector.spool.group_commit import GroupCommit, sync_regularly
from collector.spool.inventory import Limits
from collector.spool.segment import scan
from collector.spool.spool import Spool
from collector.spool.writer import SpoolRefused
from tests.collector.spool.test_spool import everything, hits
from tests.waiting import until

LIMITS = Limits(most_bytes=1 << 20, segment_bytes=64 << 10)
SECTOR = 4096


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "0"


def failing(code: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


def second(spool: Spool) -> None:
    """What `tend` does each second."""
    spool.tick()
    spool.sweep()


def seconds(spool: Spool) -> None:
    second(spool)
    second(spool)


def fill(spool: Spool) -> Position:
    """Append until the spool is full; return the end."""
    end = spool.end
    with suppress(SpoolRefused):
        while True:
            end = spool.append(hits(10))[-1].end
    assert spool.trouble == "full"
    return end


def blocks_of(path: Path) -> list[tuple[int, int]]:
    ends = scan(path.read_bytes(), last=True).ends
    return list(zip([0, *ends], ends, strict=False))


def bad_sectors(monkeypatch: pytest.MonkeyPatch, path: Path, *offsets: int) -> None:
    """Have these sectors of a file be unreadable."""
    real = os.pread
    inode = path.stat().st_ino

    def pread(fd: int, length: int, offset: int) -> bytes:
        if os.fstat(fd).st_ino == inode and any(
            offset < at + SECTOR and at < min(offset + length, path.stat().st_size) for at in offsets
        ):
            raise OSError(errno.EIO, "EIO")
        return real(fd, length, offset)

    monkeypatch.setattr(os, "pread", pread)


# What is over is over, without a hit to find it out.


def test_a_full_spool_that_kafka_emptied_says_so(folder: Path) -> None:
    spool = Spool(folder, Limits(most_bytes=64 << 10, segment_bytes=8 << 10))
    end = fill(spool)
    second(spool)
    assert spool.trouble == "full"
    spool.acknowledge(end)
    second(spool)
    assert spool.trouble == ""


def test_kept_segments_do_not_keep_a_full_spool_full(folder: Path) -> None:
    spool = Spool(folder, Limits(most_bytes=64 << 10, segment_bytes=8 << 10, keep_s=3600))
    end = fill(spool)
    spool.acknowledge(end)
    second(spool)
    assert spool.trouble == ""


def test_the_floor_is_over_when_there_is_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(folder, LIMITS._replace(free_bytes=1 << 30))
    real = os.statvfs(folder)

    def statvfs(free_bytes: int) -> Callable[[object], object]:
        fields = list(real)
        fields[4] = free_bytes // real.f_frsize
        return lambda _: os.statvfs_result(fields)

    monkeypatch.setattr(os, "statvfs", statvfs(1 << 30))
    second(spool)
    with pytest.raises(SpoolRefused, match="floor"):
        spool.append(hits(1))
    second(spool)
    assert spool.trouble == "floor"
    monkeypatch.setattr(os, "statvfs", statvfs(2 << 30))
    seconds(spool)
    assert spool.trouble == ""


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_disk_that_can_be_written_again_is_found_by_trying(
    folder: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    spool = Spool(folder, LIMITS)
    with monkeypatch.context() as broken:
        broken.setattr(os, "write", failing(code))
        with pytest.raises(SpoolRefused):
            spool.append(hits(1))
        seconds(spool)
        assert spool.trouble == errno.errorcode[code]
    seconds(spool)
    assert spool.trouble == ""
    assert not (folder / "probe").exists()


# Removing.


def test_what_cannot_be_removed_is_removed_later(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(folder, LIMITS._replace(segment_bytes=4096))
    for number in range(0, 200, 10):
        end = spool.append(hits(10, number))[-1].end
    spool.acknowledge(end)
    there = len(segments_in(folder))
    with monkeypatch.context() as broken:
        broken.setattr(Path, "unlink", failing(errno.EROFS))
        spool.sweep()
        assert spool.trouble == "EROFS"
        assert len(segments_in(folder)) == there > 3
    seconds(spool)
    assert spool.trouble == ""
    assert len(segments_in(folder)) <= 1


# Reading.


def test_an_unreadable_sector_costs_its_blocks_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(folder, LIMITS)
    for number in range(0, 400, 4):
        spool.append(hits(4, number))
    (path,) = segments_in(folder).values()
    touched = {n for n, (start, end) in enumerate(blocks_of(path)) if start < 3 * SECTOR and end > 2 * SECTOR}
    assert 2 < len(touched) < 50
    bad_sectors(monkeypatch, path, 2 * SECTOR)
    lost = {hit for n in touched for hit in hits(4, 4 * n)}
    assert everything(spool) == [hit for hit in hits(400) if hit not in lost]
    counted = spool.damaged_bytes
    assert SECTOR <= counted < 2 * SECTOR
    everything(spool)
    assert (spool.damaged_bytes, spool.damaged_stretches) == (counted, 1)


def test_a_disk_that_reads_nothing_is_left_soon_and_got_past_in_the_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the disk is away: what returns is read again."""
    spool = Spool(folder, LIMITS._replace(segment_bytes=512 << 10, most_bytes=8 << 20))
    for number in range(0, 12_000, 10):
        spool.append(hits(10, number))
    path = segments_in(folder)[1]
    size = path.stat().st_size
    assert size > 512 << 10
    with monkeypatch.context() as broken:
        bad_sectors(broken, path, *range(0, 500 << 10, SECTOR))
        with pytest.raises(OSError, match="cannot be read"):
            spool.read(spool.mark)
        tries = 1
        while True:
            try:
                rest = everything(spool)
                break
            except OSError:
                tries += 1
        assert tries < 10
        assert rest[-1] == hits(1, 11_999)[0]
        assert len(rest) < 12_000
    assert everything(spool) == hits(12_000)


def test_a_segment_that_somebody_removed_is_left(folder: Path) -> None:
    spool = Spool(folder, LIMITS._replace(segment_bytes=4096))
    for number in range(0, 200, 10):
        spool.append(hits(10, number))
    removed = segments_in(folder)[2]
    gone = removed.stat().st_size
    removed.unlink()
    found = everything(spool)
    assert found[-1] == hits(1, 199)[0]
    assert spool.damaged_bytes == gone
    spool.append(hits(1, 200))
    assert everything(spool)[-1] == hits(1, 200)[0]


def test_an_unreadable_sector_in_the_newest_segment_does_not_stop_the_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(folder, LIMITS)
    spool.append(hits(10))
    spool.acknowledge(Position(1, 0))
    spool.close()
    real = Path.open

    class Sector:
        def __enter__(self) -> "Sector":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def read(self, _: int) -> bytes:
            raise OSError(errno.EIO, "EIO")

    def opened(path: Path, mode: str = "r") -> object:
        return Sector() if path.suffix == ".seg" else real(path, mode)

    with monkeypatch.context() as broken:
        broken.setattr(Path, "open", opened)
        bad_sectors(broken, folder / "mark", 0)
        again = Spool(folder, LIMITS)
        assert again.mark == Position(0, 0)
    assert everything(again) == hits(10)


# Syncing.


def test_what_could_not_be_synced_refuses_hits_until_a_sync_works(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(folder, LIMITS)
    before = spool.append(hits(1))[-1].end
    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", failing(errno.EIO))
        with pytest.raises(OSError, match="Input/output"):
            spool.sync()
        seconds(spool)
        assert spool.trouble == "fsync"
        with pytest.raises(SpoolRefused, match="fsync"):
            spool.append(hits(1, 1))
    seconds(spool)
    assert spool.trouble == ""
    assert spool.append(hits(1, 1))[-1].end.segment > before.segment
    assert everything(spool) == hits(2)


def test_one_file_that_cannot_be_synced_does_not_leave_the_others_unsynced(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(folder, LIMITS._replace(segment_bytes=4096))
    for number in range(0, 200, 10):
        spool.append(hits(10, number))
    tried: list[int] = []

    def fdatasync(fd: int) -> None:
        tried.append(os.fstat(fd).st_ino)
        raise OSError(errno.EIO, "EIO")

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    with pytest.raises(OSError, match="EIO"):
        spool.sync()
    assert set(tried) == {path.stat().st_ino for path in segments_in(folder).values()}


def test_the_first_sync_is_also_for_what_the_process_before_wrote(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (folder, tmp_path / "3"):
        spool = Spool(name, LIMITS._replace(segment_bytes=4096))
        for number in range(0, 200, 10):
            spool.append(hits(10, number))
        os.close(spool._lock)  # as kill -9 does
    again = Spool(folder, LIMITS)
    again.adopt(tmp_path / "3")
    assert again.dirty
    synced: set[int] = set()
    monkeypatch.setattr(os, "fdatasync", lambda fd: synced.add(os.fstat(fd).st_ino))
    monkeypatch.setattr(os, "fsync", lambda fd: synced.add(os.fstat(fd).st_ino))
    again.sync()
    there = {path.stat().st_ino for path in segments_in(folder).values()}
    assert len(there) > 6
    assert synced == there | {folder.stat().st_ino}


@pytest.mark.parametrize("line", range(20))
def test_a_tick_at_any_line_of_a_sync_leaves_nothing_unsynced_under_always(
    folder: Path, monkeypatch: pytest.MonkeyPatch, line: int
) -> None:
    """`tick` comes from another thread, at any moment: here, before the sync's nth line."""
    clock = [0.0]
    spool = Spool(folder, LIMITS, now=lambda: clock[0])
    spool.append(hits(10))
    clock[0] += LIMITS.segment_s
    synced: set[int] = set()
    named: set[str] = set()
    monkeypatch.setattr(os, "fdatasync", lambda fd: synced.add(os.fstat(fd).st_ino))
    monkeypatch.setattr(os, "fsync", lambda _: named.update(path.name for path in segments_in(folder).values()))
    lines = [0]

    def trace(frame: FrameType, event: str, _: object) -> object:
        if frame.f_code is not Spool.sync.__code__:
            return None
        if event == "line":
            if lines[0] == line:
                sys.settrace(None)
                spool.tick()
                spool.append(hits(10, 10))
            lines[0] += 1
        return trace

    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        spool.sync()
    finally:
        sys.settrace(None)
    first = segments_in(folder)[1]
    assert first.stat().st_ino in synced
    assert first.name in named
    spool.sync()
    assert {path.stat().st_ino for path in segments_in(folder).values()} <= synced
    assert {path.name for path in segments_in(folder).values()} <= named


# What is set aside.


def test_the_damage_folder_is_bounded_and_the_oldest_goes_first(folder: Path) -> None:
    spool = Spool(folder, LIMITS)
    most = LIMITS.most_bytes // 16
    for number in range(20):
        spool.set_aside(Position(number + 1, 0), 0, bytes([number + 1]) * 10_000)
    kept = sorted(path.name for path in (folder / "damage").iterdir())
    assert len(kept) == most // 10_000
    assert kept[0].startswith(f"{21 - len(kept):012}-")
    assert spool.dropped_damage_bytes == (20 - len(kept)) * 10_000
    spool.close()
    again = Spool(folder, LIMITS)
    again.set_aside(Position(30, 0), 0, b"x" * 10_000)
    assert len(list((folder / "damage").iterdir())) == len(kept)
    again.set_aside(Position(31, 0), 0, b"x" * (most + 1))
    assert again.dropped_damage_bytes == 10_000 + most + 1


@pytest.mark.parametrize("fsync", ["always", "interval"])
async def test_hits_are_answered_503_while_the_disk_does_not_sync(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fsync: Literal["always", "interval"]
) -> None:
    """Under `interval` from the first failure on, not only the hits of an unlucky turn."""
    spool, tally = Spool(folder, LIMITS), Tally()
    with ThreadPoolExecutor(1) as disk:
        commit = GroupCommit(asyncio.get_running_loop(), spool, fsync, disk, lambda _: None, tally)
        syncing = asyncio.create_task(sync_regularly(spool, 0.01, disk, tally))
        with monkeypatch.context() as broken:
            broken.setattr(os, "fdatasync", failing(errno.EIO))
            with suppress(SpoolRefused):
                await commit.accept(hits(1))
            await until(lambda: spool.trouble == "fsync", "the failure is known")
            with pytest.raises(SpoolRefused, match="fsync"):
                await commit.accept(hits(1))
            spool.sweep()
            with pytest.raises(SpoolRefused, match="fsync"):
                await commit.accept(hits(1))
        seconds(spool)
        await commit.accept(hits(1))
        syncing.cancel()
        await asyncio.wait([syncing])
    assert tally.values["fsync_failures_total",] >= 1

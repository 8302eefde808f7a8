"""The spool's promises: what was appended is read back after any stop; bounds hold; only acknowledged hits go.

Long, because it is a list: the promises.
"""

import errno
import os
from pathlib import Path

import pytest

from collector.spool.acknowledged import Mark, Position
from collector.spool.block import pack, unpack
from collector.spool.disk import Busy, segment_name, segments_in
from collector.spool.inventory import Limits
from collector.spool.segment import frame
from collector.spool.spool import Spool
from collector.spool.writer import SpoolRefused

LIMITS = Limits(most_bytes=1 << 20, segment_bytes=4096)


def everything(spool: Spool, start: Position | None = None, most_bytes: int = 1000) -> list[bytes]:
    """Read all from the mark, a few records at a time."""
    found: list[bytes] = []
    at = start or spool.mark
    while chunks := spool.read(at, most_bytes):
        for chunk in chunks:
            assert chunk.start >= at
            found += unpack(chunk.block)
            at = chunk.end
    return found


def hits(count: int, first: int = 0) -> list[bytes]:
    return [b'{"hit":%d,"pad":"%b"}' % (number, b"x" * 90) for number in range(first, first + count)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "0"


def test_what_is_appended_is_read_back_also_after_a_stop(folder: Path) -> None:
    spool = Spool(folder, LIMITS)
    for number in range(0, 200, 10):
        spool.append(hits(10, number))
    assert everything(spool) == hits(200)
    assert len(segments_in(folder)) > 3
    spool.close()
    again = Spool(folder, LIMITS)
    assert again.found.segments > 3
    assert again.found.torn_bytes == 0
    again.append(hits(1, 200))
    assert everything(again) == hits(201)


def test_the_mark_survives_and_acknowledged_segments_go(folder: Path) -> None:
    spool = Spool(folder, LIMITS)
    ends = [spool.append(hits(10, number))[-1].end for number in range(0, 200, 10)]
    spool.acknowledge(ends[9], 2, 77)
    spool.close()
    again = Spool(folder, LIMITS)
    assert again.mark == ends[9]
    assert again.last_acknowledged == (2, 77)
    assert everything(again) == hits(100, 100)
    assert min(segments_in(folder)) == ends[9].segment
    again.acknowledge(ends[-1])
    again.sweep()
    assert again.unsent_bytes == 0
    assert segments_in(folder) == {} or max(segments_in(folder)) == ends[-1].segment


def test_what_the_mark_passes_is_counted_over_segments_and_anew_when_sent_again(folder: Path) -> None:
    spool = Spool(folder, LIMITS._replace(keep_s=3600))
    ends = [spool.append(hits(10, number))[-1].end for number in range(0, 200, 10)]
    written = spool.unsent_bytes
    assert len(segments_in(folder)) > 3
    spool.acknowledge(ends[9])
    assert spool.acknowledged_bytes == written - spool.unsent_bytes > 0
    spool.acknowledge(ends[-1])
    assert spool.acknowledged_bytes == written
    spool.start_again()
    assert spool.acknowledged_bytes == written
    spool.acknowledge(ends[-1])
    assert spool.acknowledged_bytes == 2 * written


def test_a_garbled_mark_costs_repeats_not_hits(folder: Path) -> None:
    spool = Spool(folder, LIMITS)
    first = spool.append(hits(10))[-1].end
    second = spool.append(hits(10, 10))[-1].end
    spool.acknowledge(first)
    spool.acknowledge(second)
    spool.close()
    for at in range((folder / "mark").stat().st_size):
        text = bytearray((folder / "mark").read_bytes())
        text[at] ^= 0xFF
        (folder / "copy").write_bytes(text)
        assert Mark(folder / "copy").position in (first, second)
    (folder / "mark").write_bytes(b"garbage")
    again = Spool(folder, LIMITS)
    assert again.mark == Position(0, 0)
    assert everything(again) == hits(20)


def test_a_torn_tail_is_cut_and_a_corrupt_block_set_aside(folder: Path) -> None:
    spool = Spool(folder, LIMITS)
    ends = [spool.append(hits(2, number))[-1].end.offset for number in range(0, 10, 2)]
    spool.close()
    path = folder / segment_name(1)
    whole = path.read_bytes()
    torn = frame(pack(hits(1, 10)))[:-3]
    path.write_bytes(whole + torn)
    again = Spool(folder, LIMITS)
    assert again.found.torn_bytes == len(torn)
    assert path.read_bytes() == whole
    again.append(hits(5, 10))
    harmed = bytearray(whole)
    harmed[ends[0] + 40] ^= 1
    path.write_bytes(harmed)
    assert everything(again) == hits(2) + hits(11, 4)
    assert again.damaged_stretches == 1
    assert again.damaged_bytes == ends[1] - ends[0]
    (aside,) = (folder / "damage").iterdir()
    assert aside.read_bytes() == bytes(harmed[ends[0] : ends[1]])


def test_blocks_are_numbered_as_batches_within_their_bounds(folder: Path) -> None:
    spool = Spool(folder, Limits(most_bytes=8 << 20, batch_bytes=4000, batch_plain_bytes=200_000))
    firsts = [spool.append(hits(10, number))[-1].block.first for number in range(0, 90, 10)]
    assert firsts == [0, 10, 20, 0, 10, 20, 0, 10, 20]  # 1,200 bytes each
    spool.cut()
    assert spool.append(hits(1))[0].block.first == 0
    spool.cut()
    huge = [b'{"pad":"%b"}' % (b"y" * 60_000)] * 5
    assert [chunk.block.first for _ in range(2) for chunk in spool.append(huge)] == [0, 0, 0, 0]
    chunks = spool.append(huge)
    assert chunks[0].end == chunks[1].start


def test_a_read_ends_with_its_batch(folder: Path) -> None:
    spool = Spool(folder, LIMITS)
    for number in range(0, 20, 5):
        spool.append(hits(5, number))
        if number == 5:
            spool.cut()
    first = spool.read(spool.mark)
    assert [(chunk.block.first, chunk.block.hits) for chunk in first] == [(0, 5), (5, 5)]
    assert [chunk.block.first for chunk in spool.read(first[-1].end)] == [0, 5]
    assert [chunk.block.first for chunk in spool.read(first[0].end)] == [5]


def test_what_could_not_be_written_is_not_counted_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(folder, LIMITS)
    spool.append(hits(3))

    def write(fd: int, data: bytes) -> int:
        raise OSError(errno.EIO, "EIO")

    with monkeypatch.context() as broken:
        broken.setattr(os, "write", write)
        with pytest.raises(SpoolRefused):
            spool.append(hits(4))
    assert spool.append(hits(1))[0].block.first == 0


def test_the_bound_holds_and_opens_again_when_kafka_acknowledges(folder: Path) -> None:
    limits = Limits(most_bytes=64 << 10, segment_bytes=8 << 10)
    spool = Spool(folder, limits)
    ends: list[Position] = []

    def fill() -> None:
        while True:
            ends.append(spool.append(hits(10))[-1].end)

    with pytest.raises(SpoolRefused, match="full"):
        fill()
    assert sum(path.stat().st_size for path in folder.glob("*.seg")) <= limits.most_bytes
    assert spool.trouble == "full"
    spool.acknowledge(ends[len(ends) // 2])
    spool.append(hits(10))
    assert spool.trouble == ""


def test_the_free_space_floor_refuses(folder: Path) -> None:
    spool = Spool(folder, LIMITS._replace(free_bytes=1 << 62))
    with pytest.raises(SpoolRefused, match="floor"):
        spool.append(hits(1))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("partly", [0, 50])
def test_a_failing_write_keeps_nothing_of_its_turn_and_the_next_works(
    folder: Path, monkeypatch: pytest.MonkeyPatch, code: int, partly: int
) -> None:
    spool = Spool(folder, LIMITS)
    spool.append(hits(3))
    real = os.write
    fails = iter([True, True])

    def write(fd: int, data: bytes) -> int:
        if partly and next(fails, False):
            return real(fd, data[:partly])
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(SpoolRefused, match=errno.errorcode[code]):
        spool.append(hits(3, 100))
    monkeypatch.setattr(os, "write", real)
    spool.append(hits(3, 3))
    assert everything(spool) == hits(6)
    spool.close()
    assert everything(Spool(folder, LIMITS)) == hits(6)


def test_a_segment_that_can_neither_be_written_nor_cut_is_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(folder, LIMITS)
    spool.append(hits(3))
    real = os.write
    state = iter([60])

    def write(fd: int, data: bytes) -> int:
        if (some := next(state, None)) is not None:
            return real(fd, data[:some])
        raise OSError(errno.EIO, "EIO")

    def cut(fd: int, size: int) -> None:
        raise OSError(errno.EIO, "EIO")

    with monkeypatch.context() as broken:
        broken.setattr(os, "write", write)
        broken.setattr(os, "ftruncate", cut)
        with pytest.raises(SpoolRefused):
            spool.append(hits(3, 100))
    spool.append(hits(3, 3))
    assert everything(spool) == hits(6)
    spool.close()
    assert everything(Spool(folder, LIMITS)) == hits(6)


def test_kept_hits_are_sent_again_when_asked_and_go_when_old(folder: Path) -> None:
    clock = [folder.parent.stat().st_mtime]
    spool = Spool(folder, LIMITS._replace(keep_s=3600), now=lambda: clock[0])
    for number in range(0, 100, 10):
        end = spool.append(hits(10, number))[-1].end
    spool.acknowledge(end)
    assert spool.unsent_bytes == 0
    spool.start_again()
    assert everything(spool) == hits(100)
    spool.acknowledge(end)
    clock[0] += 4000
    spool.tick()
    spool.sweep()
    assert len(segments_in(folder)) <= 1


def test_kept_hits_make_room_for_new_ones(folder: Path) -> None:
    spool = Spool(folder, Limits(most_bytes=64 << 10, segment_bytes=8 << 10, keep_s=3600))
    for number in range(100):
        spool.acknowledge(spool.append(hits(10, 10 * number))[-1].end)
    assert spool.disk_bytes <= 64 << 10


def test_orphans_are_adopted_whole(tmp_path: Path) -> None:
    orphan = Spool(tmp_path / "3", LIMITS)
    middle = [orphan.append(hits(10, number))[-1].end for number in range(0, 100, 10)][4]
    orphan.acknowledge(middle)
    spool = Spool(tmp_path / "0", LIMITS)
    spool.append(hits(5, 1000))
    with pytest.raises(Busy):
        spool.adopt(tmp_path / "3")
    orphan.close()
    assert spool.adopt(tmp_path / "3") > 0
    spool.append(hits(5, 1005))
    found = everything(spool)
    assert set(hits(50, 50)) <= set(found)
    assert set(hits(10, 1000)) <= set(found)
    assert not (tmp_path / "3").exists()


def test_a_folder_has_one_owner(folder: Path) -> None:
    spool = Spool(folder, LIMITS)
    with pytest.raises(Busy):
        Spool(folder, LIMITS)
    spool.close()
    Spool(folder, LIMITS).close()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_descriptor_is_left_open(folder: Path) -> None:
    before = open_files()
    spool = Spool(folder, LIMITS)
    for number in range(50):
        (chunk,) = spool.append(hits(10, number))
        everything(spool)
        spool.acknowledge(chunk.end)
        spool.sync()
        spool.sweep()
    spool.close()
    assert open_files() == before

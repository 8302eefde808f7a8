"""The group commit: one write a turn, then the callbacks in order; what comes during a sync is a turn of its own."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import cast

import pytest

from collector.metrics import Tally
from collector.spool.group_commit import GroupCommit
from collector.spool.spool import Spool
from collector.spool.writer import Fsync, SpoolRefused
from tests.waiting import until


class Recorder:
    """Takes the place of a spool: keeps what is written, refuses and syncs as the test asks."""

    def __init__(self) -> None:
        self.writes: list[list[bytes]] = []
        self.refuse = False
        self.may_sync = Event()
        self.may_sync.set()

    def append(self, payloads: list[bytes]) -> list[object]:
        if self.refuse:
            raise SpoolRefused("full")
        self.writes.append(list(payloads))
        return []

    def sync(self) -> None:
        self.may_sync.wait(60)


def commit_to(recorder: Recorder, fsync: Fsync, disk: ThreadPoolExecutor, events: list[object]) -> GroupCommit:
    loop = asyncio.get_running_loop()
    spool = cast(Spool, recorder)
    return GroupCommit(loop, spool, fsync, disk, lambda _: events.append("written"), Tally())


@pytest.mark.parametrize("refuse", [False, True])
async def test_a_turn_is_one_write_and_then_its_callbacks_in_order(refuse: bool) -> None:
    recorder, events = Recorder(), list[object]()
    recorder.refuse = refuse
    with ThreadPoolExecutor(1) as disk:
        commit = commit_to(recorder, "never", disk, events)
        done = asyncio.Event()
        commit.add([b"a"], lambda refused: events.append(("first", refused and refused.why)))
        commit.append([b"b", b"c"])

        def last(refused: SpoolRefused | None) -> None:
            events.append(("second", refused and refused.why))
            done.set()

        commit.add((), last)
        assert (recorder.writes, events, commit.turn) == ([], [], 0)
        await done.wait()
    why = "full" if refuse else None
    assert recorder.writes == ([] if refuse else [[b"a", b"b", b"c"]])
    assert events == [*([] if refuse else ["written"]), ("first", why), ("second", why)]
    assert commit.turn == 1


async def test_what_comes_during_a_sync_is_a_turn_of_its_own() -> None:
    recorder, events = Recorder(), list[object]()
    recorder.may_sync.clear()
    with ThreadPoolExecutor(1) as disk:
        commit = commit_to(recorder, "always", disk, events)
        first = asyncio.create_task(commit.accept([b"a"]))
        await until(lambda: recorder.writes, "the first turn is written")
        assert commit.turn == 1
        second = asyncio.create_task(commit.accept([b"b"]))
        for _ in range(10):
            await asyncio.sleep(0)
        assert (recorder.writes, first.done(), second.done()) == ([[b"a"]], False, False)
        recorder.may_sync.set()
        await first
        await second
    assert recorder.writes == [[b"a"], [b"b"]]
    assert events == ["written", "written"]


async def test_a_record_that_no_block_can_hold_is_refused() -> None:
    recorder = Recorder()
    with ThreadPoolExecutor(1) as disk:
        commit = commit_to(recorder, "never", disk, [])
        with pytest.raises(SpoolRefused, match="oversized"):
            await commit.accept([bytes(1 << 20)])
    assert recorder.writes == []

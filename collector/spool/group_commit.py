"""The group commit: hits of one event-loop turn go to the spool with one write, and only then their answers leave."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from collector.http.pixel_fast_path import Decision, Shape, unavailable
from collector.http.request_id import fresh
from collector.metrics import Tally
from collector.policy.refusal import Refusal
from collector.spool.block import LARGEST_PAYLOAD
from collector.spool.inventory import Chunk
from collector.spool.spool import Spool
from collector.spool.writer import Fsync, SpoolRefused
from stage import log

Answer = Callable[[SpoolRefused | None], None]
"""Called once the hits are written (None), or with why they were not."""


class Waiting:
    """A connection whose answer is ready."""

    __slots__ = ("write",)

    def __init__(self) -> None:
        self.write: Callable[[bytes], None] = drop

    def go_on(self) -> None:
        """Called when all answers of this turn have been written."""
        raise NotImplementedError


def drop(answer: bytes) -> None:
    """Discard the answer: the connection does not exist yet, or is closed."""


class _Taken:
    """The fast lane's part of a turn: who asked, what was decided, in the order of the requests."""

    __slots__ = ("answers", "connections", "shapes")

    def __init__(self) -> None:
        self.connections: list[Waiting] = []
        self.shapes: list[Shape] = []
        self.answers: list[bytes] = []


class Turn:
    """Collects the hits of a turn. One event loop's; nothing here is called from another thread."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        spool: Spool,
        fsync: Fsync,
        disk: ThreadPoolExecutor,
        on_written: Callable[[list[Chunk]], None],
        tally: Tally,
    ) -> None:
        """`disk` has one thread, in which fsync waits; `on_written` is called before the answers leave."""
        self._loop: Final = loop
        self._spool: Final = spool
        self._fsync: Final = fsync
        self._disk: Final = disk
        self._on_written: Final = on_written
        self._tally: Final = tally
        self._payloads: list[bytes] = []
        self._answers: list[Answer] = []
        self._taken = _Taken()
        self.followers: list[Waiting] = []
        """Connections to call when their answers have been written."""
        self.due = False
        self.number = 1
        """Of the turn that collects now."""
        self.answered = 0
        """Number of the last turn whose answers have left."""
        self._syncing = False
        self._began = 0.0
        self._took: Final = tally.histogram("answer_seconds", "fast")

    def begin(self) -> None:
        """Have this turn end before the loop waits again, after one more look at the sockets.

        Requests come in bursts: a turn of the first few is soon due, and costs as much as a turn of many.
        """
        self.due = True
        self._began = time.perf_counter()  # uvloop's own clock does not advance during a turn
        self._loop.call_soon(self._loop.call_soon, self.flush)

    def take(self, connection: Waiting, decision: Decision) -> None:
        """Have the fast lane's decision written and answered at the end of the turn, which has begun."""
        payload, shape, answer = decision
        if payload is not None:
            self._payloads.append(payload)
        taken = self._taken
        taken.connections.append(connection)
        taken.shapes.append(shape)
        taken.answers.append(answer)

    def add(self, payloads: Sequence[bytes], answer: Answer) -> None:
        """Have these written at the end of the turn, and `answer` called after it."""
        self._payloads.extend(payloads)
        self._answers.append(answer)
        if not self.due:
            self.begin()

    async def accept(self, payloads: Sequence[bytes]) -> None:
        """Return when these are written.

        Raises:
            SpoolRefused: they are not.
        """
        if any(len(payload) > LARGEST_PAYLOAD for payload in payloads):
            raise SpoolRefused("oversized")  # the limits on fields keep hits far smaller
        done: asyncio.Future[None] = self._loop.create_future()

        def answer(refused: SpoolRefused | None) -> None:
            if not done.done():
                if refused is None:
                    done.set_result(None)
                else:
                    done.set_exception(refused)

        self.add(payloads, answer)
        await done

    def flush(self) -> None:
        """Write what there is and answer; under `always`, after one fdatasync for all that came meanwhile."""
        if self._syncing:
            return  # `_synced` calls again
        self.due = False
        began, number = self._began, self.number
        self.number += 1
        payloads, self._payloads = self._payloads, []
        answers, self._answers = self._answers, []
        taken, self._taken = self._taken, _Taken()
        refused: SpoolRefused | None = None
        if payloads:
            try:
                chunks = self._spool.append(payloads)
            except SpoolRefused as problem:
                refused = problem
                self._tally.add("spool_refused_total", problem.why, by=len(payloads))
            else:
                if self._fsync == "always":
                    self._syncing = True
                    wait = self._loop.run_in_executor(self._disk, self._spool.sync)
                    wait.add_done_callback(lambda done: self._synced(done, chunks, (began, number), answers, taken))
                    return
                self._on_written(chunks)
        self._answer(refused, (began, number), answers, taken)

    def _answer(
        self,
        refused: SpoolRefused | None,
        turn: tuple[float, int],
        answers: list[Answer],
        taken: _Taken,
    ) -> None:
        if refused is None:
            for connection, answer in zip(taken.connections, taken.answers, strict=True):
                connection.write(answer)
        else:
            refused_id = fresh()  # one for all of a turn: they share their fault, and its line
            if taken.answers:
                log.line("warning", "answered 503", request_id=refused_id, route="/p.gif, /o.gif", why=refused.why)
            for connection, shape, answer in zip(taken.connections, taken.shapes, taken.answers, strict=True):
                if shape.recorded:
                    shape.hits -= 1
                    self._tally.add("hits_total", shape.site, Refusal.SPOOL)
                    connection.write(unavailable(refused_id))
                else:
                    connection.write(answer)
        began, self.answered = turn
        for answer_slowly in answers:
            answer_slowly(refused)
        if taken.answers:
            self._took.observe(time.perf_counter() - began, len(taken.answers))
        if self.followers:
            followers, self.followers = self.followers, []
            for connection in followers:
                connection.go_on()

    def _synced(
        self,
        done: "asyncio.Future[None]",
        chunks: list[Chunk],
        turn: tuple[float, int],
        answers: list[Answer],
        taken: _Taken,
    ) -> None:
        self._syncing = False
        problem = done.exception()
        # The hits stay in the spool even so: sent twice at worst, and the event id makes that harmless.
        self._on_written(chunks)
        refused = None
        if problem is not None:
            refused = SpoolRefused("fsync")
            self._tally.add("spool_refused_total", "fsync", by=sum(chunk.block.hits for chunk in chunks))
            self._tally.add("fsync_failures_total")
            self._spool.tick()
            log.line("error", "fsync failed", problem=str(problem))
        self._answer(refused, turn, answers, taken)
        if self.due:
            self.flush()


async def sync_regularly(spool: Spool, interval_s: float, disk: ThreadPoolExecutor, tally: Tally) -> None:
    """Under `fsync` interval: put on the disk what is new, every `interval_s`, off the loop. Runs until cancelled.

    When that fails, hits are refused from now on, until the disk syncs again: those of the last interval are not safe.
    """
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(interval_s)
        if spool.dirty:
            try:
                await loop.run_in_executor(disk, spool.sync)
            except OSError as problem:
                tally.add("fsync_failures_total")
                spool.tick()
                log.line("error", "fsync failed", problem=str(problem))


async def tend(spool: Spool, fsync: Fsync, disk: ThreadPoolExecutor) -> None:
    """Once a second close and delete old segments and check the free space. Runs until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(1)
        spool.tick()
        if fsync == "never":
            spool.release_unsynced()
        await loop.run_in_executor(disk, spool.sweep)

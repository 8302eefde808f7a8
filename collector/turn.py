"""The group commit: hits of one event-loop turn go to the spool with one write, and only then their answers leave."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from collector import log
from collector.metrics import Tally
from collector.refusal import Refusal
from collector.shortcut import Decision, unavailable
from collector.spool import Chunk, Fsync, Spool, SpoolRefused

Answer = Callable[[SpoolRefused | None], None]
"""Called once the hits are written (None), or with why they were not."""


class Waiting(Protocol):
    """A connection whose answer is ready."""

    def answered(self, answer: bytes) -> None:
        """Write it."""


class Turn:
    """Collects the hits of a turn. One event loop's; nothing here is called from another thread."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        spool: Spool,
        fsync: Fsync,
        disk: ThreadPoolExecutor,
        on_written: Callable[[Chunk], None],
        tally: Tally,
    ) -> None:
        """`disk` has one thread, in which fsync waits; `on_written` hears of each chunk before its answers leave."""
        self._loop: Final = loop
        self._spool: Final = spool
        self._fsync: Final = fsync
        self._disk: Final = disk
        self._on_written: Final = on_written
        self._tally: Final = tally
        self._payloads: list[bytes] = []
        self._answers: list[Answer] = []
        self._fast: list[tuple[Waiting, Decision]] = []
        self._due = False
        self._syncing = False

    def add(self, payloads: Sequence[bytes], answer: Answer) -> None:
        """Have these written at the end of the turn, and `answer` called after it."""
        self._payloads.extend(payloads)
        self._answers.append(answer)
        if not self._due:
            self._due = True
            self._loop.call_soon(self.flush)

    def answer_later(self, connection: Waiting, decided: Decision) -> None:
        """As `add`, for the fast lane: the answer is ready, and leaves if the hit is written."""
        if decided[0] is not None:
            self._payloads.append(decided[0])
        self._fast.append((connection, decided))
        if not self._due:
            self._due = True
            self._loop.call_soon(self.flush)

    async def accept(self, payloads: Sequence[bytes]) -> None:
        """Return when these are written.

        Raises:
            SpoolRefused: they are not.
        """
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
        self._due = False
        payloads, self._payloads = self._payloads, []
        answers, self._answers = self._answers, []
        fast, self._fast = self._fast, []
        refused: SpoolRefused | None = None
        if payloads:
            try:
                chunk = self._spool.append(payloads)
            except SpoolRefused as problem:
                refused = problem
                self._tally.add("spool_refused_total", problem.why, by=len(payloads))
            else:
                if self._fsync == "always":
                    self._syncing = True
                    wait = self._loop.run_in_executor(self._disk, self._spool.sync)
                    wait.add_done_callback(lambda done: self._synced(done, chunk, answers, fast))
                    return
                self._on_written(chunk)
        self._answer(refused, answers, fast)

    def _answer(
        self, refused: SpoolRefused | None, answers: list[Answer], fast: list[tuple[Waiting, Decision]]
    ) -> None:
        if refused is None:
            for connection, decided in fast:
                connection.answered(decided[2])
        else:
            for connection, (payload, shape, answer) in fast:
                if payload is None:
                    connection.answered(answer)
                else:
                    shape.hits -= 1
                    self._tally.add("hits_total", shape.site, Refusal.SPOOL)
                    connection.answered(unavailable())
        for answer_slowly in answers:
            answer_slowly(refused)

    def _synced(
        self,
        done: "asyncio.Future[None]",
        chunk: Chunk,
        answers: list[Answer],
        fast: list[tuple[Waiting, Decision]],
    ) -> None:
        self._syncing = False
        problem = done.exception()
        # The hits stay in the spool even so: sent twice at worst, and the event id makes that harmless.
        self._on_written(chunk)
        refused = None
        if problem is not None:
            refused = SpoolRefused("fsync")
            self._tally.add("spool_refused_total", "fsync", by=len(chunk.payloads))
            log.line("error", "fsync failed", problem=str(problem))
        self._answer(refused, answers, fast)
        if self._answers or self._fast:
            self.flush()
        else:
            self._due = False


async def sync_regularly(spool: Spool, interval_s: float, disk: ThreadPoolExecutor, tally: Tally) -> None:
    """Under `fsync` interval: put on the disk what is new, every `interval_s`, off the loop. Runs until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(interval_s)
        if spool.dirty:
            try:
                await loop.run_in_executor(disk, spool.sync)
            except OSError as problem:
                tally.add("fsync_failures_total")
                log.line("error", "fsync failed", problem=str(problem))


async def tend(spool: Spool, fsync: Fsync, disk: ThreadPoolExecutor) -> None:
    """Once a second: retire old segments, let go of old ones, look at the free space. Runs until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(1)
        spool.tick()
        if fsync == "never":
            spool.release_unsynced()
        await loop.run_in_executor(disk, spool.sweep)

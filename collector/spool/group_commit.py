"""The group commit: records of one event-loop turn go to the spool with one write, and only then their owners go on.

It knows bytes and callbacks, not what they mean.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from collector.metrics import Tally
from collector.spool.block import LARGEST_PAYLOAD
from collector.spool.inventory import Chunk
from collector.spool.spool import Spool
from collector.spool.writer import Fsync, SpoolRefused
from stage import log

Callback = Callable[[SpoolRefused | None], None]
"""Called when the records are written (None), or with the reason why they are not."""


class GroupCommit:
    """Collects the records of a turn. For one event loop; not to be called from another thread."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        spool: Spool,
        fsync: Fsync,
        disk: ThreadPoolExecutor,
        on_written: Callable[[list[Chunk]], None],
        tally: Tally,
    ) -> None:
        """`disk` has one thread, for fsync; `on_written` is called with what was written, before the callbacks."""
        self._loop: Final = loop
        self._spool: Final = spool
        self._fsync: Final = fsync
        self._disk: Final = disk
        self._on_written: Final = on_written
        self._tally: Final = tally
        self._payloads: list[bytes] = []
        self._callbacks: list[Callback] = []
        self.turn = 0
        """The number of the present turn."""
        self._due = False
        self._syncing = False

    def append(self, payloads: list[bytes]) -> None:
        """Add records to a turn in which `add` was called before."""
        self._payloads += payloads

    def add(self, payloads: Sequence[bytes], callback: Callback) -> None:
        """Add records to the present turn, with a callback for its end.

        A turn ends before the loop waits again, after one more poll. Requests come in bursts: a turn that ended after
        the first few would cost as much as a turn of many.
        """
        self._payloads.extend(payloads)
        self._callbacks.append(callback)
        if not self._due:
            self._due = True
            self._loop.call_soon(self._loop.call_soon, self.flush)

    async def accept(self, payloads: Sequence[bytes]) -> None:
        """Return when these are written.

        Raises:
            SpoolRefused: they are not.
        """
        if any(len(payload) > LARGEST_PAYLOAD for payload in payloads):
            raise SpoolRefused("oversized")  # the limits on fields keep hits far smaller
        done: asyncio.Future[None] = self._loop.create_future()

        def resolve(refused: SpoolRefused | None) -> None:
            if not done.done():
                if refused is None:
                    done.set_result(None)
                else:
                    done.set_exception(refused)

        self.add(payloads, resolve)
        await done

    def flush(self) -> None:
        """Write the turn's records and call back; under fsync `always` after one fdatasync."""
        if self._syncing:
            return  # `_synced` flushes what has come meanwhile
        self._due = False
        self.turn += 1
        payloads, self._payloads = self._payloads, []
        callbacks, self._callbacks = self._callbacks, []
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
                    wait.add_done_callback(lambda done: self._synced(done, chunks, callbacks))
                    return
                self._on_written(chunks)
        for callback in callbacks:
            callback(refused)

    def _synced(self, done: "asyncio.Future[None]", chunks: list[Chunk], callbacks: list[Callback]) -> None:
        self._syncing = False
        problem = done.exception()
        # The records stay in the spool after a failure too: sent twice at worst, and the event id makes that harmless.
        self._on_written(chunks)
        refused = None
        if problem is not None:
            refused = SpoolRefused("fsync")
            self._tally.add("spool_refused_total", "fsync", by=sum(chunk.block.hits for chunk in chunks))
            self._tally.add("fsync_failures_total")
            self._spool.tick()
            log.line("error", "fsync failed", problem=str(problem))
        for callback in callbacks:
            callback(refused)
        if self._due:
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

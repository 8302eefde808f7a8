"""One worker process: a listening socket, a spool folder and a connection to Kafka.

The control socket ties the worker to its supervisor. When the supervisor's end closes, the worker answers the requests
it has begun and ends; the spool keeps the unsent hits for the next worker.
"""

import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from collector.http.ingest import Ingest
from collector.kafka.forwarder import Forwarder, Plan
from collector.metrics import WAITING_FOR_KAFKA, RefusedEntry, Report, Tally
from collector.process import control as control_socket
from collector.process import frontend, reload, spool_folders
from collector.process.frontend import Bounds, Frontend
from collector.process.last_good import Handover
from collector.settings import Settings
from collector.spool.group_commit import sync_regularly, tend
from collector.spool.spool import Spool
from stage import log
from stage.kafka import access

_GONE_WITHIN_S: Final = 10.0


async def run(handover: Handover, number: int, listener: socket.socket, control: socket.socket) -> int:
    """Serve until a signal or the supervisor's end; return the exit code."""
    settings = handover.settings
    log.start("collector", settings.log)
    log.take_over_libraries()
    tally = Tally()

    def report_trouble(why: str) -> None:
        control.sendall(control_socket.encode(Report(f"spool: {why}", [])))

    limits = spool_folders.limits_of(settings)
    spool = await spool_folders.open_own(Path(settings.spool_dir) / str(number), limits, listener, report_trouble)
    tally.set("spool_limit_bytes", limits.most_bytes)
    if number == 0:
        spool_folders.adopt_orphans(spool, settings.workers)
    if spool.found.segments:
        tally.add("spool_torn_bytes_total", by=spool.found.torn_bytes)
        log.line("info", "found hits in the spool", worker=number, **spool.found._asdict())
    worker = _Worker(handover, number, spool, tally)
    await worker.frontend.listen(listener)
    await worker.serve(control)
    return await worker.drain()


def plan_of(settings: Settings) -> Plan:
    """Return how hits go to Kafka. Certificates are read at each connection, so that a broken one stops no worker."""
    return Plan(
        servers=settings.kafka,
        access=lambda: access(settings),
        topic=settings.topic_raw,
        batch_bytes=settings.batch_bytes,
        linger_s=settings.linger_ms / 1000,
        ack_timeout_s=settings.ack_timeout_s,
        memory_bytes=settings.memory_bytes,
        replays=settings.spool_keep_s > 0,
    )


class _Worker:
    """The parts of a worker, and the tasks that run them."""

    def __init__(self, handover: Handover, number: int, spool: Spool, tally: Tally) -> None:
        """Build the parts."""
        settings = handover.settings
        self._settings: Final = settings
        self._number: Final = number
        self._spool: Final = spool
        self._tally: Final = tally
        self._forwarder: Final = Forwarder(spool, plan_of(settings), tally)
        self._disk: Final = ThreadPoolExecutor(1, thread_name_prefix="disk")
        self._files: Final = reload.files_of(settings, handover.last_good)
        rules, self._broken = self._files.read_or_last_good()
        self._salt: Final = reload.salt_of(settings, Ingest.now_ms)
        ruleset = reload.build(settings, rules, self._salt)
        ingest = frontend.ingest(ruleset, spool, settings.fsync, self._disk, self._forwarder.offer, tally)
        bounds = Bounds(settings.connections, settings.head_timeout_s, settings.body_timeout_s, settings.keepalive_s)
        self.frontend: Final = Frontend(ingest, bounds)
        self._going: Final = asyncio.Event()
        self._orphaned: Final = asyncio.Event()
        """The supervisor is gone, or a task failed: no grace, no drain to Kafka."""
        self._failed = False
        self._background: list[asyncio.Task[None]] = []
        self._forwarding: asyncio.Task[None]

    async def serve(self, control: socket.socket) -> None:
        """Run every task until a signal, the supervisor's end, or a failure."""
        settings, loop = self._settings, asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._going.set)
        hangup = asyncio.Event()
        self._start(tend(self._spool, settings.fsync, self._disk))
        self._start(self.frontend.sweep())
        self._start(self._report(control, hangup))
        for tending in reload.tending(self.frontend.ingest, self._files, self._broken, hangup, self._salt, self._tally):
            self._start(tending)
        if settings.fsync == "interval":
            interval_s = settings.fsync_interval_ms / 1000
            self._start(sync_regularly(self._spool, interval_s, self._disk, self._tally))
        self._forwarding = asyncio.create_task(self._forwarder.run())
        self._forwarding.add_done_callback(self._ended)
        # The garbage collector need not look at the objects of the start again.
        gc.collect()
        gc.freeze()
        await self._going.wait()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        self._background.append(task)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """End the worker when a task fails; the supervisor starts a new one."""
        if not task.cancelled() and (problem := task.exception()) is not None:
            self._failed = True
            log.line("error", "worker fails", worker=self._number, problem=repr(problem), where=log.where(problem))
            self._orphaned.set()
            self._going.set()

    async def _report(self, control: socket.socket, hangup: asyncio.Event) -> None:
        await control_socket.report_to_supervisor(control, self._measure, hangup)
        self._orphaned.set()
        self._going.set()

    def _measure(self, refused: bool) -> Report:
        self.frontend.connections.count()
        _measure(self._tally, self._spool)
        met, trouble = self._forwarder.ever_connected, self._spool.trouble
        not_ready = f"spool: {trouble}" if trouble else "" if met else WAITING_FOR_KAFKA
        last: list[RefusedEntry] | None = [*self.frontend.ingest.refused_hits.all()] if refused else None
        return Report(not_ready, self._tally.snapshot(), met, last)

    async def drain(self) -> int:
        """Answer open requests, empty the spool into Kafka as far as time allows; return the exit code."""
        settings, loop = self._settings, asyncio.get_running_loop()
        if self._orphaned.is_set():
            # Should a step hang: the port and the spool belong to the next worker.
            loop.call_later(_GONE_WITHIN_S, os._exit, 1)
        self.frontend.drain()
        if not self._orphaned.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(settings.grace_s):
                    await self._orphaned.wait()
        await self.frontend.close()
        if not self._orphaned.is_set():
            self._forwarder.drain()
            # With an empty spool there is nothing to wait for, though Kafka may be unreachable.
            await asyncio.wait([self._forwarding], timeout=settings.drain_s if self._spool.unsent_bytes else 0)
        self._forwarding.cancel()
        for task in self._background:
            task.cancel()
        await asyncio.gather(self._forwarding, *self._background, return_exceptions=True)
        left = self._spool.unsent_bytes
        if settings.fsync != "never":
            with contextlib.suppress(OSError):
                await loop.run_in_executor(self._disk, self._spool.sync)
        self._disk.shutdown()
        self._spool.close()
        log.line("info", "worker ends", worker=self._number, left_on_disk_bytes=left)
        log.settle()
        return 1 if self._failed else 0


def _measure(tally: Tally, spool: Spool) -> None:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    oldest = spool.oldest_unsent_at
    tally.set("spool_bytes", spool.unsent_bytes)
    tally.set("spool_acknowledged_bytes_total", spool.acknowledged_bytes)
    tally.set("spool_disk_bytes", spool.disk_bytes)
    tally.set("spool_oldest_seconds", 0 if oldest is None else max(0.0, time.time() - oldest))
    tally.set("spool_damaged_bytes_total", spool.damaged_bytes)
    tally.set("spool_damage_dropped_bytes_total", spool.dropped_damage_bytes)
    tally.set("cpu_seconds_total", usage.ru_utime + usage.ru_stime)
    tally.set("worker_memory_bytes", _resident_bytes())


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

"""One worker process: a listening socket, a spool folder and a way to Kafka; it tells the supervisor how it is.

Rule: the supervisor's end of the control socket is the worker's life line. When it closes, the worker answers what it
has begun and goes; the spool keeps the rest for the next one.
"""

import asyncio
import contextlib
import errno
import gc
import os
import resource
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, cast

import msgspec
from aiohttp import web

from collector import log
from collector.http import app
from collector.http.connection import Lane
from collector.http.ids import Ids
from collector.http.ingest import Intake
from collector.http.unavailable import Closed
from collector.kafka import access
from collector.kafka.forwarder import Forwarder, Plan
from collector.metrics import WAITING_FOR_KAFKA, Report, Tally
from collector.process import parent_death, reload
from collector.settings import Settings
from collector.spool.disk import Busy
from collector.spool.group_commit import Turn, sync_regularly, tend
from collector.spool.inventory import Limits
from collector.spool.spool import Spool

_OWNED_WITHIN_S: Final = 15.0
_TRY_AGAIN_S: Final = 0.5
_GONE_WITHIN_S: Final = 10.0
_LAST_S: Final = 0.5
_LOOK_S: Final = 0.02
_MOST_WAITING: Final = 4096
"""The supervisor's backlog."""
RELOAD: Final = b"reload\n"
"""What the supervisor writes to have the files read again."""


async def _own(folder: Path, limits: Limits, listener: socket.socket, control: socket.socket) -> Spool:
    """Open the spool; wait for a worker that is just going, and for a disk: till then everyone is answered 503.

    Raises:
        Busy: it does not go.
    """
    deadline = time.monotonic() + _OWNED_WITHIN_S
    closed: asyncio.Server | None = None
    told = ""
    try:
        while True:
            try:
                return Spool(folder, limits)
            except Busy:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.05)
            except OSError as problem:
                why = errno.errorcode.get(problem.errno or 0, "EIO")
                if closed is None:
                    closed = await asyncio.get_running_loop().create_server(Closed, sock=listener.dup())
                if why != told:
                    told = why
                    control.sendall(msgspec.json.encode(Report(f"spool: {why}", [])) + b"\n")
                    log.line(
                        "error", "cannot open the spool, 503 to everyone", folder=str(folder), problem=str(problem)
                    )
                await asyncio.sleep(_TRY_AGAIN_S)
    finally:
        if closed is not None:
            closed.close()


def _adopt_orphans(spool: Spool, workers: int) -> None:
    """Take over folders of workers that no longer exist."""
    for folder in sorted(spool.folder.parent.iterdir()):
        if folder.is_dir() and folder.name.isdecimal() and int(folder.name) >= workers:
            try:
                taken = spool.adopt(folder)
                log.line(
                    "info", "took over the spool of a worker that no longer exists", folder=folder.name, segments=taken
                )
            except (Busy, OSError) as problem:
                log.line("warning", "cannot take over a spool folder", folder=folder.name, problem=str(problem))


def spool_limits(settings: Settings) -> Limits:
    """Return a worker's share of what the settings allow."""
    return Limits(
        most_bytes=settings.spool_bytes // settings.workers,
        free_bytes=settings.spool_free_bytes,
        segment_bytes=settings.segment_bytes,
        segment_s=settings.segment_s,
        keep_s=settings.spool_keep_s,
        batch_bytes=settings.batch_bytes,
    )


async def run(settings: Settings, number: int, listener: socket.socket, control: socket.socket) -> int:
    """Serve until told to go; return the exit code."""
    loop = asyncio.get_running_loop()
    log.use(settings.log)
    log.take_over_libraries()
    tally = Tally()
    limits = spool_limits(settings)
    spool = await _own(Path(settings.spool_dir) / str(number), limits, listener, control)
    tally.set("spool_limit_bytes", limits.most_bytes)
    if number == 0:
        _adopt_orphans(spool, settings.workers)
    if spool.found.segments:
        tally.add("spool_torn_bytes_total", by=spool.found.torn_bytes)
        log.line("info", "found hits in the spool", worker=number, **spool.found._asdict())
    plan = Plan(
        servers=settings.kafka,
        access=access.access(settings),
        topic=settings.topic_raw,
        batch_bytes=settings.batch_bytes,
        linger_s=settings.linger_ms / 1000,
        ack_timeout_s=settings.ack_timeout_s,
        memory_bytes=settings.memory_bytes,
        replays=settings.spool_keep_s > 0,
    )
    forwarder = Forwarder(spool, plan, tally)
    disk = ThreadPoolExecutor(1, thread_name_prefix="disk")
    turn = Turn(loop, spool, settings.fsync, disk, forwarder.offer, tally)
    files, salt, hangup = reload.files_of(settings), reload.salt_of(settings, Intake.now_ms), asyncio.Event()
    intake = Intake(reload.build(settings, files.read(), salt), turn, Ids(os.urandom), tally)

    runner = web.AppRunner(app.build(intake, settings.body_timeout_s), access_log=None)
    await runner.setup()
    lane = Lane(
        intake,
        loop,
        cast(web.Server, runner.server),
        most_connections=settings.connections,
        head_timeout_s=settings.head_timeout_s,
        keepalive_s=settings.keepalive_s,
    )
    server = await loop.create_server(lane, sock=listener)

    going = asyncio.Event()
    orphaned = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, going.set)
    background = [
        asyncio.create_task(tend(spool, settings.fsync, disk)),
        asyncio.create_task(_sweep(lane)),
        asyncio.create_task(_report(control, spool, forwarder, lane, going, orphaned, hangup)),
        *map(asyncio.create_task, reload.tending(intake, files, hangup, salt, tally)),
    ]
    if settings.fsync == "interval":
        background.append(asyncio.create_task(sync_regularly(spool, settings.fsync_interval_ms / 1000, disk, tally)))
    forwarding = asyncio.create_task(forwarder.run())
    failures: list[BaseException] = []
    # What was there at the start need not be looked at again by the garbage collector.
    gc.collect()
    gc.freeze()

    def ended(task: "asyncio.Task[None]") -> None:
        """A task that ends by an error takes the worker with it: the supervisor makes a new one."""
        if not task.cancelled() and (problem := task.exception()) is not None:
            failures.append(problem)
            log.line("error", "worker fails", worker=number, problem=repr(problem), where=log.where(problem))
            orphaned.set()
            going.set()

    for task in (forwarding, *background):
        task.add_done_callback(ended)

    await going.wait()
    if orphaned.is_set():
        loop.call_later(_GONE_WITHIN_S, os._exit, 1)  # whatever hangs: the port and the spool belong to the next one
    intake.draining = True
    lane.drain()
    if not orphaned.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(settings.grace_s):
                await orphaned.wait()
    await _close(server, listener, lane)
    turn.flush()
    lane.close_idle()
    await runner.shutdown()
    await runner.cleanup()
    turn.flush()
    if not orphaned.is_set():
        forwarder.drain()
        # With nothing left to send there is nothing to wait for, though Kafka may be away.
        await asyncio.wait([forwarding], timeout=settings.drain_s if spool.unsent_bytes else 0)
    forwarding.cancel()
    for task in background:
        task.cancel()
    await asyncio.gather(forwarding, *background, return_exceptions=True)
    left = spool.unsent_bytes
    if settings.fsync != "never":
        with contextlib.suppress(OSError):
            await loop.run_in_executor(disk, spool.sync)
    disk.shutdown()
    spool.close()
    log.line("info", "worker ends", worker=number, left_on_disk_bytes=left)
    log.settle()
    return 1 if failures else 0


async def _close(server: asyncio.Server, listener: socket.socket, lane: Lane) -> None:
    """Close the port, and answer what comes on the connections that there are, for a moment.

    A proxy that has just sent a POST, on a connection that it takes for open, does not send it again elsewhere. So what
    waits to be accepted is taken, and idle ones are left open for the request that may be under way.
    """
    waiting: list[socket.socket] = []
    with contextlib.suppress(BlockingIOError):
        while len(waiting) < _MOST_WAITING:
            waiting.append(listener.accept()[0])
    server.close()
    loop = asyncio.get_running_loop()
    for one in waiting:
        await loop.connect_accepted_socket(lane, one)
    for _ in range(int(_LAST_S / _LOOK_S)):
        if lane.connections:
            await asyncio.sleep(_LOOK_S)


async def _sweep(lane: Lane) -> None:
    while True:
        await asyncio.sleep(1)
        lane.sweep()


async def _report(
    control: socket.socket,
    spool: Spool,
    forwarder: Forwarder,
    lane: Lane,
    going: asyncio.Event,
    orphaned: asyncio.Event,
    hangup: asyncio.Event,
) -> None:
    """Tell the supervisor each second and whenever it asks; when it is gone, go."""
    tally = lane.intake.tally
    reader, writer = await asyncio.open_unix_connection(sock=control)
    parent_death.outlive_parent()
    try:
        while True:
            lane.tell()
            _measure(tally, spool)
            met = forwarder.ever_connected
            not_ready = f"spool: {spool.trouble}" if spool.trouble else "" if met else WAITING_FOR_KAFKA
            writer.write(msgspec.json.encode(Report(not_ready, tally.snapshot(), met)) + b"\n")
            await writer.drain()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    asked = await reader.readline()
                if not asked:
                    break
                if asked == RELOAD:
                    hangup.set()
    except OSError as problem:
        log.line("warning", "lost the supervisor", problem=str(problem))
    orphaned.set()
    going.set()


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

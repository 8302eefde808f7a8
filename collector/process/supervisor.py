"""The collector's first process: owns the port, keeps the workers running, answers on the admin port for all of them.

Rule: the supervisor makes one listening socket a worker (SO_REUSEPORT) and keeps it open, so that what connects while a
worker is being replaced waits in the queue instead of being refused. Over 250 lines with what must be refused at start.
"""

import asyncio
import contextlib
import errno
import fcntl
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web

from collector import admin, log, metrics
from collector.kafka import access
from collector.metrics import WAITING_FOR_KAFKA, Report
from collector.process import parent_death
from collector.process.site_files import BadFile, SiteFiles
from collector.settings import Settings
from collector.spool import acknowledged
from collector.spool.acknowledged import Position

_BACKLOG: Final = 4096
_FIRST_BACKOFF_S: Final = 0.1
_LONGEST_BACKOFF_S: Final = 5.0
_ANSWER_S: Final = 1.0
_SETTLE_S: Final = 10.0
_BUSY_FOR_S: Final = 3.0


class Unusable(Exception):
    """A setting that cannot be used here: a busy port, an unwritable folder. One line that names it."""


def listen(host: str, port: int, workers: int) -> list[socket.socket]:
    """Return a listening socket a worker, all on one port.

    Raises:
        Unusable: the port is busy or the address not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listeners: list[socket.socket] = []
    try:
        with socket.socket(family) as probe:
            # Without SO_REUSEPORT: a second collector on this port would silently take half of the traffic.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            port = probe.getsockname()[1]
        for _ in range(workers):
            listener = socket.socket(family)
            listeners.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind((host, port))
            listener.listen(_BACKLOG)
    except OSError as problem:
        for listener in listeners:
            listener.close()
        raise Unusable(f"PHAROS_COLLECTOR_PORT: cannot listen on {host}:{port}: {problem.strerror}") from problem
    return listeners


class _Worker:
    """A slot: its listening socket stays, its process may be replaced."""

    def __init__(self, number: int, listener: socket.socket) -> None:
        self.number = number
        self.listener = listener
        self.process: asyncio.subprocess.Process | None = None
        self.report = Report("starting", [])
        self.told = asyncio.Event()
        self.control: asyncio.StreamWriter | None = None


class Supervisor:
    """Keeps the workers."""

    def __init__(self, settings: Settings, listeners: list[socket.socket]) -> None:
        """Take note of whether the spool has ever reached Kafka."""
        self._settings: Final = settings
        self._workers: Final = [_Worker(number, listener) for number, listener in enumerate(listeners)]
        self._gone: dict[metrics.Key, float] = {}
        self._deaths = 0
        self._met_kafka = any(
            acknowledged.read(path) > Position(0, 0) for path in Path(settings.spool_dir).glob("*/mark")
        )
        self.draining = False
        self.failed = asyncio.Event()
        """A worker cannot be kept, for a fault of our own."""

    def not_ready(self) -> str:
        """Say why traffic should stay away, or nothing.

        Kafka's absence is a reason only where it was never reached: a wrong address or password stops a roll-out before
        traffic comes. Later it is none, whoever starts anew meanwhile: the spool is there for it, and traffic turned
        away is lost.
        """
        if self.draining:
            return "draining"
        reasons = (worker.report.not_ready for worker in self._workers)
        return next((why for why in reasons if why and not (self._met_kafka and why == WAITING_FOR_KAFKA)), "")

    async def metrics(self) -> bytes:
        """Ask every worker, add up; one that does not answer counts as it told last."""
        for worker in self._workers:
            worker.told.clear()
            if worker.control is not None:
                worker.control.write(b"\n")
        with contextlib.suppress(TimeoutError):
            asked = [worker.told.wait() for worker in self._workers if worker.control is not None]
            await asyncio.wait_for(asyncio.gather(*asked), _ANSWER_S)
        sums = metrics.total([worker.report.tally for worker in self._workers], [self._gone.items()])
        sums["workers",] = sum(worker.process is not None for worker in self._workers)
        sums["worker_deaths_total",] = self._deaths
        return metrics.text(sums)

    async def keep(self) -> None:
        """Run the workers until each has drained."""
        await asyncio.gather(*(self._keep(worker) for worker in self._workers))

    async def _keep(self, worker: _Worker) -> None:
        backoff = _FIRST_BACKOFF_S
        while not self.draining:
            started = time.monotonic()
            try:
                code = await self._run(worker)
            except OSError as problem:  # no process, memory or descriptor to be had: that passes
                log.line("error", "cannot start a worker", worker=worker.number, problem=str(problem))
                code = None
            except Exception as problem:  # noqa: BLE001  whatever it is: the others drain, and the exit code tells
                log.line("error", "cannot keep a worker", worker=worker.number, problem=repr(problem))
                self.failed.set()
                return
            if self.draining:
                return
            if code is not None:
                self._deaths += 1
                log.line("error", "a worker died and is replaced", worker=worker.number, code=code)
            backoff = _FIRST_BACKOFF_S if time.monotonic() - started > 10 else min(2 * backoff, _LONGEST_BACKOFF_S)
            await asyncio.sleep(backoff)

    async def _run(self, worker: _Worker) -> int:
        """Start the worker's process, listen to it until it ends; return its exit code."""
        ours, theirs = socket.socketpair()
        argv = (sys.executable, "-m", "collector", "worker", str(worker.number))
        with theirs:
            try:
                worker.process = await asyncio.create_subprocess_exec(
                    *argv,
                    str(worker.listener.fileno()),
                    str(theirs.fileno()),
                    preexec_fn=parent_death.die_with_parent,
                    pass_fds=(worker.listener.fileno(), theirs.fileno()),
                )
            except BaseException:
                ours.close()
                raise
        if self.draining:
            worker.process.terminate()
        reader, worker.control = await asyncio.open_unix_connection(sock=ours, limit=1 << 20)
        try:
            while line := await reader.readline():
                worker.report = msgspec.json.decode(line, type=Report)
                self._met_kafka = self._met_kafka or worker.report.met_kafka
                worker.told.set()
        except (OSError, ValueError) as problem:
            log.line("warning", "cannot read a worker's report", worker=worker.number, problem=str(problem))
        code = await worker.process.wait()
        worker.process = None
        worker.control.close()
        worker.control = None
        worker.told.set()
        self._gone = metrics.total([], [self._gone.items(), worker.report.tally])
        worker.report = Report("starting", [])
        return code

    def drain(self) -> None:
        """Have the workers end: `/readyz` says 503 from now on."""
        self.draining = True
        for worker in self._workers:
            # From here on only the workers hold the port, so that it closes when they have had their grace.
            worker.listener.close()
            if worker.process is not None:
                with contextlib.suppress(ProcessLookupError):
                    worker.process.terminate()

    def reload(self) -> None:
        """Have the workers read sites and links again."""
        for worker in self._workers:
            if worker.control is not None:
                worker.control.write(b"reload\n")

    def kill(self) -> None:
        for worker in self._workers:
            if worker.process is not None:
                with contextlib.suppress(ProcessLookupError):
                    worker.process.kill()


def check_files(files: SiteFiles) -> None:
    """Read sites and links once, so that a broken file stops the start.

    Raises:
        Unusable: with the line and the reason.
    """
    try:
        files.read()
    except BadFile as problem:
        raise Unusable(str(problem)) from problem


def _open_lock(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as problem:
        if problem.errno != errno.EROFS or not path.exists():
            raise
        # A spool that was in use, on a disk that has become read-only: the disk's fault, not a setting's. It can be
        # locked so too, and the workers answer 503 until it can be written.
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def own_spool(folder: Path) -> int:
    """Make the spool's folder and lock it against a second collector; return the descriptor.

    Raises:
        Unusable: it cannot be written, or another collector has it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fd = _open_lock(folder / "lock")
    except OSError as problem:
        raise Unusable(f"PHAROS_COLLECTOR_SPOOL_DIR: cannot write {folder}: {problem.strerror}") from problem
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise Unusable(f"PHAROS_COLLECTOR_SPOOL_DIR: another collector has {folder}") from None
    return fd


async def run(settings: Settings) -> int:
    """Run the collector until SIGTERM or SIGINT; return the exit code.

    Raises:
        Unusable: a setting cannot be used here.
    """
    log.use(settings.log)
    try:
        access.access(settings)
    except ValueError as problem:
        raise Unusable(str(problem)) from None
    check_files(SiteFiles(Path(settings.sites), Path(settings.links) if settings.links else None))
    lock = own_spool(Path(settings.spool_dir))
    listeners = await _listen_patiently(settings)
    supervisor = Supervisor(settings, listeners)
    runner = web.AppRunner(admin.build(supervisor.not_ready, supervisor.metrics), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, settings.admin_host, settings.admin_port)
    try:
        await site.start()
    except OSError as problem:
        where = f"{settings.admin_host}:{settings.admin_port}"
        raise Unusable(f"PHAROS_COLLECTOR_ADMIN_PORT: cannot listen on {where}: {problem.strerror}") from problem

    going = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, going.set)
    loop.add_signal_handler(signal.SIGHUP, supervisor.reload)
    keeping = asyncio.create_task(supervisor.keep())
    log.line(
        "info",
        "listening",
        host=settings.host,
        port=listeners[0].getsockname()[1],
        admin_host=settings.admin_host,
        admin_port=runner.addresses[0][1],
        workers=settings.workers,
    )
    ends = [keeping, asyncio.create_task(going.wait()), asyncio.create_task(supervisor.failed.wait())]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    log.line("info", "draining")
    supervisor.drain()
    done, _ = await asyncio.wait([keeping], timeout=settings.grace_s + settings.drain_s + _SETTLE_S)
    if not done:
        supervisor.kill()
        await asyncio.wait([keeping])
    await runner.cleanup()
    os.close(lock)
    log.line("info", "drained" if done else "ended by force")
    log.settle()
    return 0 if done and not supervisor.failed.is_set() else 1


async def _listen_patiently(settings: Settings) -> list[socket.socket]:
    """As `listen`; workers of a collector that was killed may hold the port for a moment longer."""
    deadline = time.monotonic() + _BUSY_FOR_S
    while True:
        try:
            return listen(settings.host, settings.port, settings.workers)
        except Unusable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)

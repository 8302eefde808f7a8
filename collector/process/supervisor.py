"""The collector's first process: owns the port, keeps the workers running, serves the admin port for all of them.

The supervisor opens one listening socket a worker and keeps it open. So connections that arrive while a worker is
replaced wait in the backlog instead of being refused. Over 250 lines: start, supervision and end share the slots.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Final

from aiohttp import web

from collector import metrics
from collector.metrics import WAITING_FOR_KAFKA, RefusedEntry, Report
from collector.process import claims, control, last_good, parent_death, refusals
from collector.process.claims import Unusable
from collector.process.last_good import Handover, LastGood
from collector.process.site_files import BadFile, Rules, SiteFiles, watch
from collector.settings import Settings
from collector.spool import acknowledged
from collector.spool.acknowledged import Position
from stage import admin, log
from stage.kafka import access

_FIRST_BACKOFF_S: Final = 0.1
_LONGEST_BACKOFF_S: Final = 5.0
_ANSWER_S: Final = 1.0
_SETTLE_S: Final = 10.0


class _Slot:
    """One worker's place: the listening socket stays, the process may be replaced."""

    def __init__(self, number: int, listener: socket.socket) -> None:
        self.number = number
        self.listener = listener
        self.process: asyncio.subprocess.Process | None = None
        self.report = Report("starting", [])
        self.reported = asyncio.Event()
        """A report has arrived since the last question, or the process has ended."""
        self.control: asyncio.StreamWriter | None = None
        self.refused: asyncio.Future[list[RefusedEntry]] | None = None
        """Waits for the report that has the last refusals."""


class Supervisor:
    """Keeps the workers running."""

    def __init__(self, settings: Settings, listeners: list[socket.socket], files: SiteFiles) -> None:
        """Read from the spool's marks whether Kafka was ever reached. `files` has read good contents."""
        self._files: Final = files
        self._settings: Final = settings
        self._slots: Final = [_Slot(number, listener) for number, listener in enumerate(listeners)]
        self._gone: dict[metrics.Key, float] = {}
        """Counts of workers that have ended."""
        self._deaths = 0
        self._name: Final = os.urandom(4).hex()
        self._met_kafka = any(
            acknowledged.read(path) > Position(0, 0) for path in Path(settings.spool_dir).glob("*/mark")
        )
        self.draining = False
        self.failed = asyncio.Event()
        """A worker cannot be kept running, for a fault of this program."""

    def not_ready(self) -> str:
        """Return why load balancers should send no traffic; empty: they may.

        A missing Kafka is a reason only if it was never reached: a wrong address or password stops a roll-out before
        traffic comes. Later it is no reason, even for a new worker: the spool takes the hits, and traffic that is sent
        away is lost.
        """
        if self.draining:
            return "draining"
        reasons = (slot.report.not_ready for slot in self._slots)
        return next((why for why in reasons if why and not (self._met_kafka and why == WAITING_FOR_KAFKA)), "")

    async def metrics(self) -> bytes:
        """Ask every worker and return the sums; a worker that does not answer counts with its last report."""
        for slot in self._slots:
            slot.reported.clear()
            if slot.control is not None:
                slot.control.write(control.ASK)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ANSWER_S):
                await asyncio.gather(*(slot.reported.wait() for slot in self._slots if slot.control is not None))
        sums = metrics.total([slot.report.tally for slot in self._slots], [self._gone.items()])
        sums["workers",] = sum(slot.process is not None for slot in self._slots)
        sums["worker_deaths_total",] = self._deaths
        return metrics.text(sums)

    async def refused(self, _: web.Request) -> web.Response:
        """Answer the admin port's `/refused`; a worker that does not answer in time is left out."""
        asked: list[asyncio.Future[list[RefusedEntry]]] = []
        for slot in self._slots:
            if slot.control is not None:
                if slot.refused is None:
                    slot.refused = asyncio.get_running_loop().create_future()
                    slot.control.write(control.REFUSED)
                asked.append(slot.refused)
        if asked:
            await asyncio.wait(asked, timeout=_ANSWER_S)
        body = refusals.as_json(self._name, (one.result() for one in asked if one.done()))
        return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})

    async def keep(self) -> None:
        """Run the workers until each has drained."""
        await asyncio.gather(*(self._keep(slot) for slot in self._slots))

    async def _keep(self, slot: _Slot) -> None:
        backoff = _FIRST_BACKOFF_S
        while not self.draining:
            started = time.monotonic()
            try:
                code = await self._run(slot)
            except OSError as problem:  # no process, memory or descriptor available: that passes
                log.line("error", "cannot start a worker", worker=slot.number, problem=str(problem))
                code = None
            except Exception as problem:  # noqa: BLE001  the other workers drain, and the exit code is 1
                log.line("error", "cannot keep a worker", worker=slot.number, problem=repr(problem))
                self.failed.set()
                return
            if self.draining:
                return
            if code is not None:
                self._deaths += 1
                log.line("error", "a worker died and is replaced", worker=slot.number, code=code)
            backoff = _FIRST_BACKOFF_S if time.monotonic() - started > 10 else min(2 * backoff, _LONGEST_BACKOFF_S)
            await asyncio.sleep(backoff)

    async def _run(self, slot: _Slot) -> int:
        """Start the worker's process, read its reports until it ends; return its exit code."""
        ours, theirs = socket.socketpair()
        with theirs:
            handover = -1
            try:
                handover = last_good.hand_over(Handover(settings=self._settings, last_good=self._last_good()))
                passed = (slot.listener.fileno(), theirs.fileno(), handover)
                slot.process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "collector", "worker", str(slot.number)),
                    *map(str, passed),
                    preexec_fn=parent_death.die_with_parent,
                    pass_fds=passed,
                )
            except BaseException:
                ours.close()
                raise
            finally:
                if handover >= 0:
                    os.close(handover)
        if self.draining:
            slot.process.terminate()
        reader, slot.control = await asyncio.open_unix_connection(sock=ours, limit=1 << 20)
        try:
            while line := await reader.readline():
                slot.report = control.decode(line)
                self._met_kafka = self._met_kafka or slot.report.met_kafka
                slot.reported.set()
                if slot.report.refused is not None and slot.refused is not None:
                    slot.refused.set_result(slot.report.refused)
                    slot.refused = None
        except (OSError, ValueError) as problem:
            log.line("warning", "cannot read a worker's report", worker=slot.number, problem=str(problem))
        code = await slot.process.wait()
        slot.process = None
        slot.control.close()
        slot.control = None
        slot.refused = None
        slot.reported.set()
        self._gone = metrics.total([], [self._gone.items(), slot.report.tally])
        slot.report = Report("starting", [])
        return code

    def drain(self) -> None:
        """Make the workers end; `/readyz` returns 503 from now on."""
        self.draining = True
        for slot in self._slots:
            # From now on only the workers hold the port, so that it closes at the end of their grace.
            slot.listener.close()
            if slot.process is not None:
                with contextlib.suppress(ProcessLookupError):
                    slot.process.terminate()

    def _last_good(self) -> LastGood:
        if self._files.last_good is None:
            raise RuntimeError("sites and links were never read")
        return self._files.last_good

    def reload(self) -> None:
        """Make the workers read sites and links again."""
        for slot in self._slots:
            if slot.control is not None:
                slot.control.write(control.RELOAD)

    def kill(self) -> None:
        """Kill the workers."""
        for slot in self._slots:
            if slot.process is not None:
                with contextlib.suppress(ProcessLookupError):
                    slot.process.kill()


def read_files(files: SiteFiles, spool_dir: Path) -> None:
    """Read sites and links, or else their last good copy next to the spool.

    Raises:
        Unusable: they are broken and there is no copy; with the line and the reason.
    """
    files.last_good = last_good.load(spool_dir, *files.paths)
    try:
        _, broken = files.read_or_last_good()
    except BadFile as problem:
        raise Unusable(str(problem)) from problem
    if broken is not None:
        log.line(
            "error",
            "sites.toml or links.toml is broken: starting with the last good copy",
            problem=str(broken),
            copy=str(spool_dir / last_good.NAME),
        )


def keep_copy(files: SiteFiles, spool_dir: Path) -> None:
    """Write the last good contents next to the spool."""
    if files.last_good is not None:
        try:
            last_good.save(spool_dir, files.last_good)
        except OSError as problem:
            log.line("warning", "cannot keep a copy of sites and links", folder=str(spool_dir), problem=str(problem))


async def run(settings: Settings) -> int:
    """Run the collector until SIGTERM or SIGINT; return the exit code.

    Raises:
        Unusable, SettingError: a setting cannot be used on this host.
    """
    log.start("collector", settings.log)
    access(settings)
    files = SiteFiles(Path(settings.sites), Path(settings.links) if settings.links else None)
    spool_dir = Path(settings.spool_dir)
    read_files(files, spool_dir)
    lock = claims.lock_spool(spool_dir)
    keep_copy(files, spool_dir)
    listeners = await claims.listen_patiently(settings)
    supervisor = Supervisor(settings, listeners, files)
    routes = [web.get("/refused", supervisor.refused)]
    admin_port = await admin.serve(settings, supervisor.not_ready, supervisor.metrics, routes)

    going = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, going.set)
    loop.add_signal_handler(signal.SIGHUP, supervisor.reload)
    keeping = asyncio.create_task(supervisor.keep())

    # The workers complain about a broken file; here only good contents matter.
    def adopt(_: Rules) -> None:
        keep_copy(files, spool_dir)

    watching = asyncio.create_task(watch(files, asyncio.Event(), adopt, lambda _: None))
    log.line(
        "info",
        "listening",
        host=settings.host,
        port=listeners[0].getsockname()[1],
        admin_host=settings.admin_host,
        admin_port=admin_port.port,
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
    watching.cancel()
    await admin_port.close()
    os.close(lock)
    log.line("info", "drained" if done else "ended by force")
    log.settle()
    return 0 if done and not supervisor.failed.is_set() else 1

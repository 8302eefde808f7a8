"""What a hit costs here and elsewhere: nginx, an afternoon's handler, Pharos, and other collectors that are installed.

The same requests of the mix, the same core, the same broker. Each round starts a new server: full load from wrk for
CPU and rate; then the load driver at RATE for the 99th percentile; then RATE again with a `kill -9` of the whole server
in mid-load. A hit is lost if it was answered with success and is nowhere afterwards: of nginx in its log, of the others
in the topic, after what can be started again was started again. A power cut is another question.
"""

import asyncio
import itertools
import re
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from loadtest.bench import broker, native, nginx, wrk
from loadtest.bench.collector_process import SURFACE, collector
from loadtest.bench.frame import Bench, Contestant, Figures, Options
from loadtest.check.processes import Program, free_port, kill_tree, listening, pinned, started, wait_until
from loadtest.drive import driver, verdict
from loadtest.drive.measurements import Measurements
from loadtest.drive.plan import Plan
from loadtest.traffic import mix, schedule
from loadtest.traffic.request_template import ID_PREFIX, uuid_middle

OTHERS: Final = {
    "GoatCounter": "it takes other requests and has no Kafka; docs/benchmarks.md has a measurement by hand",
    "Jitsu's ingest": "it needs a configuration service; docs/benchmarks.md has a measurement by hand",
}
RATE: Final = 1_000
"""Requests a second of the runs that are not full load: a rate that every contestant can answer."""
DISTINCT: Final = 60_000
TOPIC: Final = "hits.raw"


class Peer(msgspec.Struct, frozen=True):
    """A server that runs, and how to find out what it kept."""

    program: Program
    port: int
    settled: Callable[[], bool]
    """Whether it has handed on all that it answered."""
    lost: Callable[[driver.DriveResult], int]
    """Return how many hits of a run were answered with success and are not kept; restarts what it needs for that."""


Starting = Callable[[Path], AbstractContextManager[Peer]]
"""Starts a server with its files in a folder."""


def named(texts: Iterable[bytes], run: str) -> set[int]:
    """Return the numbers of the run's hits that are named in the texts; the run has one sender."""
    prefix, middle = f"{ID_PREFIX}{run}-00-".encode(), f"{uuid_middle(run)}00".encode()
    pattern = re.compile(b"(?:%b|%b)([0-9a-f]{8})" % (prefix, middle))
    return {int(number, 16) for text in texts for number in pattern.findall(text)}


def _not_in_topic(kafka: str, drive: driver.DriveResult) -> int:
    (totals,) = drive.totals
    answered = {number for number, outcome in enumerate(totals.outcomes) if outcome == verdict.ACCEPTED}
    return len(answered - named(asyncio.run(broker.records(kafka, TOPIC)), drive.plan.run))


@contextmanager
def _nginx(folder: Path) -> Iterator[Peer]:
    """Run the floor: it answers, and keeps a line of its buffered log for each request."""
    with nginx.nginx(folder) as (program, port):
        log = folder / "access.log"
        calm = log.parent / "calm"

        def lost(drive: driver.DriveResult) -> int:
            lines = log.read_bytes().count(b"\n") - int(calm.read_text())
            return sum(totals.answers for totals in drive.totals) - lines

        def settled() -> bool:
            time.sleep(1.2)  # longer than its log is buffered
            calm.write_text(str(log.read_bytes().count(b"\n")))
            return True

        yield Peer(program, port, settled, lost)


@contextmanager
def _aiohttp(folder: Path) -> Iterator[Peer]:
    port = free_port()
    with broker.broker(folder) as kafka:
        argv = [sys.executable, "-m", "loadtest.bench.peer_aiohttp", str(port), kafka, TOPIC]
        with started(argv, folder=folder, cores=wrk.cores()[0], ready=lambda: listening(port)) as program:

            def settled() -> bool:
                time.sleep(0.5)  # its producer sends what it has after 20 ms
                return True

            yield Peer(program, port, settled, lambda drive: _not_in_topic(kafka, drive))


@contextmanager
def _pharos(folder: Path, code: Path) -> Iterator[Peer]:
    with broker.broker(folder) as kafka, collector(folder / "collector", code, kafka) as one:

        def lost(drive: driver.DriveResult) -> int:
            with collector(folder / "collector", code, kafka) as again:  # on the spool of the one that was killed
                wait_until(again.settled, "everything forwarded", 60)
            return _not_in_topic(kafka, drive)

        yield Peer(one.program, one.port, one.settled, lost)


def _drive(port: int, seconds: float, patience_s: float, killed: Program | None = None) -> driver.DriveResult:
    """Send the mix at RATE, and wait `patience_s` for answers; kill -9 the server in the middle where it is given."""
    plan = Plan(
        target=driver.target_of(f"http://127.0.0.1:{port}", connections=wrk.CONNECTIONS, churn=0, timeout_s=patience_s),
        surface=SURFACE,
        schedule=schedule.Schedule(schedule.constant(RATE, seconds), poisson=True),
        profile="mix",
        run=secrets.token_hex(4),
        pool=5_000,
        drain_s=patience_s,
    )
    kill: threading.Timer | None = None

    def tell(measured: Measurements) -> None:
        nonlocal kill
        if killed and kill is None:
            kill = threading.Timer(measured.start + seconds / 2 - time.perf_counter(), kill_tree, [killed.pid])
            kill.start()

    with pinned(wrk.cores()[1]):
        drive = driver.drive(plan, tell)
    if kill:
        kill.join()
    return drive


def _round(starting: Starting, folder: Path, requests: Path, options: Options) -> Figures:
    folder.mkdir()
    patience_s = options.scaled(2.0, 0.5)
    with starting(folder) as peer:
        if not options.miniature:
            wrk.run(peer.port, requests, 1)
            wait_until(peer.settled, "everything handed on", 60)
        before = peer.program.cpu_s()
        full = wrk.run(peer.port, requests, 4, most=options.scaled(0, wrk.FEW))
        wait_until(peer.settled, "everything handed on", 60)
        cpu_s = peer.program.cpu_s() - before
        calm = None
        if not options.miniature:
            calm = _drive(peer.port, 4, patience_s)
            wait_until(peer.settled, "everything handed on", 60)
        killed = _drive(peer.port, options.scaled(4, 1), patience_s, peer.program)
        lost = peer.lost(killed)
    latency = (calm or killed).measured.latency  # in miniature there is one run only
    return {
        "cpu_us_per_request": cpu_s * 1e6 / full.hits,
        "requests_per_s": full.hits / full.us * 1e6,
        "p99_ms": full.p99_us / 1000,
        "calm_p50_ms": latency.get_value_at_percentile(50) / 1000,
        "calm_p99_ms": latency.get_value_at_percentile(99) / 1000,
        "hits_answered_before_kill": killed.count(verdict.ACCEPTED),
        "hits_lost": lost,
    }


@contextmanager
def prepare(options: Options) -> Iterator[Bench]:
    """Write the requests, compile the collector, yield the contestants; each round starts its own server and broker."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wrk.write(mix.raw(1, SURFACE, options.scaled(DISTINCT, 500)), folder / "requests")
        compiled = native.compiled(folder / "native")
        numbers = itertools.count()

        def measured(starting: Starting) -> Callable[[], Figures]:
            return lambda: _round(starting, folder / f"round-{next(numbers)}", folder / "requests", options)

        yield Bench(
            title="Pharos and others on the same requests",
            contestants=(
                Contestant("nginx", measured(_nginx)),
                Contestant("pharos", measured(lambda folder: _pharos(folder, compiled)), floor="nginx"),
                Contestant("aiohttp + send", measured(_aiohttp), floor="nginx"),
            ),
            facts={
                "requests": f"the mix, {options.scaled(DISTINCT, 500):,} different ones at full load",
                "calm": f"{RATE:,} requests/s",
                "nginx": nginx.version(),
                "pharos": "compiled (deploy.native), 1 worker, everything on",
                "aiohttp + send": "loadtest/bench/peer_aiohttp.py: awaits producer.send, acks=1, checks nothing",
                "broker": f"{broker.name()}, a new one each round",
                "hits_lost": "of hits_answered_before_kill; of nginx requests, by the lines of its log",
            },
            skipped=OTHERS,
        )

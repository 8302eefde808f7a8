"""What a request costs: nginx with a buffered access log against the collector doing everything.

Server on one core, wrk and the broker on another. Everything: cookie, hit, spool with `interval` fsync, Kafka with lz4
and `acks=all`. CPU is the server's process tree's own, until the last hit is in Kafka. The requests are those of the
mix (loadtest/traffic/mix.py), 60,000 different ones, so that what is measured is the code and not a cache.
"""

import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from loadtest.bench import broker, native, nginx, wrk
from loadtest.bench.collector_process import collector, worker
from loadtest.bench.collector_requests import DISTINCT, KINDS, LINK_KEY, TEN, Files
from loadtest.bench.frame import Bench, Bound, Contestant, Figures, Options
from loadtest.check.processes import Program, rss_bytes, wait_until

WARM_S: Final = 1.0
"""Load before a round is measured."""
EVERYDAY_PER_S: Final = 2_000
"""Requests a second of an everyday load."""
HALF: Final = ("pixel", "mix")
"""Kinds that are also sent at half of the collector's capacity."""


class Server(msgspec.Struct, frozen=True):
    """A server that runs, warmed up."""

    program: Program
    port: int
    settled: Callable[[], bool]
    """Whether it has handed on all that it accepted."""


def _full(server: Server, requests: Path, options: Options, events: int) -> Figures:
    """Send as much as the server takes; a request has `events` events."""
    os.sync()  # what others left to be written would be written now, on these two cores
    before = server.program.cpu_s()
    sent = wrk.run(server.port, requests, 4, most=options.scaled(0, wrk.FEW))
    wait_until(server.settled, "everything forwarded", 60)
    cpu_us = (server.program.cpu_s() - before) * 1e6 / sent.hits
    return {
        "cpu_us_per_request": cpu_us,
        "cpu_us_per_event": cpu_us / events,
        "requests_per_s": sent.hits / sent.us * 1e6,
        "p50_ms": sent.p50_us / 1000,
        "p99_ms": sent.p99_us / 1000,
        "p99_9_ms": sent.p99_9_us / 1000,
    }


def _half(server: Server, requests: Path, options: Options, pause_ms: int) -> Figures:
    """Send half of what the collector takes."""
    os.sync()
    sent = wrk.run(server.port, requests, 4, mean_pause_ms=pause_ms, most=options.scaled(0, wrk.FEW))
    wait_until(server.settled, "everything forwarded", 60)
    return {
        "half_requests_per_s": sent.hits / sent.us * 1e6,
        "half_p50_ms": sent.p50_us / 1000,
        "half_p99_ms": sent.p99_us / 1000,
        "half_p99_9_ms": sent.p99_9_us / 1000,
    }


def _everyday(server: Server, requests: Path, options: Options) -> Figures:
    """Send EVERYDAY_PER_S."""
    os.sync()
    before = server.program.cpu_s()
    pause_ms = round(wrk.CONNECTIONS / EVERYDAY_PER_S * 1000)
    sent = wrk.run(server.port, requests, 6, mean_pause_ms=pause_ms, most=options.scaled(0, wrk.FEW))
    wait_until(server.settled, "everything forwarded", 60)
    return {
        "cpu_us_per_request": (server.program.cpu_s() - before) * 1e6 / sent.hits,
        "requests_per_s": sent.hits / sent.us * 1e6,
        "p50_ms": sent.p50_us / 1000,
        "p99_ms": sent.p99_us / 1000,
    }


@contextmanager
def _collector(folder: Path, code: Path, requests: Path, options: Options) -> Iterator[Server]:
    """Run a new broker and the collector whose packages are in `code`.

    A new one, since this broker keeps all in memory: with a gigabyte in it, it alone makes every p99 on its core five
    times as long, nginx's too.
    """
    folder.mkdir()
    with (
        broker.broker(folder) as kafka,
        collector(folder / "collector", code, kafka, {"PHAROS_COLLECTOR_LINK_KEY": LINK_KEY}) as running,
    ):
        wrk.run(running.port, requests, WARM_S, most=options.scaled(0, wrk.FEW))
        wait_until(running.settled, "everything forwarded", 60)
        yield Server(running.program, running.port, running.settled)


class Rounds:
    """Makes the rounds of the contestants. In miniature those of the same code share one collector."""

    def __init__(self, folder: Path, floor: Server, compiled: Path, options: Options, stack: ExitStack) -> None:
        """`floor` is nginx; `compiled` has the compiled packages; `stack` ends what is shared."""
        self._folder: Final = folder
        self._floor: Final = floor
        self._compiled: Final = compiled
        self._options: Final = options
        self._stack: Final = stack
        self._files: Final = Files(folder, options.scaled(DISTINCT, 500))
        self._numbers: Final = itertools.count()
        self._shared: Final[dict[Path, Server]] = {}
        self.pauses_ms: Final[dict[str, int]] = {}
        """Of each connection, by kind: at half of the collector's capacity, the same for all contestants."""

    @contextmanager
    def _running(self, code: Path, kind: str) -> Iterator[Server]:
        new = _collector(self._folder / f"round-{next(self._numbers)}", code, self._files.path(kind), self._options)
        if not self._options.miniature:
            with new as server:
                yield server
            return
        if code not in self._shared:
            self._shared[code] = self._stack.enter_context(new)
        yield self._shared[code]

    def _pause_ms(self, kind: str) -> int:
        """Return the pause at half of the compiled collector's capacity, which is found once; in miniature a guess."""
        if self._options.miniature:
            return 10
        if kind not in self.pauses_ms:
            with self._running(self._compiled, kind) as server:
                sent = wrk.run(server.port, self._files.path(kind), 3)
            per_s = sent.hits / sent.us * 1e6
            self.pauses_ms[kind] = max(1, round(wrk.CONNECTIONS / (per_s / 2) * 1000))
        return self.pauses_ms[kind]

    def _one(self, server: Server, kind: str) -> Figures:
        path = self._files.path(kind)
        figures = dict(_full(server, path, self._options, TEN if kind == "post of ten" else 1))
        if kind in HALF:
            figures |= _half(server, path, self._options, self._pause_ms(kind))
        if server is not self._floor:
            figures["rss_mb"] = rss_bytes(worker(server.program.pid)) / 1e6
        return figures

    def collector(self, kind: str, code: Path | None = None) -> Callable[[], Figures]:
        """Return the round of a collector, compiled unless `code` says where others are."""

        def one_round() -> Figures:
            if kind in HALF:
                self._pause_ms(kind)  # by a collector of its own
            with self._running(code or self._compiled, kind) as server:
                return self._one(server, kind)

        return one_round

    def floor(self, kind: str) -> Callable[[], Figures]:
        """Return nginx's round."""

        def one_round() -> Figures:
            if not self._options.miniature:
                wrk.run(self._floor.port, self._files.path(kind), WARM_S)
            return self._one(self._floor, kind)

        return one_round

    def everyday(self) -> Callable[[], Figures]:
        """Return the collector's round of pixels at an everyday rate."""

        def one_round() -> Figures:
            with self._running(self._compiled, "pixel") as server:
                return _everyday(server, self._files.path("pixel"), self._options)

        return one_round

    def everyday_floor(self) -> Callable[[], Figures]:
        """Return nginx's."""
        return lambda: _everyday(self._floor, self._files.path("pixel"), self._options)


def _bounds(kind: str) -> tuple[Bound, ...]:
    match kind:
        case "pixel":
            return (Bound("cpu_us_per_request", 1.5, 1.2),)
        case "post" | "named link" | "signed link":
            return (Bound("cpu_us_per_request", 1.9, 1.4),)
        case "post of ten":
            return (Bound("cpu_us_per_event", 0.6, 0.4),)
        case _:
            return (Bound("half_p99_ms", 2, 1.5), Bound("rss_mb", 120, 80, of_ratio=False))


def _contestants(rounds: Rounds) -> Iterator[Contestant]:
    for kind in KINDS:
        if kind == "post of ten":  # an event of ten is compared with a pixel
            yield Contestant(kind, rounds.collector(kind), "pixel", _bounds(kind))
            continue
        yield Contestant(f"nginx {kind}", rounds.floor(kind))
        yield Contestant(kind, rounds.collector(kind), f"nginx {kind}", _bounds(kind))
        if kind == "pixel":
            yield Contestant("pixel, interpreted", rounds.collector(kind, native.ROOT), f"nginx {kind}")
    name = f"pixel at {EVERYDAY_PER_S:,}/s"
    yield Contestant(f"nginx {name}", rounds.everyday_floor())
    yield Contestant(name, rounds.everyday(), f"nginx {name}", (Bound("cpu_us_per_request", 2.5, 1.8),))


@contextmanager
def prepare(options: Options) -> Iterator[Bench]:
    """Start nginx and compile the collector; each round of a collector has a broker of its own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        program, port = stack.enter_context(nginx.nginx(folder))
        floor = Server(program, port, lambda: True)
        rounds = Rounds(folder, floor, native.compiled(folder / "native"), options, stack)
        yield Bench(
            title="A request: nginx with its log, and the collector doing everything",
            contestants=tuple(_contestants(rounds)),
            warms_up=True,
            facts={
                "nginx": nginx.version(),
                "client": f"wrk, {wrk.CONNECTIONS} connections, {options.scaled(DISTINCT, 500):,} different requests",
                "half load": "of the collector's capacity, by pauses of wrk's connections, the same for nginx",
                "broker": f"{broker.name()}, a new one each round",
                "collector": "compiled (deploy.native), 1 worker, fsync interval 100 ms, lz4, acks=all",
            },
        )

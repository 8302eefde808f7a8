"""What a request costs: nginx with a buffered access log against the collector doing everything.

Server on one core, wrk and the broker on another. Everything: cookie, hit, spool with `interval` fsync, Kafka with lz4
and `acks=all`. CPU is the server's process tree's own, until the last hit is in Kafka. The requests are those of the
mix (loadtest/traffic/mix.py), 60,000 different ones, so that what is measured is the code and not a cache.
"""

import hmac
import itertools
import os
import re
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from loadtest.bench import broker, native, nginx, wrk
from loadtest.bench.collector_process import SURFACE, Collector, collector, worker
from loadtest.bench.frame import Bench, Contestant, Figures, Options
from loadtest.check.processes import Program, rss_bytes, wait_until
from loadtest.traffic import mix
from loadtest.traffic.request_template import Request

DISTINCT: Final = 60_000
LINK_KEY: Final = "key-of-signed-links"
WARM: Final = 1.0
"""Seconds of load before a round is measured."""


def write_requests(folder: Path, options: Options) -> dict[str, Path]:
    """Write what is sent, by name: pixels alone, and the mix."""
    count = options.scaled(DISTINCT, 500)
    sent = {
        "pixel": mix.raw(1, SURFACE, count, shares={"pixel": 1}),
        "post": mix.raw(1, SURFACE, count, shares={"tag": 1}, keep=_is_one_event),
        "post of ten": _in_tens(mix.raw(1, SURFACE, count, shares={"tag": 1}, keep=_is_one_event)),
        "named link": mix.raw(1, SURFACE, count, shares={"click": 1}),
        "signed link": _signed(mix.raw(1, SURFACE, count, shares={"click": 1})),
        "mix": mix.raw(1, SURFACE, count),
    }
    for name, requests in sent.items():
        wrk.write(requests, folder / name)
    return {name: folder / name for name in sent}


def _is_one_event(request: Request) -> bool:
    return request.target == "/e" and len(request.expected) == 1


def _in_tens(posts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a POST for every ten, with the head of the first and the events of all."""
    waiting = iter(posts)
    while ten := list(itertools.islice(waiting, 10)):
        head = ten[0].partition(b"\r\n\r\n")[0]
        events = [msgspec.json.decode(post.partition(b"\r\n\r\n")[2]) for post in ten]
        body = msgspec.json.encode([event for sent in events for event in (sent if isinstance(sent, list) else [sent])])
        head = re.sub(rb"(?i)(\r\ncontent-length: )[0-9]+", rb"\g<1>%d" % len(body), head)
        yield head + b"\r\n\r\n" + body


def _signed(clicks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the clicks as clicks on signed links, to ever another page, with the same click ids appended."""
    for number, click in enumerate(clicks):
        url = f"https://shop.example/landing?page={number}"
        signature = hmac.digest(LINK_KEY.encode(), f"bench\n{url}".encode(), "sha256")[:16]
        query = f"s=bench&u={quote(url, safe='')}&k={urlsafe_b64encode(signature).rstrip(b'=').decode()}&"
        yield click.replace(b"/c/bench?", b"/c?" + query.encode(), 1)


def _round(
    server: Program, port: int, requests: Path, options: Options, pause_ms: int, settled: Callable[[], bool]
) -> Figures:
    os.sync()  # what others left to be written would be written now, on these two cores
    before = server.cpu_s()
    full = wrk.run(port, requests, options.scaled(5, 1))
    wait_until(settled, "everything forwarded", 60)
    cpu_s = server.cpu_s() - before
    os.sync()
    half = wrk.run(port, requests, options.scaled(4, 1), mean_pause_ms=pause_ms)
    wait_until(settled, "everything forwarded", 60)
    return {
        "cpu_us_per_request": cpu_s * 1e6 / full.hits,
        "requests_per_s": full.hits / full.us * 1e6,
        "p50_ms": full.p50_us / 1000,
        "p99_ms": full.p99_us / 1000,
        "p99_9_ms": full.p99_9_us / 1000,
        "half_requests_per_s": half.hits / half.us * 1e6,
        "half_p50_ms": half.p50_us / 1000,
        "half_p99_ms": half.p99_us / 1000,
        "half_p99_9_ms": half.p99_9_us / 1000,
        "rss_mb": rss_bytes(worker(server.pid)) / 1e6,
    }


@contextmanager
def _with_broker(folder: Path, code: Path, requests: Path) -> Iterator[Collector]:
    """Run a new broker and the collector whose packages are in `code`, warmed up.

    A new one, since this broker keeps all in memory: with a gigabyte in it, it alone makes every p99 on its core five
    times as long, nginx's too.
    """
    folder.mkdir()
    with (
        broker.broker(folder) as kafka,
        collector(folder / "collector", code, kafka, {"PHAROS_COLLECTOR_LINK_KEY": LINK_KEY}) as running,
    ):
        wrk.run(running.port, requests, WARM)
        wait_until(running.settled, "everything forwarded", 60)
        yield running


@contextmanager
def prepare(options: Options) -> Iterator[Bench]:
    """Start nginx, find half of the collector's capacity; each round of a collector has a broker of its own.

    In miniature all contestants of the same code share one collector, and the half load is a guess.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sent = write_requests(folder, options)
        server, nginx_port = stack.enter_context(nginx.nginx(folder))
        compiled = native.compiled(folder / "native")
        numbers = itertools.count()
        pauses_ms: dict[str, int] = dict.fromkeys(sent, 10)
        shared: dict[Path, Collector] = {}

        @contextmanager
        def running(code: Path, name: str) -> Iterator[Collector]:
            new = _with_broker(folder / f"round-{next(numbers)}", code, sent[name])
            if not options.miniature:
                with new as one:
                    yield one
                return
            if code not in shared:
                shared[code] = stack.enter_context(new)
            yield shared[code]

        def measured(code: Path, name: str) -> Callable[[], Figures]:
            def one_round() -> Figures:
                with running(code, name) as one:
                    return _round(one.program, one.port, sent[name], options, pauses_ms[name], one.settled)

            return one_round

        def floor(name: str) -> Callable[[], Figures]:
            return lambda: _round(server, nginx_port, sent[name], options, pauses_ms[name], lambda: True)

        # Half of the collector's capacity, as pauses between the requests of each connection, the same for all.
        for name in () if options.miniature else sent:
            with running(compiled, name) as one:
                capacity = wrk.run(one.port, sent[name], 3)
            pauses_ms[name] = max(1, round(wrk.CONNECTIONS / (capacity.hits / capacity.us * 1e6 / 2) * 1000))
        yield Bench(
            title="A request: nginx with its log, and the collector doing everything",
            contestants=(
                Contestant("nginx pixel", floor("pixel")),
                Contestant("pixel", measured(compiled, "pixel"), floor="nginx pixel"),
                Contestant("pixel, interpreted", measured(native.ROOT, "pixel"), floor="nginx pixel"),
                *itertools.chain.from_iterable(
                    (
                        Contestant(f"nginx {name}", floor(name)),
                        Contestant(name, measured(compiled, name), f"nginx {name}"),
                    )
                    for name in sent
                    if name != "pixel"
                ),
            ),
            facts={
                "nginx": nginx.version(),
                "client": f"wrk, {wrk.CONNECTIONS} connections, {options.scaled(DISTINCT, 500):,} different requests",
                "half load": f"mean pauses between the requests of a connection, ms: {pauses_ms}",
                "broker": f"{broker.name()}, a new one each round",
                "collector": "compiled (deploy.native), 1 worker, fsync interval 100 ms, lz4, acks=all",
            },
        )

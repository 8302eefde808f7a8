"""What one host of 2 cores and 4 GiB holds with compose.small.yaml: every part at once, at rising rates.

nginx with the files of deploy/edge, a collector of one worker, Apache Kafka, enricher, sink, and ClickHouse (chDB) with
small.xml. An analyst asks for the attribution of a month, again and again. Compiled stages; requests are the mix. The
limit of memory comes from outside: docs/live.md has the command that runs this in a control group of 4 GiB.
"""

import os
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from loadtest.bench import native, pipeline
from loadtest.bench.frame import Bench, Contestant, Figures, Options
from loadtest.bench.host import group, small
from loadtest.bench.host.edge import edge
from loadtest.bench.host.kafka import JARS, kafka
from loadtest.check import local_system
from loadtest.check.processes import free_port, listening, pss_bytes, started

RATES: Final = (100, 200, 430, 1_000, 2_000, 4_000)
"""Hits a second."""
ASKED_EACH_S: Final = 5.0
"""Between two questions of the analyst."""
LOOK_S: Final = 1.0
"""Between two looks at the memory, which cost CPU of their own."""
_STAGES: Final = {name: f"-m {name}" for name in ("collector", "enricher", "sink")}
_QUESTION: Final = """
SELECT channel, source, campaign, currency, sum(conversions), sum(value)
FROM pharos.attribution(site='demo', conversion='purchase', model='position', lookback_days=30,
    since=toString(today() - 30), until=toString(today() + 1), tz='UTC',
    half_life_days=7, restart=0, touch_kinds='arrival,click', ignore='')
GROUP BY channel, source, campaign, currency FORMAT Null
"""


class Host(msgspec.Struct, frozen=True):
    """Everything, running."""

    system: local_system.System
    pids: Mapping[str, Sequence[int]]
    stores: Mapping[str, Callable[[], float]]
    """By name, how many bytes it has on disk."""


def on_disk(folder: Path, pattern: str = "*") -> float:
    """Return the bytes that the files below `folder`/`pattern` take; one that vanishes meanwhile counts nothing."""
    total = 0
    for path in folder.glob(f"{pattern}/**/*"):
        try:
            total += path.stat().st_blocks * 512
        except FileNotFoundError:
            continue
    return float(total)


def _ask(clickhouse: str, statement: str) -> str:
    with urllib.request.urlopen(clickhouse, statement.encode(), timeout=120) as answer:  # noqa: S310 - our own
        return str(answer.read().decode())


def _active_bytes(clickhouse: str) -> float:
    sql = "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = 'pharos'"
    return float(_ask(clickhouse, sql))


class Analyst:
    """Asks the question in a thread of its own until the end of the block."""

    def __init__(self, clickhouse: str) -> None:
        self._clickhouse: Final = clickhouse
        self._over: Final = threading.Event()
        self._thread: Final = threading.Thread(target=self._run, daemon=True)
        self.took_s: Final[list[float]] = []
        self.refused = 0

    def _run(self) -> None:
        while True:
            began = time.monotonic()
            try:
                _ask(self._clickhouse, _QUESTION)
                self.took_s.append(time.monotonic() - began)
            except urllib.error.HTTPError:
                self.refused += 1
            if self._over.wait(ASKED_EACH_S):
                return

    def __enter__(self) -> "Analyst":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def _at(host: Host, rate: float, seconds: float) -> Figures:
    """Drive everything at one rate; memory is each part's highest, disk what a hit added."""
    looked = 0.0
    highest = {f"{part}_mb": 0.0 for part in host.pids} | {"all_mb": 0.0} | dict.fromkeys(group.used_mb(), 0.0)

    def look() -> None:
        nonlocal looked
        if time.monotonic() - looked < LOOK_S:
            return
        now = {f"{part}_mb": sum(map(pss_bytes, pids)) / 2**20 for part, pids in host.pids.items()}
        now["all_mb"] = sum(now.values())
        for name, value in {**now, **group.used_mb()}.items():
            highest[name] = max(highest[name], value)
        looked = time.monotonic()

    before = {name: store() for name, store in host.stores.items()}
    with Analyst(host.system.clickhouse) as analyst:
        step = pipeline.drive_at(host.system, rate, seconds, host.pids, look)
    hits = step.hits_per_s * seconds
    added = {name: (store() - before[name]) / hits for name, store in host.stores.items()}
    return {
        "hits_per_s": step.hits_per_s,
        "held": float(step.held),
        "behind_s": step.behind_s,
        **{f"{part}_cpu_us_per_hit": us for part, us in step.cpu_us.items()},
        "cores_without_driver": sum(us for part, us in step.cpu_us.items() if part != "driver") * step.hits_per_s / 1e6,
        **highest,
        **{f"{name}_bytes_per_hit": max(0.0, more) for name, more in added.items()},
        "question_s": max(analyst.took_s, default=0.0),
        "questions_refused": float(analyst.refused),
    }


@contextmanager
def _broker(stack: ExitStack, folder: Path) -> Iterator[tuple[str, dict[str, list[int]], str]]:
    """Give the bootstrap servers ("": the embedded broker's), its processes, and what it is."""
    if JARS not in os.environ:
        yield "", {}, f"embedded: it keeps all in memory; {JARS} names a folder with Apache Kafka's jars"
        return
    program, servers = stack.enter_context(kafka(folder / "kafka"))
    yield servers, {"kafka": [program.pid]}, f"Apache Kafka, {small.settings('kafka')['KAFKA_HEAP_OPTS']}"


@contextmanager
def _running(folder: Path, code: Path) -> Iterator[tuple[Host, str]]:
    """Start every part; give them and what the broker is."""
    with ExitStack() as stack:
        servers, pids, broker = stack.enter_context(_broker(stack, folder))
        port = free_port()
        argv = [sys.executable, "-m", "deploy.local.clickhouse", "--port", str(port), "--path", str(folder / "data")]
        argv += ["--config", str(small.DEPLOY / "clickhouse/small.xml")]
        store = stack.enter_context(started(argv, folder=folder, ready=lambda: listening(port), within_s=90))
        clickhouse = f"http://127.0.0.1:{port}"
        environ = {**os.environ, **small.settings("collector"), **small.settings("sink")}
        environ["PHAROS_COLLECTOR_TRUSTED_PROXIES"] = "127.0.0.0/8"
        local = {"CLICKHOUSE": clickhouse, "PARTITIONS": small.settings("topics")["PARTITIONS"]}
        system, _ = stack.enter_context(
            local_system.own(folder, kafka=servers, local=local, environ=environ, code=code, within_s=240)
        )
        nginx, url = stack.enter_context(edge(folder / "edge", urlsplit(system.url).netloc))
        embedded = {} if servers else {"kafka": "-m deploy.local.broker"}
        pids |= {"edge": [nginx.pid], "clickhouse": [store.pid]} | pipeline.pids_of(system, _STAGES | embedded)
        logs = folder / "kafka/data"
        stores = {
            "raw": lambda: on_disk(logs, "hits.raw-*"),
            "enriched": lambda: on_disk(logs, "hits.enriched-*"),
            "clickhouse": lambda: _active_bytes(clickhouse),
        }
        yield Host(msgspec.structs.replace(system, url=url), pids, stores), broker


@contextmanager
def prepare(options: Options) -> Iterator[Bench]:
    """Compile the stages, start everything, give a contestant for each rate."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        code = native.compiled(folder / "native")
        with _running(folder, code) as (host, broker):
            limit = group.limit_mb()
            seconds = options.scaled(60.0, 2.0)

            def contestant(rate: int) -> Contestant:
                return Contestant(f"{rate}/s", lambda: _at(host, rate, seconds))

            yield Bench(
                title="A small host: everything at once, with the settings of compose.small.yaml",
                contestants=tuple(contestant(rate) for rate in (RATES[:1] if options.miniature else RATES)),
                warms_up=True,
                facts={
                    "memory limit": f"{limit:,.0f} MiB, for the load driver, too" if limit else "none",
                    "broker": broker,
                    "clickhouse": "chDB with small.xml; a question every 5 s",
                    "edge": "nginx with deploy/edge, without TLS; the load driver is on the same cores",
                    "duration": f"{seconds:g} s a rate",
                    "memory": "the highest of each part, MiB, a shared page in equal parts; all: of one moment",
                },
            )

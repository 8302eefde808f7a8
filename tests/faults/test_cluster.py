"""Kills and freezes of brokers and stages under load: every answered hit is stored, and no event is shown twice.

Three Kafka brokers (min.insync.replicas=2), two processes of each stage, one ClickHouse. PHAROS_TEST_SCALE=full: 100 s.
"""

import asyncio
import json
import os
import random
import re
import secrets
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.brokers import unique
from tests.clickhouse import ClickHouse
from tests.e2e.system import SITES
from tests.faults.cluster import Cluster, Node
from tests.ports import free_port
from tests.processes import Program
from tests.waiting import until

FULL_S = 100 if os.environ.get("PHAROS_TEST_SCALE") == "full" else 0
"""Seconds for which faults go on, drawn at random; 0: each fault of EACH once."""
STAGES = ("collector", "enricher", "sink")
PARTITIONS = 4
HITS_PER_S = 150
SESSION_MS = 3000
ANSWER_S = 3.0
_ROOT = Path(__file__).parents[2]

Fault = tuple[str, str, int]
"""What, of which kind, and its number: ("freeze", "sink", 1)."""
EACH: list[Fault] = [
    ("kill", "broker", 0),
    ("freeze", "enricher", 0),
    ("kill", "sink", 0),
    ("freeze", "broker", 1),
    ("kill", "collector", 0),
    ("freeze", "sink", 1),
    ("kill", "enricher", 1),
    ("freeze", "collector", 1),
]


class Pipeline:
    """The processes, and what is stored."""

    def __init__(self, folder: Path, cluster: Cluster, clickhouse: ClickHouse) -> None:
        self.folder = folder
        self.cluster = cluster
        self.clickhouse = clickhouse
        self.topics = {name: unique(f"hits.{name}") for name in ("raw", "enriched", "dead")}
        self.ports = [free_port(), free_port()]
        self.programs: dict[tuple[str, int], Program] = {}
        folder.mkdir(exist_ok=True)
        (folder / "sites.toml").write_text(SITES.format(digest="0" * 64))

    async def start(self) -> None:
        await self.cluster.create_topics(list(self.topics.values()), PARTITIONS)
        for stage in STAGES:
            for number in range(2):
                self.launch(stage, number)

    def launch(self, stage: str, number: int) -> None:
        """Start one process, or start it again."""
        topics = {"collector": ("raw",), "enricher": ("raw", "enriched", "dead"), "sink": ("enriched", "dead")}[stage]
        own: dict[str, object] = {f"topic_{name}": self.topics[name] for name in topics}
        own |= {"kafka": self.cluster.bootstrap, "admin_port": free_port(), "log": "json"}
        if stage == "collector":
            spool = self.folder / f"spool-{number}"
            own |= {"port": self.ports[number], "sites": self.folder / "sites.toml", "spool_dir": spool, "grace_s": 0}
            own |= {"ack_timeout_s": 5}
        else:
            own |= {"group": f"{stage}.{self.topics['raw']}", "session_timeout_ms": SESSION_MS}
        if stage == "enricher":
            own |= {"delivery_timeout_ms": 10_000, "transaction_timeout_ms": 15_000}
        if stage == "sink":
            own |= {"clickhouse": self.clickhouse.url}
        env = {f"PHAROS_{stage}_{name}".upper(): str(value) for name, value in own.items()}
        log = self.folder / f"{stage}-{number}.log"
        self.programs[stage, number] = Program([sys.executable, "-m", stage], log=log, env=env, cwd=_ROOT)

    def shown(self) -> Counter[str]:
        """Return how often each hit is shown, by its client's id."""
        client = self.clickhouse.client()
        try:
            sql = "SELECT client_event_id, count() FROM pharos.events GROUP BY 1"
            return Counter({str(name): int(count) for name, count in client.query(sql).result_rows})
        except Exception as error:
            if "UNKNOWN" in str(error):  # before the first sink has made the table
                return Counter()
            raise
        finally:
            client.close()

    def stop(self) -> dict[tuple[str, int], int]:
        """SIGTERM in the order of the way; return exit codes."""
        return {key: program.terminate(60) for key, program in self.programs.items()}

    def kill(self) -> None:
        for program in self.programs.values():
            program.kill()

    def output(self) -> str:
        return "\n".join(f"--- {name}\n{program.output()[-1500:]}" for name, program in self.programs.items())


class Load:
    """Hits at a steady rate to both collectors, each hit sent once; it remembers which were answered 200."""

    def __init__(self, ports: list[int]) -> None:
        self._ports = ports
        self.going = True
        self.answered: dict[str, float] = {}

    async def run(self) -> None:
        workers = 6
        await asyncio.gather(*(self._work(self._ports[n % 2], workers / HITS_PER_S) for n in range(workers)))

    async def _work(self, port: int, pause_s: float) -> None:
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while self.going:
            name = secrets.token_hex(8)
            began = time.monotonic()
            try:
                async with asyncio.timeout(ANSWER_S):
                    if streams is None:
                        streams = await asyncio.open_connection("127.0.0.1", port)
                    reader, writer = streams
                    writer.write(f"GET /p.gif?s=demo&id={name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = int(head.lower().partition(b"content-length: ")[2].split()[0])
                    await reader.readexactly(length)
                if head.startswith(b"HTTP/1.1 200 "):
                    self.answered[name] = time.monotonic()
            except (OSError, EOFError, TimeoutError):
                if streams is not None:
                    streams[1].close()
                streams = None
            await asyncio.sleep(max(0.0, pause_s - (time.monotonic() - began)))
        if streams is not None:
            streams[1].close()


def took_over(lines: list[str]) -> bool:
    """Return whether log lines say that a stage has all partitions now."""
    assigned = [one for line in lines if '"partitions assigned"' in line for one in [json.loads(line)["partitions"]]]
    return bool(assigned) and len(re.findall(r"\d+", str(assigned[-1]))) == PARTITIONS


class Faults:
    """Does something to one process, waits until the rest of the pipeline copes, and puts it right."""

    def __init__(self, pipeline: Pipeline, load: Load) -> None:
        self._pipeline = pipeline
        self._load = load

    async def play(self, fault: Fault) -> None:
        what, kind, number = fault
        began = time.monotonic()
        node = self._pipeline.cluster.nodes[number] if kind == "broker" else None
        target = node or self._pipeline.programs[kind, number]
        other = None if kind in ("broker", "collector") else self._pipeline.programs[kind, 1 - number]
        lines = other.output().count("\n") if other else 0
        if what == "kill":
            await asyncio.to_thread(target.kill)
        else:
            target.pause()
        try:
            if other:
                # As long as it takes the group to give all partitions to the other one: what wakes up is a zombie.
                await until(lambda: took_over(other.output().splitlines()[lines:]), "the other has all partitions")
            await self._coped(began, node)
        finally:
            if what == "freeze":
                target.resume()
            elif node is not None:
                await asyncio.to_thread(node.start)
            else:
                self._pipeline.launch(kind, number)
        print(f"{what} {kind} {number}: {time.monotonic() - began:.1f} s")

    async def _coped(self, since: float, node: Node | None) -> None:
        """Return when the others lead all partitions, and a hit that was answered after `since` is stored."""
        if node is not None:
            await self._pipeline.cluster.moved_away_from(node, list(self._pipeline.topics.values()), PARTITIONS)
            return

        async def stored() -> bool:
            new = {name for name, at in self._load.answered.items() if at > since}
            return bool(new & set(await asyncio.to_thread(self._pipeline.shown)))

        await until(stored, "a hit answered after the fault is stored")


@pytest.fixture
async def pipeline(tmp_path: Path) -> AsyncIterator[Pipeline]:
    cluster, clickhouse = Cluster(tmp_path), ClickHouse(tmp_path)
    made = Pipeline(tmp_path / "stages", cluster, clickhouse)
    try:
        await asyncio.gather(cluster.start(), asyncio.to_thread(clickhouse.start))
        await made.start()
        yield made
    finally:
        made.kill()
        cluster.kill()
        clickhouse.kill()


@pytest.mark.timeout(600)
async def test_no_answered_hit_is_missing_and_none_is_doubled(pipeline: Pipeline) -> None:
    load = Load(pipeline.ports)
    sending = asyncio.create_task(load.run())
    faults = Faults(pipeline, load)
    await until(lambda: asyncio.to_thread(lambda: bool(pipeline.shown())), "the first hits are stored", 90)
    began = time.monotonic()
    for fault in EACH:
        await faults.play(fault)
    drawn = random.Random(17)
    while time.monotonic() - began < FULL_S:
        await faults.play((*drawn.choice(EACH)[:2], drawn.randrange(2)))
    load.going = False
    await sending

    def missing() -> set[str]:
        return set(load.answered) - set(pipeline.shown())

    await until(lambda: asyncio.to_thread(lambda: not missing()), "every answered hit is stored", 120)
    codes = await asyncio.to_thread(pipeline.stop)
    shown = pipeline.shown()
    doubled = [name for name, count in shown.items() if count > 1]
    print(f"{len(load.answered)} answered, {len(shown)} shown, {len(missing())} missing, {len(doubled)} doubled")
    assert missing() == set()
    assert doubled == []
    assert set(codes.values()) == {0}, pipeline.output()
    client = pipeline.clickhouse.client()
    rows, events = client.query("SELECT count(), uniqExact(site, event_id) FROM pharos.event_log").result_rows[0]
    client.close()
    print(f"{rows} rows in the storage for {events} events")

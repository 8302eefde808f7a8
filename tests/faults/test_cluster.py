"""Kills and freezes of brokers and stages under load: every answered hit is stored, and no event is shown twice.

Three Kafka brokers (min.insync.replicas=2), two processes of each stage, one ClickHouse. PHAROS_TEST_SCALE=full: 100 s.
"""

import asyncio
import json
import os
import random
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.clickhouse import ClickHouse
from tests.faults.cluster import Cluster, Node
from tests.faults.pipeline import PARTITIONS, Load, Pipeline
from tests.processes import Program
from tests.waiting import until

FULL_S = 100 if os.environ.get("PHAROS_TEST_SCALE") == "full" else 0
"""Seconds for which faults go on, drawn at random; 0: each fault of EACH once."""

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


def assigned(lines: list[str]) -> set[str]:
    """Return the partitions that a process has by its log lines; none after its start."""
    last: set[str] = set()
    for line in lines:
        if '"starting"' in line:
            last = set()
        elif '"partitions assigned"' in line:
            last = set(re.findall(r"\d+", str(json.loads(line)["partitions"])))
    return last


def shared(one: Program, other: Program) -> bool:
    """Return whether each of two processes has its part of the partitions."""
    mine, others = (assigned(each.output().splitlines()) for each in (one, other))
    return bool(mine and others) and not mine & others and len(mine | others) == PARTITIONS


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
        if other:
            # A fault on a process that has nothing yet, since it has just started, would move nothing to the other.
            own = self._pipeline.programs[kind, number]
            await until(lambda: shared(own, other), f"both {kind}s have partitions")
            began = time.monotonic()
        lines = other.output().count("\n") if other else 0
        if what == "kill":
            await asyncio.to_thread(target.kill)
        else:
            target.pause()
        try:
            if other:
                # As long as it takes the group to give all partitions to the other one: what wakes up is a zombie.
                await until(
                    lambda: len(assigned(other.output().splitlines()[lines:])) == PARTITIONS,
                    "the other has all partitions",
                )
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
            return bool(new & await asyncio.to_thread(self._pipeline.stored_since, since))

        await until(stored, "a hit answered after the fault is stored")


@pytest.fixture
async def pipeline(tmp_path: Path) -> AsyncIterator[Pipeline]:
    cluster, clickhouse = Cluster(tmp_path), ClickHouse(tmp_path, schema=True)
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
    load = Load(pipeline.addresses())
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

    def all_ready() -> bool:
        return all(pipeline.readiness(*key) == 200 for key in pipeline.programs)

    # One that was just started again does not drain before it is up.
    await until(lambda: asyncio.to_thread(all_ready), "every process is ready again")
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

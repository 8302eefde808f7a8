"""Exactly once: after a stop of any part at any step the storage table itself has every event once.

The table does not merge in these tests, so a doubled row stays visible; rows are counted in `pharos.event_log`, which
unlike the view `pharos.events` hides nothing. PHAROS_TEST_SCALE=full: 1,000,000 events and more than 100 stops.
"""

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.brokers import ApacheKafka
from tests.clickhouse import ClickHouse
from tests.ports import free_port
from tests.processes import Program
from tests.sink.conftest import ROOT, Bench
from tests.sink.crashing import CRASHED, STEPS
from tests.sink.kafka import dead, send
from tests.sink.rows import BAD, row
from tests.waiting import until

FULL = os.environ.get("PHAROS_TEST_SCALE") == "full"
UNMERGED = (
    "ALTER TABLE pharos.event_log MODIFY SETTING max_bytes_to_merge_at_max_space_in_pool = 1, "
    "max_bytes_to_merge_at_min_space_in_pool = 1, parts_to_throw_insert = 100000, parts_to_delay_insert = 100000"
)
"""Kept by the table over restarts; SYSTEM STOP MERGES is not."""

pytestmark = pytest.mark.timeout(3600 if FULL else 300)


@pytest.fixture(scope="module")
def own_clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    clickhouse = ClickHouse(tmp_path_factory.mktemp("clickhouse"), schema=True)
    yield clickhouse
    clickhouse.kill()


@pytest.fixture
async def bench(apache_kafka: ApacheKafka, own_clickhouse: ClickHouse, start: Callable[..., Program]) -> Bench:
    """Apache Kafka and a ClickHouse with an empty table that does not merge."""
    own_clickhouse.begin_again()
    made = Bench(apache_kafka, own_clickhouse, start)
    await apache_kafka.create_topics(made.enriched, made.dead)
    client = own_clickhouse.client()
    client.command(UNMERGED)
    client.close()
    return made


def crashing(bench: Bench, step: str, count: int, **settings: object) -> Program:
    env = bench.env(admin_port=free_port(), **settings)
    return bench.start([sys.executable, "-m", "tests.sink.crashing", step, str(count)], env=env, cwd=ROOT)


SETTINGS: dict[str, object] = {"batch_rows": 2500 if FULL else 250, "session_timeout_ms": 1500, "drain_s": 5}


def more_than(bench: Bench, count: int) -> bool:
    return bench.count()[0] > count


async def at_work(program: Program) -> None:
    """A sink that finds everything stored may else be asked to end while it still begins."""
    await until(lambda: "partitions assigned" in program.output(), "the sink's partitions")


async def stored(bench: Bench, count: int) -> None:
    await until(lambda: asyncio.to_thread(lambda: bench.count()[1] == count), f"{count} events", 600 if FULL else 120)
    assert bench.count() == (count, count)


async def test_a_sink_that_crashes_at_every_step(bench: Bench) -> None:
    stops = 104 if FULL else 8
    rows = 1_000_000 if FULL else 8_000
    await send(bench.broker.bootstrap, bench.enriched, (row(number) for number in range(rows)))
    crashed = 0
    for number, step in enumerate(itertools.islice(itertools.cycle(STEPS), stops)):
        # An intent to fetch again is what the step before left: it is the first thing the next sink does.
        program = crashing(bench, step, 1 if step == "fetched again" else 1 + number % 3, **SETTINGS)
        if FULL and number % 13 == 5:
            await asyncio.sleep(1)
            await asyncio.to_thread(bench.storage.kill)
            await asyncio.to_thread(bench.storage.start)
        if FULL and number in (30, 70):
            await asyncio.sleep(1)
            await asyncio.to_thread(bench.broker.stop)
            await asyncio.to_thread(bench.broker.start)
        try:
            assert await asyncio.to_thread(program.wait, 30) == CRASHED, program.output()
            crashed += 1
        except subprocess.TimeoutExpired:  # the step did not come: no intent was left, or no row is
            program.kill()
    assert crashed >= stops * 3 // 4
    last = bench.sink(**SETTINGS)
    await at_work(last)
    await stored(bench, rows)
    assert await asyncio.to_thread(last.terminate) == 0
    print(f"{stops} stops, {crashed} of them at a step, over {rows} events")


async def test_two_sinks_killed_in_turn_with_clickhouse_and_kafka(bench: Bench) -> None:
    rows = 300_000 if FULL else 8_000
    kills = 24 if FULL else 2
    settings = SETTINGS | {"batch_rows": 1000 if FULL else 200}
    sending = asyncio.create_task(
        send(
            bench.broker.bootstrap, bench.enriched, (row(number) for number in range(rows)), per_s=rows / (kills * 2.5)
        )
    )
    sinks = [bench.sink(**settings), bench.sink(**settings)]
    for number in range(kills):
        await asyncio.sleep(2)
        sinks[number % 2].kill()
        sinks[number % 2] = bench.sink(**settings)
        if number % 4 == 1:
            await asyncio.to_thread(bench.storage.kill)
            await asyncio.to_thread(bench.storage.start)
    await sending
    await asyncio.to_thread(bench.broker.stop)
    await asyncio.to_thread(bench.broker.start)
    await send(bench.broker.bootstrap, bench.enriched, (row(number) for number in range(rows, rows + 1000)))
    await stored(bench, rows + 1000)
    for sink in sinks:
        assert await asyncio.to_thread(sink.terminate) == 0, sink.output()


async def test_a_zombie_wakes_after_its_partitions_moved(bench: Bench) -> None:
    rounds = 6 if FULL else 1
    total = 0
    settings = SETTINGS | {"batch_rows": 100}
    zombie, other = bench.sink(**settings), None
    for _ in range(rounds):
        numbers = range(total, total + 6000)
        sending = asyncio.create_task(send(bench.broker.bootstrap, bench.enriched, (row(number) for number in numbers)))
        await until(partial(asyncio.to_thread, more_than, bench, total), "some rows of the round")
        zombie.pause()  # in the middle of its inserts
        other = bench.sink(**settings)
        await sending
        total += 6000
        await stored(bench, total)  # all by the other: the zombie's partitions moved
        zombie.resume()
        await send(bench.broker.bootstrap, bench.enriched, (row(number) for number in range(total, total + 500)))
        total += 500
        await stored(bench, total)
        assert await asyncio.to_thread(other.terminate) == 0
    await stored(bench, total)
    assert await asyncio.to_thread(zombie.terminate) == 0, zombie.output()


async def test_refusals_and_crashes_together(bench: Bench) -> None:
    count = 2000
    bad = set(range(7, count, 250))
    await send(bench.broker.bootstrap, bench.enriched, (BAD if one in bad else row(one) for one in range(count)))
    for step in ("dead letters sent", "after insert"):
        program = crashing(bench, step, 2, **SETTINGS)
        assert await asyncio.to_thread(program.wait, 60) == CRASHED, program.output()
    last = bench.sink(**SETTINGS)
    await at_work(last)
    await stored(bench, count - len(bad))
    assert await asyncio.to_thread(last.terminate) == 0
    letters = {(letter.partition, letter.offset) for letter in await dead(bench.broker.bootstrap, bench.dead)}
    assert len(letters) == len(bad)  # each at least once; its origin distinguishes it


async def test_retries_for_ever_while_clickhouse_is_away(bench: Bench) -> None:
    sink = bench.sink(**SETTINGS)
    await send(bench.broker.bootstrap, bench.enriched, (row(number) for number in range(1000)))
    await stored(bench, 1000)
    await asyncio.to_thread(bench.storage.kill)
    url = f"http://127.0.0.1:{bench.ports[sink.pid]}"

    def says_why() -> bool:  # a rebalance may come first, and has a reason of its own
        status, text = bench.get(f"{url}/readyz")
        return status == 503 and "ClickHouse" in text

    await until(lambda: asyncio.to_thread(says_why), "not ready for want of ClickHouse, with no row to store")
    await send(bench.broker.bootstrap, bench.enriched, (row(number) for number in range(1000, 5000)))
    await until(lambda: asyncio.to_thread(lambda: bench.lag(sink) > 0), "the lag seen")
    await asyncio.to_thread(bench.storage.start)
    await stored(bench, 5000)
    await until(lambda: asyncio.to_thread(lambda: bench.get(f"{url}/readyz")[0] == 200), "ready again")
    assert await asyncio.to_thread(sink.terminate) == 0


async def test_a_wrong_schema_stops_the_sink_and_empties_nothing(bench: Bench) -> None:
    client = bench.storage.client()
    client.command("DROP VIEW pharos.event_rows_feed")  # it holds on to the columns
    for change in (
        "ALTER TABLE pharos.event_rows DROP COLUMN city",
        "ALTER TABLE pharos.event_rows ADD COLUMN city UUID AFTER region",
    ):
        client.command(change)
        client.command("CREATE OR REPLACE TABLE pharos.event_probe AS pharos.event_rows ENGINE = Null")
        await send(bench.broker.bootstrap, bench.enriched, (row(number, city="Wien") for number in range(100)))
        sink = bench.sink(**SETTINGS)
        assert await asyncio.to_thread(sink.wait, 60) == 1
        assert "stopped: " in sink.output().splitlines()[-1], sink.output()
    client.close()
    assert await dead(bench.broker.bootstrap, bench.dead) == []
    assert bench.count() == (0, 0)

"""RefusedRow rows among good ones: a few, and one in ten. PHAROS_TEST_SCALE=full for the whole measure."""

import asyncio
import os
import time

import pytest

from tests.sink.conftest import Bench
from tests.sink.kafka import dead, send
from tests.sink.rows import BAD, row
from tests.waiting import until

FULL = os.environ.get("PHAROS_TEST_SCALE") == "full"


@pytest.mark.parametrize(
    ("count", "every"),
    [(100_000 if FULL else 5_000, 100_000 if FULL else 5_000), (50_000 if FULL else 1_000, 10)],
    ids=["a single bad row", "one row in ten is bad"],
)
async def test_bad_rows_cost_only_themselves(kafka_bench: Bench, count: int, every: int) -> None:
    bench = kafka_bench
    bad = set(range(every - 1, count, every))
    await send(bench.broker.bootstrap, bench.enriched, (BAD if one in bad else row(one) for one in range(count)))
    began = time.monotonic()
    sink = bench.sink(session_timeout_ms=6000)
    good = count - len(bad)
    await until(lambda: asyncio.to_thread(lambda: bench.count() == (good, good)), f"{good} rows", 250)
    print(f"{count} rows, {len(bad)} bad: {time.monotonic() - began:.1f} s with the program's start")
    await until(lambda: asyncio.to_thread(lambda: bench.lag(sink) == 0), "all committed")
    letters = await dead(bench.broker.bootstrap, bench.dead)
    assert len(letters) == len(bad)
    assert {letter.record for letter in letters} == {BAD}
    assert len({(letter.partition, letter.offset) for letter in letters}) == len(bad)
    assert await asyncio.to_thread(sink.terminate) == 0


async def test_when_most_rows_are_bad_the_sink_stops(kafka_bench: Bench) -> None:
    bench = kafka_bench
    rows = (row(one) if one % 10 == 0 else BAD for one in range(400))
    await send(bench.broker.bootstrap, bench.enriched, rows)
    sink = bench.sink(dead_least_rows=50)
    assert await asyncio.to_thread(sink.wait, 120) == 1
    assert "PHAROS_SINK_DEAD_RATIO" in sink.output().splitlines()[-1]

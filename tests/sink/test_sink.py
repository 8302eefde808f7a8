"""The program as a whole, against both brokers and a ClickHouse."""

import asyncio
import json

from tests.brokers import unique
from tests.sink.conftest import Bench
from tests.sink.kafka import dead, send
from tests.sink.rows import BAD, row
from tests.waiting import until


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


async def test_every_row_is_stored_once_and_a_stop_drains(bench: Bench) -> None:
    await send(bench.broker.bootstrap, bench.enriched, (row(number) for number in range(2000)))
    sink = bench.sink()
    await until(lambda: asyncio.to_thread(lambda: bench.count() == (2000, 2000)), "2000 rows")
    port = bench.ports[sink.pid]
    ready = f"http://127.0.0.1:{port}/readyz"
    await until(lambda: asyncio.to_thread(lambda: bench.get(ready)[0] == 200), "readiness, updated every 0.25 s")
    assert (await asyncio.to_thread(bench.get, f"http://127.0.0.1:{port}/healthz"))[0] == 200
    await until(
        lambda: asyncio.to_thread(
            lambda: "pharos_sink_rows_total 2000.0" in bench.get(f"http://127.0.0.1:{port}/metrics")[1]
        ),
        "2000 rows counted",
    )
    # A lone hit after quiet.
    await send(bench.broker.bootstrap, bench.enriched, [row(2000)])
    await until(lambda: asyncio.to_thread(lambda: bench.count() == (2001, 2001)), "the lone row")
    await send(bench.broker.bootstrap, bench.enriched, (row(number) for number in range(2001, 2100)))
    assert await asyncio.to_thread(sink.terminate) == 0
    again = bench.sink()
    url = f"http://127.0.0.1:{bench.ports[again.pid]}/readyz"
    await until(lambda: asyncio.to_thread(lambda: bench.get(url)[0] == 200), "the second sink's readiness")
    await until(lambda: asyncio.to_thread(lambda: bench.count() == (2100, 2100)), "the rest")
    assert await asyncio.to_thread(again.terminate) == 0
    modes = [line["msg"] for line in lines(sink.output()) if str(line["msg"]).startswith("delivering")]
    assert modes == [
        "delivering exactly once"
        if bench.broker.commit_metadata
        else "delivering at least once: this broker keeps no metadata of commits"
    ]


async def test_refused_rows_go_to_the_dead_letters(bench: Bench) -> None:
    rows = [row(number) for number in range(1000)]
    rows[10] = rows[11] = rows[555] = BAD
    rows[999] = b"nonsense"
    await send(bench.broker.bootstrap, bench.enriched, rows)
    sink = bench.sink()
    await until(lambda: asyncio.to_thread(lambda: bench.count() == (996, 996)), "996 rows")
    letters = await dead(bench.broker.bootstrap, bench.dead)
    assert sorted(letter.record for letter in letters) == sorted([BAD, BAD, BAD, b"nonsense"])
    assert {letter.reason for letter in letters} == {"refused_by_clickhouse"}
    assert all("UUID" in letter.detail for letter in letters if letter.record == BAD)
    assert await asyncio.to_thread(sink.terminate) == 0


async def test_a_sink_waits_for_its_topic(kafka_bench: Bench) -> None:
    bench = kafka_bench
    bench.enriched = unique("made.later")
    sink = bench.sink()
    url = f"http://127.0.0.1:{bench.ports[sink.pid]}/readyz"
    said = (503, f"Kafka at {bench.broker.bootstrap} has no topic {bench.enriched}\n")
    await until(lambda: asyncio.to_thread(lambda: bench.get(url) == said), "the missing topic's name")
    assert await asyncio.to_thread(sink.terminate) == 0

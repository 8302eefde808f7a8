"""Kafka away under load: every accepted hit arrives when it is back, and the worker's memory stays what it was."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from collector import contract
from tests import needs
from tests.brokers import Broker, unique
from tests.collector import scale
from tests.collector.running import Running
from tests.waiting import until

AWAY_S = scale.of(small=8, full=600)
PAUSE_MS = scale.of(small=40, full=12)
"""Between two requests of each of 64 connections, on average: 1,600 or 5,000 hits/s."""
MOST_BYTES = 120_000_000
_LUA = Path(__file__).parents[3] / "loadtest/bench/wrk.lua"


async def load(running: Running, seconds: int) -> int:
    """Send pixel requests with wrk, all answered with 200; return how many, without those of its last moment."""
    requests = running.folder / "requests"
    pixel = f"GET /p.gif?s=bench HTTP/1.1\r\nHost: a\r\nCookie: _pid={'0a' * 16}\r\n\r\n\0"
    requests.write_text(pixel)
    argv = ["-t1", "-c64", f"-d{seconds}s", "-s", str(_LUA), running.url, "--", str(requests), str(PAUSE_MS)]
    wrk = await asyncio.create_subprocess_exec(needs.program("wrk", "wrk"), *argv, stdout=asyncio.subprocess.PIPE)
    said, _ = await wrk.communicate()
    found = re.search(rb"^RESULT (.*)$", said, re.MULTILINE)
    assert found is not None, said
    result = msgspec.json.decode(found[1], type=dict[str, int])
    assert result["failed"] == 0
    return result["hits"]


async def ids_in(bootstrap: str, topic: str) -> set[int]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(4)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(partitions)
        left = {tp for tp in partitions if ends[tp]}
        found: set[int] = set()
        while left:
            for tp, records in (await consumer.getmany(timeout_ms=500)).items():
                found.update(int(contract.decode(record.value).id, 16) for record in records)
                if records[-1].offset + 1 >= ends[tp]:
                    left.discard(tp)
        return found
    finally:
        async with asyncio.timeout(60):
            await consumer.stop()


@pytest.mark.timeout(240 + 3 * AWAY_S)
async def test_an_outage_costs_no_hit_and_no_memory(apache_kafka: Broker, collector: Callable[..., Running]) -> None:
    topic = unique("hits.raw")
    await apache_kafka.create_topics(topic)
    running = collector(kafka=apache_kafka.bootstrap, topic_raw=topic)
    (running.folder / "sites.toml").write_text('[sites.bench]\nconsent = "assumed"\n')
    await running.start()
    await running.ready()
    accepted = await load(running, 3)
    before = (await running.metrics())["worker_memory_bytes"]
    apache_kafka.stop()
    try:
        accepted += await load(running, AWAY_S)
        away = await running.metrics()
    finally:
        apache_kafka.start()
    assert away["spool_bytes"] > 0
    live = asyncio.create_task(load(running, 5))
    highest = 0.0

    async def sent() -> bool:
        nonlocal highest
        seen = await running.metrics()
        highest = max(highest, seen["worker_memory_bytes"])
        return live.done() and seen["spool_bytes"] == 0

    await until(sent, "the backlog is in Kafka", 60 + AWAY_S)
    accepted += await live
    metrics = await running.metrics()
    print(
        f"\nKafka away for {AWAY_S} s, {accepted:,} hits accepted, {away['spool_bytes'] / 1e6:.0f} MB in the spool; a"
        f" worker's memory: {before / 1e6:.0f} MB before, {away['worker_memory_bytes'] / 1e6:.0f} MB without Kafka,"
        f" {highest / 1e6:.0f} MB catching up"
    )
    ids = await ids_in(apache_kafka.bootstrap, topic)
    assert len(ids) == metrics['hits_total{result="accepted",site="bench"}'] >= accepted
    assert max(before, away["worker_memory_bytes"], highest) < MOST_BYTES

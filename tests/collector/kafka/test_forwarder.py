"""The forwarder alone, between a real spool and a real broker: what it makes of blocks that do not fit."""

import asyncio
import random
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic

from collector.contract import Hit, encode
from collector.kafka import forwarder as forwarder_module
from collector.kafka.forwarder import Forwarder, Plan
from collector.metrics import Tally
from collector.spool.acknowledged import Position
from collector.spool.inventory import Limits
from collector.spool.spool import Spool
from tests.brokers import Broker, unique
from tests.collector.running import hits_in
from tests.waiting import until

LIMITS = Limits(most_bytes=64 << 20)


def hit(number: int, query_bytes: int = 100) -> bytes:
    noise = random.Random(number).randbytes(query_bytes).hex()[:query_bytes]
    return encode(Hit(id=f"{number:032x}", at=number, kind="pixel", site="demo", query=noise))


async def topic_with(broker: Broker, **configs: str) -> str:
    topic = unique("hits.raw")
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=configs)])
    finally:
        await admin.close()
    return topic


async def drain(spool: Spool, broker: Broker, topic: str) -> Tally:
    """Forward what the spool holds, as after a start."""
    tally = Tally()
    forwarder = Forwarder(spool, Plan(broker.bootstrap, topic), tally)
    forwarder.drain()
    async with asyncio.timeout(60):
        await forwarder.run()
    assert spool.unsent_bytes == 0
    return tally


async def numbers_in(broker: Broker, topic: str) -> list[int]:
    return [found.at for found in await hits_in(broker.bootstrap, topic)]


async def test_a_hit_too_large_for_the_topic_is_set_aside_and_stops_nothing(
    apache_kafka: Broker, tmp_path: Path
) -> None:
    topic = await topic_with(apache_kafka, **{"max.message.bytes": "20000"})
    spool = Spool(tmp_path / "0", LIMITS)
    spool.append([hit(0), hit(1)])
    spool.append([hit(2), hit(3, 50_000), hit(4), hit(5, 60_000), hit(6)])
    spool.append([hit(7, 70_000)])
    spool.append([hit(8)])
    tally = await drain(spool, apache_kafka, topic)
    assert sorted(set(await numbers_in(apache_kafka, topic))) == [0, 1, 2, 4, 6, 8]
    assert tally.values["oversized_hits_total",] == 3
    aside = sorted(path.read_bytes() for path in (spool.folder / "damage").iterdir())
    assert aside == sorted([hit(3, 50_000), hit(5, 60_000), hit(7, 70_000)])
    spool.close()


@pytest.mark.parametrize("acknowledged", range(5))
async def test_a_batch_goes_on_from_any_block(broker: Broker, tmp_path: Path, acknowledged: int) -> None:
    """A mark in the middle of a batch: the rest is numbered again, because Kafka wants each batch to begin at 0."""
    topic = unique("hits.raw")
    await broker.create_topics(topic, partitions=1)
    spool = Spool(tmp_path / "0", LIMITS)
    turns = ([hit(n, 400) for n in range(number, number + 40)] for number in range(0, 200, 40))
    ends = [Position(1, 0), *(spool.append(payloads)[-1].end for payloads in turns)]
    spool.acknowledge(ends[acknowledged])
    await drain(spool, broker, topic)
    assert await numbers_in(broker, topic) == list(range(40 * acknowledged, 200))
    spool.close()


async def test_damage_in_a_batch_costs_its_block_only(broker: Broker, tmp_path: Path) -> None:
    topic = unique("hits.raw")
    await broker.create_topics(topic, partitions=1)
    spool = Spool(tmp_path / "0", LIMITS)
    ends = [spool.append([hit(n) for n in range(number, number + 5)])[-1].end for number in range(0, 20, 5)]
    (segment,) = spool.folder.glob("*.seg")
    text = bytearray(segment.read_bytes())
    text[ends[1].offset + 30] ^= 1
    segment.write_bytes(text)
    await drain(spool, broker, topic)
    assert await numbers_in(broker, topic) == [*range(10), *range(15, 20)]
    spool.close()


async def test_added_partitions_are_used_by_a_running_collector(
    apache_kafka: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert forwarder_module._METADATA_S + forwarder_module._PARTITIONS_EVERY_S <= 60, "within a minute, as documented"
    monkeypatch.setattr(forwarder_module, "_METADATA_S", 0.2)
    monkeypatch.setattr(forwarder_module, "_PARTITIONS_EVERY_S", 0.1)
    topic = await topic_with(apache_kafka)
    spool = Spool(tmp_path / "0", LIMITS)
    tally = Tally()
    forwarder = Forwarder(spool, Plan(apache_kafka.bootstrap, topic, linger_s=0.01), tally)
    running = asyncio.create_task(forwarder.run())
    await until(lambda: forwarder.connected, "the producer")
    admin = AIOKafkaAdminClient(bootstrap_servers=apache_kafka.bootstrap)
    await admin.start()
    try:
        await admin.create_partitions({topic: NewPartitions(3)})
    finally:
        await admin.close()
    sent = 0

    async def every_partition_has_hits() -> bool:
        nonlocal sent
        forwarder.offer(spool.append([hit(sent)]))
        sent += 1
        return len(forwarder._offsets) == 3

    await until(every_partition_has_hits, "hits in the added partitions")
    forwarder.drain()
    await running
    assert tally.values["producers_total", "first"] == 1, "one producer, all the time"
    assert sorted(await numbers_in(apache_kafka, topic)) == list(range(sent))
    spool.close()

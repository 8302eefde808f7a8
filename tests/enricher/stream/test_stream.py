"""The stream against both brokers: what goes in comes out, enriched or dead, once its offsets are committed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from collector.contract import Hit
from collector.contract import encode as encode_hit
from enricher.contract import decode_dead, decode_row
from enricher.metrics import Metrics
from enricher.row.enrich import Enricher
from enricher.settings import Settings
from enricher.stream import loop
from enricher.tables import load_enricher
from stage.admin import Health
from tests.brokers import Broker, Tansu, unique


@pytest.fixture(scope="module")
def enricher() -> Enricher:
    return load_enricher()


def hit(number: int, **fields: str) -> Hit:
    plain = Hit(id=f"019aa0b1c2d37e4f8a9b{number:012x}", at=1795334400000 + number, kind="pixel", site="shop")
    return msgspec.structs.replace(plain, **fields)


async def topics(broker: Broker, **more: object) -> Settings:
    """Settings on topics of the test's own."""
    raw, good, dead = unique("hits.raw"), unique("hits.enriched"), unique("hits.dead")
    await broker.create_topics(raw, good, dead)
    # Tansu lets a group in after half its session timeout, and forgets a member that left after the whole. Apache Kafka
    # does neither, and there a busy machine must not look like a dead member.
    session_ms = 2000 if isinstance(broker, Tansu) else 15_000
    names = {"kafka": broker.bootstrap, "group": unique("enricher"), "session_timeout_ms": session_ms, "topic_raw": raw}
    return msgspec.convert(names | {"topic_enriched": good, "topic_dead": dead} | more, Settings)


async def write(broker: Broker, topic: str, records: list[bytes]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, acks="all")
    await producer.start()
    try:
        sent = [
            await producer.send(topic, record, partition=number % 4, key=b"shop")
            for number, record in enumerate(records)
        ]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def read(broker: Broker, topic: str, count: int) -> list[bytes]:
    """Return the topic's committed records, once there are `count`."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    await consumer.start()
    try:
        found: list[bytes] = []
        async with asyncio.timeout(60):
            while len(found) < count:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += [record.value for record in records]
        return found
    finally:
        await consumer.stop()


END = b"end mark"


async def read_to_end(broker: Broker, topic: str) -> list[bytes]:
    """Return all of the topic's committed records: those before an end mark that each partition is given now."""
    await write(broker, topic, [END] * 4)
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    await consumer.start()
    try:
        found: list[bytes] = []
        async with asyncio.timeout(60):
            while found.count(END) < 4:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += [record.value for record in records]
        return [record for record in found if record != END]
    finally:
        await consumer.stop()


@asynccontextmanager
async def running(
    settings: Settings, enricher: Enricher, metrics: Metrics | None = None
) -> AsyncIterator[Callable[[], None]]:
    """An enricher at work; drained at the end."""
    stopping = asyncio.Event()
    task = asyncio.create_task(loop.run(settings, enricher, metrics or Metrics(), Health(), stopping))
    try:
        yield stopping.set
    finally:
        stopping.set()
        async with asyncio.timeout(60):
            await task


async def test_hits_become_events_and_the_broken_ones_dead_letters(broker: Broker, enricher: Enricher) -> None:
    settings = await topics(broker)
    good = [encode_hit(hit(number, query=f"s=shop&e=view&id=n{number}")) for number in range(400)]
    broken = [b"{", b"", b'{"v":9}', encode_hit(hit(1, kind="tag", body="[]"))]
    records = [*good[:7], broken[0], *good[7:9], *broken[1:3], *good[9:], broken[3]]
    await write(broker, settings.topic_raw, records)

    async with running(settings, enricher):
        rows = [decode_row(record) for record in await read(broker, settings.topic_enriched, len(good))]
        dead = [decode_dead(record) for record in await read(broker, settings.topic_dead, len(broken))]

    assert {row.client_event_id for row in rows} == {f"n{number}" for number in range(400)}
    assert len(rows) == len(good)
    assert sorted((letter.reason, letter.record) for letter in dead) == sorted(
        [("undecodable", b"{"), ("undecodable", b""), ("unknown_version", b'{"v":9}'), ("undecodable", broken[3])]
    )
    assert all(records[letter.offset * 4 + letter.partition] == letter.record for letter in dead), "its place"
    assert all(letter.at > 1_700_000_000_000 for letter in dead)


async def test_a_second_enricher_goes_on_where_the_first_stopped(broker: Broker, enricher: Enricher) -> None:
    settings = await topics(broker, instance=unique("one"), session_timeout_ms=6_000)
    await write(broker, settings.topic_raw, [encode_hit(hit(number)) for number in range(40)])
    async with running(settings, enricher):
        await read(broker, settings.topic_enriched, 40)
    await write(broker, settings.topic_raw, [encode_hit(hit(number)) for number in range(40, 60)])
    async with running(settings, enricher):
        rows = [decode_row(record) for record in await read(broker, settings.topic_enriched, 60)]
    assert len({row.event_id for row in rows}) == len(rows) == 60


async def delete_before(broker: Broker, topic: str, offset: int) -> None:
    """Delete the records of partition 0 before an offset, as retention does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(offset)})
    finally:
        await admin.close()


async def test_records_that_are_gone_before_they_were_read_are_counted_once(
    apache_kafka: Broker, enricher: Enricher
) -> None:
    settings = await topics(apache_kafka)
    await write(apache_kafka, settings.topic_raw, [encode_hit(hit(number)) for number in range(40)])
    metrics = Metrics()
    async with running(settings, enricher, metrics):
        await read(apache_kafka, settings.topic_enriched, 40)
    assert metrics.lost_records._value.get() == 0

    await write(apache_kafka, settings.topic_raw, [encode_hit(hit(number)) for number in range(40, 80)])
    await delete_before(apache_kafka, settings.topic_raw, 17)
    for _ in range(2):  # the second run begins after the gap, and has nothing to report
        async with running(settings, enricher, metrics):
            rows = [decode_row(record) for record in await read(apache_kafka, settings.topic_enriched, 73)]
            (letter,) = [decode_dead(record) for record in await read(apache_kafka, settings.topic_dead, 1)]
    assert len({row.event_id for row in rows}) == len(rows) == 73
    assert (letter.reason, letter.partition, letter.offset, letter.records) == ("lost_records", 0, 10, 7)
    assert metrics.lost_records._value.get() == 7

"""What each broker can do: the assumptions that the stages rest on, pinned down on both."""

import asyncio
import uuid

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from tests.brokers import Broker, unique
from tests.faults.proxy import Proxy
from tests.waiting import until


async def _send(broker: Broker, topic: str, values: list[bytes], partition: int = 0) -> None:
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap, acks="all") as producer:
        batch = producer.create_batch()
        for value in values:
            assert batch.append(key=None, value=value, timestamp=None) is not None
        await (await producer.send_batch(batch, topic, partition=partition))


async def _read(consumer: AIOKafkaConsumer, count: int) -> list[bytes]:
    values: list[bytes] = []
    async with asyncio.timeout(60):
        while len(values) < count:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                values += [record.value for record in records]
    return values


def _reader(broker: Broker, *topics: str, **settings: object) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        *topics,
        bootstrap_servers=broker.bootstrap,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        # Tansu lets a first member in after half its session timeout, and forgets one that left after the whole.
        session_timeout_ms=2000,
        heartbeat_interval_ms=300,
        **settings,
    )


async def test_topics_have_the_partitions_asked_for(broker: Broker) -> None:
    topic = unique("hits")
    await broker.create_topics(topic, partitions=3)
    async with _reader(broker, topic) as consumer:
        assert consumer.partitions_for_topic(topic) == {0, 1, 2}


async def test_a_sent_batch_comes_back_in_order(broker: Broker) -> None:
    topic, values = unique("hits"), [f"hit {n}".encode() for n in range(500)]
    await broker.create_topics(topic, partitions=1)
    await _send(broker, topic, values)
    async with _reader(broker, topic) as consumer:
        assert await _read(consumer, 500) == values


async def test_a_group_goes_on_where_it_committed(broker: Broker) -> None:
    topic, group = unique("hits"), unique("group")
    await broker.create_topics(topic, partitions=1)
    await _send(broker, topic, [b"0", b"1", b"2"])
    async with _reader(broker, topic, group_id=group) as consumer:
        await _read(consumer, 3)
        await consumer.commit({TopicPartition(topic, 0): 2})
    async with _reader(broker, topic, group_id=group) as consumer:
        assert await _read(consumer, 1) == [b"2"]


async def test_two_members_share_the_partitions_and_one_takes_over(broker: Broker) -> None:
    topic, group = unique("hits"), unique("group")
    await broker.create_topics(topic, partitions=4)
    first, second = (_reader(broker, topic, group_id=group) for _ in range(2))
    async with first:
        await second.start()
        await until(lambda: len(first.assignment()) == len(second.assignment()) == 2, "two partitions each")
        assert not first.assignment() & second.assignment()
        await second.stop()
        await until(lambda: len(first.assignment()) == 4, "all partitions with the one that stayed")


async def test_metadata_of_a_commit(broker: Broker) -> None:
    topic, group = unique("hits"), unique("group")
    await broker.create_topics(topic, partitions=1)
    partition = TopicPartition(topic, 0)
    await _send(broker, topic, [b"0"])
    async with _reader(broker, topic, group_id=group) as consumer:
        await _read(consumer, 1)
        await consumer.commit({partition: OffsetAndMetadata(1, '{"v":1,"to":9}')})
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(group, partitions=[partition])
    finally:
        await admin.close()
    assert offsets[partition].offset == 1
    assert (offsets[partition].metadata == '{"v":1,"to":9}') is broker.commit_metadata


async def test_idempotent_producer(broker: Broker) -> None:
    topic = unique("hits")
    await broker.create_topics(topic, partitions=1)
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, enable_idempotence=True, request_timeout_ms=5000)
    try:
        if broker.transactions:
            await producer.start()
            await producer.send_and_wait(topic, b"once")
        else:
            with pytest.raises((KafkaError, TimeoutError)):
                async with asyncio.timeout(10):
                    await producer.start()
    finally:
        async with asyncio.timeout(30):
            await producer.stop()


async def test_a_transaction_is_seen_whole_or_not_at_all(apache_kafka: Broker) -> None:
    topic, group = unique("hits"), unique("group")
    await apache_kafka.create_topics(topic, partitions=1)
    partition = TopicPartition(topic, 0)
    async with AIOKafkaProducer(
        bootstrap_servers=apache_kafka.bootstrap, transactional_id=str(uuid.uuid4())
    ) as producer:
        async with producer.transaction():
            await producer.send(topic, b"kept")
            await producer.send_offsets_to_transaction({partition: 1}, group)
        await producer.begin_transaction()
        await producer.send(topic, b"aborted")
        await producer.send_offsets_to_transaction({partition: 2}, group)
        await producer.abort_transaction()
        async with producer.transaction():
            await producer.send(topic, b"kept too")
    async with _reader(apache_kafka, topic, group_id=group, isolation_level="read_committed") as consumer:
        assert await consumer.committed(partition) == 1
        consumer.seek(partition, 0)
        assert await _read(consumer, 2) == [b"kept", b"kept too"]


@pytest.mark.parametrize("way", ["stop", "kill"])
async def test_what_is_left_after_a_restart(broker: Broker, way: str) -> None:
    topic = unique("hits")
    await broker.create_topics(topic, partitions=1)
    await _send(broker, topic, [b"before"])
    await asyncio.to_thread(getattr(broker, way))
    assert not broker.running
    await asyncio.to_thread(broker.start)
    if not broker.durable:
        await broker.create_topics(topic, partitions=1)
    await _send(broker, topic, [b"after"])
    async with _reader(broker, topic) as consumer:
        expected = [b"before", b"after"] if broker.durable else [b"after"]
        assert await _read(consumer, len(expected)) == expected


async def test_a_broker_behind_a_proxy_is_lost_with_it_and_comes_back(
    broker_behind_proxy: tuple[Broker, Proxy],
) -> None:
    broker, proxy = broker_behind_proxy
    topic = unique("hits")
    await broker.create_topics(topic, partitions=1)
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap, acks="all") as producer:
        await producer.send_and_wait(topic, b"before")
        proxy.cut()
        late = await producer.send(topic, b"meanwhile")
        assert not (await asyncio.wait([late], timeout=0.5))[0]
        proxy.heal()
        async with asyncio.timeout(60):
            await late
    async with _reader(broker, topic) as consumer:
        assert await _read(consumer, 2) == [b"before", b"meanwhile"]

"""The sink's consumer at a position that is not in the log: an error, never a silent correction."""

import asyncio

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from sink.group_consumer import GroupConsumer
from tests.brokers import Broker, unique
from tests.enricher.stream.test_stream import delete_before
from tests.sink.kafka import send
from tests.waiting import until


async def test_a_position_before_the_log_is_an_error_or_a_rewind(apache_kafka: Broker) -> None:
    topic = unique("hits.enriched")
    await apache_kafka.create_topics(topic, partitions=1)
    await send(apache_kafka.bootstrap, topic, [b"[%d]\n" % number for number in range(10)], partitions=1)
    await delete_before(apache_kafka, topic, 7)
    tp = TopicPartition(topic, 0)
    consumer = GroupConsumer(
        kafka=apache_kafka.bootstrap,
        access={},
        group=unique("group"),
        enable_auto_commit=False,
        auto_offset_reset="none",
        fetch_max_wait_ms=50,
    )
    await consumer.start()
    try:
        consumer.subscribe([topic])
        await until(lambda: tp in consumer.assignment(), "the partition")
        consumer.seek(tp, 3)

        async def read_on() -> None:
            async with asyncio.timeout(30):
                while True:
                    assert await consumer.getmany(tp, timeout_ms=100) == {}

        with pytest.raises(OffsetOutOfRangeError):
            await read_on()
        consumer.rewinds = True

        async def offsets() -> list[int]:
            return [record.offset for record in (await consumer.getmany(tp, timeout_ms=100)).get(tp, [])]

        assert await until(offsets, "the records that are left") == [7, 8, 9]
    finally:
        await consumer.stop()

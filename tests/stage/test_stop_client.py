"""A client whose broker takes requests and answers none: `stop_client` ends it, and nothing of it is left.

A client whose broker has just come back: `start_client` says that there is none.
"""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError

from stage import aiokafka_internals
from stage.aiokafka_internals import END_S, STOP_S, start_client, stop_client
from tests.brokers import Broker, unique
from tests.faults.proxy import Proxy
from tests.waiting import until


async def test_a_producer_that_hangs_in_stop_leaves_no_task_and_no_connection(
    broker_behind_proxy: tuple[Broker, Proxy],
) -> None:
    broker, proxy = broker_behind_proxy
    topic = unique("hits.enriched")
    await broker.create_topics(topic)
    before = asyncio.all_tasks()
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, acks="all", enable_idempotence=broker.transactions)
    await producer.start()
    await producer.partitions_for(topic)
    proxy.lose_answers()
    sent = [await producer.send(topic, b"row", partition=number) for number in range(2)]
    await until(lambda: producer._sender._in_flight, "a batch is under way")
    async with asyncio.timeout(STOP_S + END_S + 5):
        await stop_client(producer)
    assert asyncio.all_tasks() == before
    assert not any(conn.connected() for conn in producer.client._conns.values())
    assert not any(answer.done() for answer in sent)


async def test_a_group_member_that_hangs_in_stop_leaves_no_task_and_no_connection(
    broker_behind_proxy: tuple[Broker, Proxy],
) -> None:
    broker, proxy = broker_behind_proxy
    topic = unique("hits.enriched")
    await broker.create_topics(topic)
    before = asyncio.all_tasks()
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=broker.bootstrap, group_id=unique("group"), auto_offset_reset="earliest"
    )
    await consumer.start()
    await until(lambda: aiokafka_internals.is_group_member(consumer), "the consumer is a member")
    proxy.lose_answers()
    async with asyncio.timeout(STOP_S + END_S + 5):
        await stop_client(consumer)
    assert asyncio.all_tasks() == before
    assert not any(conn.connected() for conn in consumer._client._conns.values())


async def test_a_stop_that_ends_as_cancelled_cancels_nobody_else() -> None:
    """aiokafka's fetcher awaits tasks that it has just cancelled."""

    class Client:
        closed = False

        async def stop(self) -> None:
            pending = asyncio.create_task(asyncio.sleep(60))
            await asyncio.sleep(0)
            pending.cancel()
            await pending

        async def close(self) -> None:
            self.closed = True

    consumer = Client()
    consumer._client = consumer  # type: ignore[attr-defined]
    await stop_client(consumer)
    assert consumer.closed


async def test_a_caller_that_is_cancelled_ends_the_stop() -> None:
    ended: list[str] = []

    class Client:
        async def stop(self) -> None:
            try:
                await asyncio.sleep(60)
            finally:
                ended.append("stop")

    caller = asyncio.create_task(stop_client(Client()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait([caller])
    assert caller.cancelled()
    await until(lambda: ended, "the stop has ended")


async def test_a_broker_that_names_no_broker_is_not_there_yet() -> None:
    """aiokafka asserts that it knows one; an assertion would end the program."""

    class Client:
        async def start(self) -> None:
            raise AssertionError("Did we not perform bootstrap?")

    with pytest.raises(KafkaConnectionError, match="bootstrap"):
        await start_client(Client())

"""A producer whose broker takes batches and acknowledges none: its end is an end."""

import asyncio

from aiokafka import AIOKafkaProducer

from enricher.stream import delivery
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
    await asyncio.wait_for(delivery.stop_producer(producer), 3 * delivery._STOP_S)
    assert asyncio.all_tasks() == before
    assert not any(conn.connected() for conn in producer.client._conns.values())
    assert not any(answer.done() for answer in sent)

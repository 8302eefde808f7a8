"""Producers that come to no end: a broker that takes batches and acknowledges none, one that falls silent.

However long it lasts: as many tasks and connections as before, and no batch of an ended producer is delivered later.
"""

import asyncio
import errno
import os
from pathlib import Path

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest

from collector.kafka import forwarder as forward
from collector.kafka.forwarder import Forwarder, Plan
from collector.metrics import Tally
from collector.spool.block import unpack
from collector.spool.spool import Spool
from stage import aiokafka_internals
from tests.brokers import Broker, unique
from tests.collector.kafka.test_forwarder import LIMITS, hit, numbers_in
from tests.faults.proxy import Proxy
from tests.waiting import until

PRODUCERS = 4


def built(tally: Tally) -> float:
    return sum(value for key, value in tally.values.items() if key[0] == "producers_total")


def clients() -> int:
    """Count the Kafka clients that somebody still works with: by the tasks inside them."""
    frames = [getattr(task.get_coro(), "cr_frame", None) for task in asyncio.all_tasks()]
    owners = [frame.f_locals.get("self") for frame in frames if frame is not None]
    return len({id(one) for one in owners if type(one).__module__.startswith("aiokafka")})


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool(tmp_path / "0", LIMITS)
    for number in range(0, 100, 10):
        made.append([hit(n) for n in range(number, number + 10)])
        made.cut()
    return made


async def test_producers_without_acknowledgements_do_not_pile_up(
    broker: Broker, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = unique("hits.raw")
    await broker.create_topics(topic)
    acknowledging = asyncio.Event()
    real = AIOKafkaClient.send

    async def send(client: AIOKafkaClient, node: int, request: object, **given: object) -> object:
        if isinstance(request, ProduceRequest):
            await acknowledging.wait()
        return await real(client, node, request, **given)

    monkeypatch.setattr(AIOKafkaClient, "send", send)
    monkeypatch.setattr(aiokafka_internals, "STOP_S", 0.2)
    tally = Tally()
    forwarder = Forwarder(spool, Plan(broker.bootstrap, topic, ack_timeout_s=0.5), tally)
    before = len(asyncio.all_tasks())
    running = asyncio.create_task(forwarder.run())
    await until(lambda: forwarder.connected, "the first producer")
    await until(lambda: built(tally) == PRODUCERS and forwarder.connected, "some producers have been given up")
    await asyncio.sleep(0)
    # The run, its rest, the metadata, a sender with its request and the stop's own.
    assert len(asyncio.all_tasks()) - before <= 8
    assert clients() <= 3  # of one producer: itself, its sender, its connections
    acknowledging.set()
    await until(lambda: spool.unsent_bytes == 0, "everything is in Kafka")
    forwarder.drain()
    await running
    assert clients() == 0
    assert sorted(await numbers_in(broker, topic)) == list(range(100))
    spool.close()


async def test_a_broker_that_falls_silent_leaves_nothing_behind(
    broker_behind_proxy: tuple[Broker, Proxy], spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, proxy = broker_behind_proxy
    topic = unique("hits.raw")
    await broker.create_topics(topic)
    monkeypatch.setattr(aiokafka_internals, "STOP_S", 0.2)
    monkeypatch.setattr(forward, "_START_S", 1.0)
    tally = Tally()
    forwarder = Forwarder(spool, Plan(broker.bootstrap, topic, ack_timeout_s=0.5), tally)
    before = asyncio.all_tasks()
    running = asyncio.create_task(forwarder.run())
    await until(lambda: spool.unsent_bytes == 0, "everything is in Kafka")
    for number in range(100, 100 + PRODUCERS):
        proxy.lose_answers()
        forwarder.offer(spool.append([hit(number)]))
        await until(lambda: not forwarder.connected, "the producer is given up")
        proxy.heal()
        await until(lambda: spool.unsent_bytes == 0, "everything is in Kafka")
    assert built(tally) > PRODUCERS
    forwarder.drain()
    await running
    assert asyncio.all_tasks() - before == set()
    assert set(await numbers_in(broker, topic)) == set(range(100 + PRODUCERS))
    spool.close()


async def test_a_disk_that_reads_nothing_is_asked_again(
    tansu: Broker, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = unique("hits.raw")
    await tansu.create_topics(topic)
    tally = Tally()
    forwarder = Forwarder(spool, Plan(tansu.bootstrap, topic), tally)

    def pread(fd: int, length: int, offset: int) -> bytes:
        raise OSError(errno.ENXIO, "ENXIO")

    with monkeypatch.context() as broken:
        broken.setattr(os, "pread", pread)
        running = asyncio.create_task(forwarder.run())
        await until(lambda: tally.values.get(("producers_total", "spool"), 0) > 0, "a producer after the fault")
    forwarder.drain()
    await running
    assert sorted(set(await numbers_in(tansu, topic))) == list(range(100))
    spool.close()


def test_whatever_ends_a_batch_wakes_the_pump(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "1", LIMITS)
    forwarder = Forwarder(spool, Plan("", ""), Tally())
    few = [spool.append([hit(number)])[0] for number in range(3)]
    forwarder.offer(few[:2])
    assert forwarder._wake.is_set(), "the first, though two came at once"
    forwarder._wake.clear()
    forwarder.offer(few[2:])
    assert not forwarder._wake.is_set(), "one more of a batch that may still grow"
    spool.cut()
    forwarder.offer(spool.append([hit(3)]))
    assert forwarder._wake.is_set(), "another batch begins, so one is whole"
    spool.close()


def test_a_block_of_which_all_is_settled_is_passed_over(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "1", LIMITS)
    forwarder = Forwarder(spool, Plan("", ""), Tally())
    first, second = (spool.append([hit(number)])[0] for number in range(2))
    forwarder.offer([first, second])
    # In memory the two had been one block, whose second hit was the last that was settled.
    forwarder._single_until, forwarder._alone_settled = second.end, (first.start, 2)
    following = forwarder._gather()
    assert following is not None
    assert following.end == second.end
    assert unpack(following.blocks[0]) == [hit(1)]
    assert forwarder._gather() is None
    spool.close()

"""The collector as a process, against both brokers: what is answered is in Kafka, also after a stop or a kill."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable

import aiohttp
import pytest

from collector.contract import Hit
from tests.brokers import Broker, Tansu, unique
from tests.collector.running import Running, hits_in
from tests.waiting import until

Make = Callable[..., Running]


async def send(url: str, ids: range, event: str = "seen") -> list[str]:
    """Send a pixel request an id, some at a time; return the ids that were answered as accepted."""
    accepted: list[str] = []
    waiting = iter(ids)
    async with aiohttp.ClientSession() as session:

        async def some() -> None:
            for number in waiting:
                async with session.get(f"{url}/p.gif?s=demo&e={event}&id={number}") as answer:
                    if answer.headers["X-Pharos"] == "accepted":
                        accepted.append(str(number))

        await asyncio.gather(*(some() for _ in range(8)))
    return accepted


def client_ids(hits: list[Hit]) -> list[str]:
    return [hit.query.rpartition("id=")[2] for hit in hits]


async def test_accepted_hits_are_in_kafka_once_and_the_drain_leaves_nothing(broker: Broker, collector: Make) -> None:
    topic = unique("hits.raw")
    await broker.create_topics(topic)
    fsync = "always" if broker.durable else "interval"
    running = collector(kafka=broker.bootstrap, topic_raw=topic, workers=2, fsync=fsync, spool_bytes=1 << 30)
    await running.start()
    await running.ready()
    accepted = await send(running.url, range(300))
    assert len(accepted) == 300
    metrics = await running.metrics()
    assert metrics['hits_total{result="accepted",site="demo"}'] == 300
    assert metrics["workers"] == 2
    assert (
        metrics['answer_seconds_count{path="fast"}'] == metrics['answer_seconds_bucket{le="+Inf",path="fast"}'] == 300
    )
    assert metrics['kafka_seconds_count{step="produce"}'] == metrics["forwarded_batches_total"]
    assert metrics["spool_limit_bytes"] == 1 << 30  # of both workers together
    assert metrics['spool_refused_total{why="full"}'] == metrics['address_faults_total{why="untrusted"}'] == 0

    async def passed() -> bool:
        seen = await running.metrics()
        return seen["spool_bytes"] == 0 and seen["spool_acknowledged_bytes_total"] == seen["spool_disk_bytes"] > 0

    await until(passed, "the workers' marks have passed what was written")
    assert running.program.terminate() == 0
    hits = await hits_in(broker.bootstrap, topic)
    assert sorted(client_ids(hits)) == sorted(accepted)
    assert len({hit.id for hit in hits}) == 300


async def test_hits_accepted_before_kafka_is_there_arrive_later(broker: Broker, collector: Make) -> None:
    topic = unique("hits.raw")
    await broker.create_topics(topic)
    running = collector(kafka="127.0.0.1:1", topic_raw=topic, drain_s=0.1)
    await running.start()
    accepted = await send(running.url, range(50))
    assert len(accepted) == 50
    async with aiohttp.ClientSession() as session, session.get(f"{running.admin}/readyz") as answer:
        assert answer.status == 503
        assert "Kafka" in await answer.text()
    running.program.kill()
    await running.start(kafka=broker.bootstrap)

    async def arrived() -> bool:
        return set(client_ids(await hits_in(broker.bootstrap, topic))) == set(accepted)

    await until(arrived, "all hits are in Kafka")


async def test_health_is_answered_however_long_a_worker_is_at_work(collector: Make) -> None:
    """The supervisor answers it, and no request of a stranger reaches the supervisor."""
    running = collector(kafka="127.0.0.1:1", drain_s=0.1)
    await running.start()
    assert await send(running.url, range(1)) == ["0"]
    (worker,) = running.worker_pids()
    os.kill(worker, signal.SIGSTOP)  # no work of a worker can take longer
    try:
        async with aiohttp.ClientSession() as session:
            hit = asyncio.create_task(session.get(f"{running.url}/p.gif?s=demo"))
            for _ in range(3):
                async with asyncio.timeout(30), session.get(f"{running.admin}/healthz") as answer:
                    assert answer.status == 200
            assert not hit.done()
            os.kill(worker, signal.SIGCONT)
            async with asyncio.timeout(30), await hit as answer:
                assert answer.status == 200
    finally:
        os.kill(worker, signal.SIGCONT)


async def test_a_killed_worker_is_replaced_and_nobody_is_refused_meanwhile(tansu: Tansu, collector: Make) -> None:
    topic = unique("hits.raw")
    await tansu.create_topics(topic)
    running = collector(kafka=tansu.bootstrap, topic_raw=topic)
    await running.start()
    await running.ready()
    (worker,) = running.worker_pids()
    os.kill(worker, signal.SIGKILL)
    accepted = await send(running.url, range(20))
    assert len(accepted) == 20
    assert running.worker_pids() != [worker]
    assert (await running.metrics())["worker_deaths_total"] == 1


async def test_a_worker_that_dies_while_kafka_is_away_leaves_the_collector_ready(
    apache_kafka: Broker, collector: Make
) -> None:
    """Its spool takes what comes; also after a restart, once Kafka has been reached."""
    topic = unique("hits.raw")
    await apache_kafka.create_topics(topic)
    running = collector(kafka=apache_kafka.bootstrap, topic_raw=topic, workers=2, drain_s=5)
    await running.start()
    await running.ready()
    await send(running.url, range(20))
    assert running.program.terminate() == 0
    await running.start(kafka="127.0.0.1:1", drain_s=0)
    await running.ready()
    before = running.worker_pids()
    os.kill(before[0], signal.SIGKILL)
    await until(lambda: set(before) != set(running.worker_pids()) and len(running.worker_pids()) == 2, "a new worker")
    await running.ready()
    assert len(await send(running.url, range(20, 40))) == 20


async def test_a_busy_port_stops_the_start_by_name(collector: Make) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        running = collector(port=taken.getsockname()[1])
        with pytest.raises(AssertionError, match="PHAROS_COLLECTOR_PORT"):
            await running.start()
        assert running.program.wait(60) == 2

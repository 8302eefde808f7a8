"""kill -9 of workers and of the whole collector at random moments, Kafka away meanwhile: no hit is missing or doubled.

Every id that was answered as accepted is in the topic at the end, and no hit is there as two: what is sent again after
a kill is the same record, with the same hit id. With a broker that forgets (Tansu) the collector keeps acknowledged
hits and sends them again, as the local set-up does.
"""

import asyncio
import os
import random
import signal
from collections import defaultdict
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import aiohttp
import orjson

from collector.contract import Hit
from tests.brokers import Broker, unique
from tests.collector import scale
from tests.collector.running import Running, hits_in, id_given
from tests.waiting import until

SENDERS = 6


async def send_one(session: aiohttp.ClientSession, url: str, name: str, number: int) -> set[str]:
    """Send a hit by one of the routes, or two in one post; return the names that were answered as accepted."""
    match number % 5:
        case 0 | 1 as events:
            names = {name, f"{name}b"} if events else {name}
            body = orjson.dumps([{"site": "demo", "event": "seen", "id": one} for one in sorted(names)])
            asked, status = session.post(f"{url}/e", data=body), 202
        case 2:
            names, status = {name}, 302
            asked = session.get(f"{url}/c/kill?gclid={name}", allow_redirects=False)
        case other:
            path = "/p.gif?s=demo" if other == 3 else "/o.gif?s=demo&e=open"
            names, status = {name}, 200
            asked = session.get(f"{url}{path}&id={name}")
    async with asked as answer:
        return names if answer.status == status and answer.headers["X-Pharos"] == "accepted" else set()


def name_of(hit: Hit) -> str:
    """Return the name that a hit was sent with: its id, or the click id of a link."""
    if hit.kind != "click":
        return id_given(hit)
    url: str = orjson.loads(hit.body)["url"]
    return parse_qs(urlsplit(url).query)["gclid"][0]


def doubled(hits: list[Hit]) -> dict[str, set[Hit]]:
    """Return the names with more than one hit, apart from repeats of the same record; each was sent once."""
    found: defaultdict[str, set[Hit]] = defaultdict(set)
    for hit in hits:
        found[name_of(hit)].add(hit)
    return {name: different for name, different in found.items() if len(different) > 1}


async def send_until(stop: asyncio.Event, running: Running, accepted: set[str], sender: int) -> None:
    """Send hits with ids of their own, one after the other, and note those that were answered as accepted."""
    number = 0
    while not stop.is_set():
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
                while not stop.is_set():
                    number += 1
                    name = f"{sender}-{number}"
                    accepted |= await send_one(session, running.url, name, number)
                    await asyncio.sleep(0.01)
        except (aiohttp.ClientError, TimeoutError):
            await asyncio.sleep(0.05)  # not answered: nothing was promised


async def disturb(running: Running, broker: Broker, topic: str, chance: random.Random, rounds: int) -> None:
    """Kill, stop and start, in a random order."""

    async def kill_worker() -> None:
        if pids := running.worker_pids():
            os.kill(chance.choice(pids), signal.SIGKILL)

    async def kill_collector() -> None:
        os.kill(running.program.pid, signal.SIGKILL)  # its workers are left behind, and must go by themselves
        running.program.wait(60)
        await running.start(links=running.folder / "links.toml")

    async def broker_away() -> None:
        await asyncio.to_thread(chance.choice([broker.kill, broker.stop]))
        await asyncio.sleep(1)
        await kill_worker()
        await asyncio.to_thread(broker.start)
        if not broker.durable:
            await broker.create_topics(topic)

    for _ in range(rounds):
        for act in chance.sample([kill_worker, kill_collector, broker_away, kill_worker], 4):
            await asyncio.sleep(0.3 + chance.random())
            await act()


async def test_every_answered_hit_is_in_kafka(broker: Broker, collector: Callable[..., Running]) -> None:
    topic = unique("hits.raw")
    await broker.create_topics(topic)
    running = collector(
        kafka=broker.bootstrap,
        topic_raw=topic,
        workers=2 if broker.durable else 1,
        spool_keep_s=0 if broker.durable else 3600,
        segment_bytes=32 << 10,
        ack_timeout_s=5,
    )
    links = running.folder / "links.toml"
    links.write_text('[links.kill]\nsite = "demo"\nto = "https://shop.example/"\n')
    await running.start(links=links)
    await running.ready()
    accepted: set[str] = set()
    stop = asyncio.Event()
    senders = [asyncio.create_task(send_until(stop, running, accepted, sender)) for sender in range(SENDERS)]
    await disturb(running, broker, topic, random.Random(3), scale.of(small=1, full=8))
    await asyncio.sleep(1)
    stop.set()
    await asyncio.gather(*senders)
    assert len(accepted) > 100

    async def none_missing() -> bool:
        seen = {name_of(hit) for hit in await hits_in(broker.bootstrap, topic)}
        return accepted <= seen

    await until(none_missing, f"{len(accepted)} answered hits are in the topic")
    hits = await hits_in(broker.bootstrap, topic)
    assert {"pixel", "open", "tag", "click"} == {hit.kind for hit in hits}
    assert doubled(hits) == {}
    assert running.program.terminate() == 0

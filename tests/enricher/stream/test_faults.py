"""What the delivery promises, while brokers stop, enrichers come and go, and a zombie wakes up.

Run against Apache Kafka: transactions and their fencing are its alone (Tansu has none, and forgets on restart).
"""

import asyncio
import os
import signal
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.errors import ProducerFenced

from collector.contract import encode as encode_hit
from enricher.commands.replay import Wanted, replay
from enricher.contract import decode_row
from enricher.metrics import Metrics
from enricher.row.enrich import Enricher
from enricher.settings import Settings
from enricher.stream.delivery import Chunk, Transactional
from enricher.stream.loop import TooManyDead, run
from enricher.tables import load_enricher
from stage.admin import Health
from tests.brokers import ApacheKafka, Broker, unique
from tests.enricher.stream.test_stream import hit, read, read_to_end, running, topics, write
from tests.ports import free_port
from tests.processes import Program
from tests.waiting import until

HITS = 40_000 if os.environ.get("PHAROS_TEST_SCALE") == "full" else 2_000


@pytest.fixture(scope="module")
def enricher() -> Enricher:
    return load_enricher()


def hits(count: int, start: int = 0) -> list[bytes]:
    return [encode_hit(hit(number)) for number in range(start, start + count)]


def each_once(rows: list[bytes], count: int) -> None:
    found = Counter(decode_row(row).event_id for row in rows)
    assert len(found) == count
    assert max(found.values()) == 1


async def test_a_second_enricher_joins_and_leaves_and_nothing_doubles(
    apache_kafka: ApacheKafka, enricher: Enricher
) -> None:
    settings = await topics(apache_kafka, chunk_records=50, linger_ms=0)
    half = HITS // 2
    async with running(settings, enricher):
        await write(apache_kafka, settings.topic_raw, hits(half))
        async with running(settings, enricher):
            await write(apache_kafka, settings.topic_raw, hits(half, half))
            await read(apache_kafka, settings.topic_enriched, half)
        await read(apache_kafka, settings.topic_enriched, HITS)
    each_once(await read_to_end(apache_kafka, settings.topic_enriched), HITS)


async def test_a_broker_that_is_killed_costs_nothing(apache_kafka: ApacheKafka, enricher: Enricher) -> None:
    settings = await topics(apache_kafka, chunk_records=50, linger_ms=0, transaction_timeout_ms=10_000)
    await write(apache_kafka, settings.topic_raw, hits(HITS))
    async with running(settings, enricher):
        await read(apache_kafka, settings.topic_enriched, 1)
        await asyncio.to_thread(apache_kafka.kill)
        await asyncio.to_thread(apache_kafka.start)
        await read(apache_kafka, settings.topic_enriched, HITS)
    each_once(await read_to_end(apache_kafka, settings.topic_enriched), HITS)


async def test_whoever_opens_a_lane_next_fences_its_last_owner(apache_kafka: ApacheKafka) -> None:
    settings = await topics(apache_kafka)
    source = TopicPartition(settings.topic_raw, 0)
    delivery = Transactional(settings, Metrics().kafka)
    async with AsyncExitStack() as stack:
        zombie = await delivery.open(source)
        stack.push_async_callback(zombie.close)
        heir = await delivery.open(source)
        stack.push_async_callback(heir.close)
        for writer, expected in ((heir, None), (zombie, ProducerFenced)):
            batch = writer.producer.create_batch()
            batch.append(timestamp=1, key=None, value=b"[]")
            chunk = Chunk(source, 1, [(settings.topic_enriched, 0, batch)], 1, {})
            if expected is None:
                await writer.deliver(chunk)
            else:
                with pytest.raises(expected):
                    async with asyncio.timeout(30):
                        await writer.deliver(chunk)
    assert await read_to_end(apache_kafka, settings.topic_enriched) == [b"[]"]


def environment(settings: Settings) -> dict[str, str]:
    plain = Settings()
    return {
        f"PHAROS_ENRICHER_{name.upper()}": str(getattr(settings, name))
        for name in settings.__struct_fields__
        if getattr(settings, name) != getattr(plain, name)
    } | {"PHAROS_ENRICHER_ADMIN_PORT": "0" if settings.admin_port == plain.admin_port else str(settings.admin_port)}


async def test_a_zombie_that_wakes_up_writes_nothing(
    apache_kafka: ApacheKafka, enricher: Enricher, start: Callable[..., Program]
) -> None:
    settings = await topics(apache_kafka, chunk_records=20, linger_ms=0, session_timeout_ms=6_000)
    zombie = start([sys.executable, "-m", "enricher"], env=environment(settings))
    await write(apache_kafka, settings.topic_raw, hits(HITS))
    await read(apache_kafka, settings.topic_enriched, 1)
    zombie.pause()
    async with running(settings, enricher):
        await read(apache_kafka, settings.topic_enriched, HITS)
        zombie.resume()
        await write(apache_kafka, settings.topic_raw, hits(100, HITS))
        await read(apache_kafka, settings.topic_enriched, HITS + 100)
    each_once(await read_to_end(apache_kafka, settings.topic_enriched), HITS + 100)


async def test_sigterm_drains_and_exits_with_0(apache_kafka: ApacheKafka, start: Callable[..., Program]) -> None:
    settings = await topics(apache_kafka)
    program = start([sys.executable, "-m", "enricher"], env=environment(settings))
    await write(apache_kafka, settings.topic_raw, hits(100))
    await read(apache_kafka, settings.topic_enriched, 100)
    program.signal(signal.SIGTERM)
    assert await asyncio.to_thread(program.wait, 30) == 0


@pytest.mark.parametrize("how", ["pause", "kill"])
async def test_sigterm_ends_while_the_broker_is_away_under_load(
    apache_kafka: ApacheKafka, enricher: Enricher, start: Callable[..., Program], how: str
) -> None:
    many = 5 * HITS
    settings = await topics(
        apache_kafka,
        chunk_records=20,
        linger_ms=0,
        drain_timeout_ms=2_000,
        session_timeout_ms=6_000,
        admin_port=free_port(),
    )
    await write(apache_kafka, settings.topic_raw, hits(many))
    program = start([sys.executable, "-m", "enricher"], env=environment(settings))
    await read(apache_kafka, settings.topic_enriched, 1)
    getattr(apache_kafka, how)()
    try:
        await until(lambda: asyncio.to_thread(ready, settings, 503), "readiness ends")
        program.signal(signal.SIGTERM)
        assert await asyncio.to_thread(program.wait, 30) == 0
    finally:
        await asyncio.to_thread(apache_kafka.start)
    assert "not drained" in program.output(), "a chunk was under way"
    async with running(msgspec.structs.replace(settings, chunk_records=many), enricher):
        await read(apache_kafka, settings.topic_enriched, many)
    each_once(await read_to_end(apache_kafka, settings.topic_enriched), many)


async def test_a_delivery_that_hangs_ends_the_session_and_is_done_again_once(
    apache_kafka: ApacheKafka, start: Callable[..., Program]
) -> None:
    many = 5 * HITS
    settings = await topics(
        apache_kafka, chunk_records=20, linger_ms=0, delivery_timeout_ms=6_000, admin_port=free_port()
    )
    await write(apache_kafka, settings.topic_raw, hits(many))
    program = start([sys.executable, "-m", "enricher"], env=environment(settings))
    await read(apache_kafka, settings.topic_enriched, 1)
    apache_kafka.pause()
    try:
        await until(lambda: asyncio.to_thread(ready, settings, 503), "readiness ends")
        await until(lambda: "beginning again" in program.output(), "the session ends")
        assert await asyncio.to_thread(ready, settings, 503)
    finally:
        await asyncio.to_thread(apache_kafka.start)
    await until(lambda: asyncio.to_thread(ready, settings, 200), "readiness comes back")
    await read(apache_kafka, settings.topic_enriched, many)
    program.signal(signal.SIGTERM)
    assert await asyncio.to_thread(program.wait, 30) == 0
    each_once(await read_to_end(apache_kafka, settings.topic_enriched), many)


async def test_an_enricher_without_partitions_is_not_ready_while_the_broker_is_silent(
    apache_kafka: ApacheKafka, start: Callable[..., Program]
) -> None:
    raw = unique("hits.raw")
    await apache_kafka.create_topics(raw, partitions=1)
    settings = await topics(apache_kafka, topic_raw=raw, delivery_timeout_ms=6_000)
    each = [msgspec.structs.replace(settings, admin_port=free_port()) for _ in range(2)]
    programs = [start([sys.executable, "-m", "enricher"], env=environment(one)) for one in each]
    for one in each:
        await until(lambda one=one: asyncio.to_thread(ready, one, 200), "readiness")  # type: ignore[misc]
    await until(lambda: all("partitions assigned" in program.output() for program in programs), "both are members")
    apache_kafka.pause()
    try:
        for one in each:
            await until(lambda one=one: asyncio.to_thread(ready, one, 503), "readiness ends")  # type: ignore[misc]
    finally:
        await asyncio.to_thread(apache_kafka.start)


def ready(settings: Settings, status: int) -> bool:
    """Tell whether `/readyz` answers so."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{settings.admin_port}/readyz", timeout=5) as answer:
            return bool(answer.status == status)
    except urllib.error.HTTPError as error:
        return error.code == status
    except OSError:
        return False


async def test_the_brake_stops_before_the_topic_is_emptied_into_the_dead_letters(
    broker: Broker, enricher: Enricher
) -> None:
    settings = await topics(broker, brake_window_hits=100)
    await write(broker, settings.topic_raw, [b"broken"] * 1_000)
    with pytest.raises(TooManyDead, match="most of them undecodable"):
        async with asyncio.timeout(60):
            await run(settings, enricher, Metrics(), Health(), asyncio.Event())


async def test_nothing_that_a_sender_writes_counts_for_the_brake(broker: Broker, enricher: Enricher) -> None:
    settings = await topics(broker, brake_window_hits=100)
    senseless = ["u=shop", "u={{page_url}}", "e=a b&v=x&ts=y&c=z", "x.=1"]
    await write(broker, settings.topic_raw, [encode_hit(hit(n, query=senseless[n % 4])) for n in range(1_000)])
    async with running(settings, enricher):
        assert len(await read(broker, settings.topic_enriched, 1_000)) == 1_000


async def test_a_replay_makes_the_same_rows_again(broker: Broker, enricher: Enricher) -> None:
    settings = await topics(broker)
    now = 1_795_334_400_000
    await write(broker, settings.topic_raw, [*hits(200), encode_hit(hit(200, site="other"))])
    async with running(settings, enricher):
        first = await read(broker, settings.topic_enriched, 201)
    everything = Wanted(settings.topic_raw, 0, 2**42)
    told: list[tuple[int, int]] = []
    outcome = await replay(settings, everything, enricher.enrich, lambda *done: told.append(done))
    assert outcome.results == {"enriched": 201}
    assert told
    again = await read(broker, settings.topic_enriched, 402)
    assert sorted(again) == sorted(first * 2), "the same rows, byte for byte"

    of_shop = await replay(
        settings, Wanted(settings.topic_raw, 0, 2**42, site="shop", dry_run=True), enricher.enrich, lambda *_: None
    )
    assert of_shop.results == {"enriched": 200, "another site": 1}
    before = await replay(settings, Wanted(settings.topic_raw, 0, now // 1000), enricher.enrich, lambda *_: None)
    assert not before.results


async def test_dead_letters_are_replayed_under_better_rules(broker: Broker, enricher: Enricher) -> None:
    settings = await topics(broker)
    worse = [encode_hit(hit(number, kind="server", body="[]")) for number in range(3)]
    await write(broker, settings.topic_raw, [*worse, *hits(20)])
    async with running(settings, enricher):
        await read(broker, settings.topic_dead, 3)
    everything = Wanted(settings.topic_dead, 0, 2**42)
    still = await replay(settings, everything, enricher.enrich, lambda *_: None)
    assert still.results == {"dead: undecodable": 3}

    better = await replay(
        settings, everything, lambda dead: enricher.enrich(hit(int(dead.id, 16) % 100)), lambda *_: None
    )
    assert better.results == {"enriched": 3}
    assert len(await read(broker, settings.topic_dead, 3)) == 3, "nothing is buried twice"

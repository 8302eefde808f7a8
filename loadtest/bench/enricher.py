"""What enrichment costs: the enricher against a program that only passes records on, over the same broker and hits.

Each contestant runs on one core, the broker on another. Each reads the same hits from the topic's begin, in a consumer
group of its own; the CPU time is that of its process from readiness to the last commit. The enricher's own command
`measure` tells what the pure function costs, without Kafka.
"""

import asyncio
import itertools
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import msgspec
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from collector.contract import Hit, encode
from loadtest.bench import native
from loadtest.bench.broker import KAFKA, broker
from loadtest.bench.broker import name as broker_name
from loadtest.bench.collector_process import SURFACE
from loadtest.bench.frame import Bench, Contestant, Figures, Options
from loadtest.check.processes import Program, answers, free_port, rss_bytes, started
from loadtest.traffic import profiles

PARTITIONS: Final = 4
_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")
"""What the operating system counts in: a miniature may be over before the first of them."""


def hits(count: int) -> Iterator[Hit]:
    """Yield the hits of the mix, no two alike, as the collector writes them."""
    return itertools.islice(profiles.hits("mix", 7, SURFACE), count)


class Enriching(msgspec.Struct, frozen=True):
    """An enricher that runs."""

    program: Program
    group: str
    """Its consumer group."""
    topic: str
    """Where it writes rows."""


async def _topics(kafka: str, *names: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names])
    finally:
        await admin.close()


async def fill(kafka: str, topic: str, count: int) -> None:
    """Write the hits as the collector's forwarder does: large lz4 batches, a partition after another."""
    await _topics(kafka, topic)
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all", compression_type="lz4", max_batch_size=500_000)
    await producer.start()
    try:
        partitions = itertools.cycle(range(PARTITIONS))
        batch, sent = producer.create_batch(), []
        for hit in hits(count):
            if batch.append(timestamp=hit.at, key=None, value=encode(hit)) is None:
                sent.append(await producer.send_batch(batch, topic, partition=next(partitions)))
                batch = producer.create_batch()
                batch.append(timestamp=hit.at, key=None, value=encode(hit))
        sent.append(await producer.send_batch(batch, topic, partition=next(partitions)))
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def until_committed(kafka: str, group: str, topic: str, count: int, program: Program) -> tuple[float, float]:
    """Wait until the group has committed `count` records; return the times (monotonic) of its first and last commit.

    Asked of the broker, not of the program under test; and not by the topic's end, which Tansu tells too low.
    """
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        began = 0.0
        while True:
            offsets = await admin.list_consumer_group_offsets(group, partitions=partitions)
            done = sum(max(0, offset.offset) for offset in offsets.values())
            if done and not began:
                began = time.monotonic()
            if done >= count:
                return began, time.monotonic()
            if program.process.poll() is not None:
                raise RuntimeError(f"ended early:\n{program.last_lines()}")
            await asyncio.sleep(0.05)
    finally:
        await admin.close()


def _measured(program: Program, kafka: str, group: str, topic: str, count: int) -> Figures:
    before = program.cpu_s()
    began, ended = asyncio.run(until_committed(kafka, group, topic, count, program))
    spent = max(program.cpu_s() - before, _TICK_S)
    return {
        "cpu_us_per_hit": spent / count * 1e6,
        "hits_per_cpu_s": count / spent,
        "hits_per_s": count / max(ended - began, 1e-3),
        "rss_mb": rss_bytes(program.pid) / 1e6,
        "rss_peak_mb": program.rss_peak_bytes() / 1e6,
    }


def _passthrough(kafka: str, raw: str, count: int, folder: Path) -> Figures:
    name = secrets.token_hex(4)
    target = f"passed.{name}"
    asyncio.run(_topics(kafka, target))
    ready = folder / f"ready.{name}"
    argv = [sys.executable, "-m", "loadtest.bench.passthrough", kafka, f"passthrough.{name}", raw, target, str(ready)]
    with started(argv, folder=folder, ready=ready.exists, cores=[0]) as program:
        return _measured(program, kafka, f"passthrough.{name}", raw, count)


@contextmanager
def enriching(kafka: str, raw: str, folder: Path, delivery: str, code: Path = native.ROOT) -> Iterator[Enriching]:
    """Run the enricher that lies in `code` on one core; yields it once it is ready."""
    name = secrets.token_hex(4)
    good, dead = f"enriched.{name}", f"dead.{name}"
    asyncio.run(_topics(kafka, good, dead))
    port = free_port()
    environ = {
        "PHAROS_ENRICHER_KAFKA": kafka,
        "PHAROS_ENRICHER_GROUP": f"enricher.{name}",
        "PHAROS_ENRICHER_TOPIC_RAW": raw,
        "PHAROS_ENRICHER_TOPIC_ENRICHED": good,
        "PHAROS_ENRICHER_TOPIC_DEAD": dead,
        "PHAROS_ENRICHER_ADMIN_PORT": str(port),
        "PHAROS_ENRICHER_DELIVERY": delivery,
        "PHAROS_ENRICHER_SESSION_TIMEOUT_MS": "6000",
    }
    ready = f"http://127.0.0.1:{port}/readyz"
    argv = [sys.executable, "-m", "enricher"]
    with started(argv, folder=folder, ready=lambda: answers(ready), environ=environ, cores=[0], cwd=code) as program:
        native.check(program.pid, code)
        yield Enriching(program, environ["PHAROS_ENRICHER_GROUP"], good)


def _enricher(kafka: str, raw: str, count: int, folder: Path, delivery: str, code: Path) -> Figures:
    with enriching(kafka, raw, folder, delivery, code) as one:
        return _measured(one.program, kafka, one.group, raw, count)


def _alone(lines: bytes, code: Path) -> Figures:
    """Run the `measure` of the enricher in `code` over hits, a line each: warm and cold, no Kafka."""
    argv = [sys.executable, "-m", "enricher", "measure"]
    done = subprocess.run(argv, input=lines, stdout=subprocess.PIPE, check=True, cwd=code)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


@contextmanager
def prepare(options: Options) -> Iterator[Bench]:
    """Start a broker, fill the topic, and yield the contestants."""
    count = options.scaled(1_000_000, 2_000)
    delivery = "auto" if KAFKA in os.environ else "at_least_once"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kafka = stack.enter_context(broker(folder))
        raw = f"raw.{secrets.token_hex(4)}"
        asyncio.run(fill(kafka, raw, count))
        code = native.compiled(folder / "native")
        lines = b"\n".join(encode(hit) for hit in hits(options.scaled(200_000, 1_000)))

        def enriched(code: Path) -> Callable[[], Figures]:
            return lambda: _enricher(kafka, raw, count, folder, delivery, code)

        yield Bench(
            title="Enrichment, against passing records on",
            contestants=(
                Contestant("passthrough", lambda: _passthrough(kafka, raw, count, folder)),
                Contestant("enricher", enriched(code), floor="passthrough"),
                Contestant("enricher, interpreted", enriched(native.ROOT), floor="passthrough"),
                Contestant("enrichment alone", lambda: _alone(lines, code)),
            ),
            facts={
                "enricher": "compiled (deploy.native), as in the image",
                "hits": f"the mix, {count:,} different ones",
                "broker": broker_name(),
                "delivery": delivery,
            },
        )

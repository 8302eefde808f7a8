"""What the enricher tells of itself: the age of what waits, what was remembered, and faults from 0 on."""

import asyncio
import builtins

import aiokafka.errors
import pytest
from aiokafka import TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from enricher.backlog import KNOWN_FOR_S, Backlog
from enricher.metrics import KAFKA_FAULTS, Metrics
from enricher.stream import delivery, loop
from enricher.stream.delivery import Chunk, Delivery, PartitionWriter
from enricher.tables import load_enricher
from stage.admin import Health
from tests.brokers import Tansu
from tests.enricher.stream.test_faults import hits
from tests.enricher.stream.test_stream import topics, write
from tests.waiting import until


def told(metrics: Metrics) -> dict[str, float]:
    """Return the samples, as 'name{label=value}'."""
    families = text_string_to_metric_families(metrics.exposition().decode())
    samples = [sample for family in families for sample in family.samples]
    return {
        "".join([one.name, *(f"{{{name}={value}}}" for name, value in one.labels.items())]): one.value
        for one in samples
    }


def test_the_age_grows_while_something_waits_and_while_nobody_knows() -> None:
    backlog = Backlog(1000.0)
    assert backlog.seconds(1030.0) == 30, "Kafka was not there yet"
    backlog.own([0, 1], 1030.0)
    for partition in (0, 1):
        backlog.looked(partition, 1030.0, empty=True)
    assert backlog.seconds(1035.0) == 0
    backlog.looked(1, 1035.0, empty=False)
    assert backlog.seconds(1035.0) == 5, "it may have come just after the last look"
    backlog.waits_since(1, 1032.0)
    assert backlog.seconds(1040.0) == 8
    backlog.looked(0, 1040.0, empty=True)
    backlog.looked(1, 1040.0, empty=True)
    assert backlog.seconds(1040.0 + KNOWN_FOR_S) == 0
    assert backlog.seconds(1140.0) == 100, "nobody has looked since"


def test_what_waits_goes_on_waiting_over_a_rebalance_and_what_is_anothers_does_not() -> None:
    backlog = Backlog(1000.0)
    backlog.own([0, 1], 1000.0)
    backlog.waits_since(0, 1010.0)
    backlog.waits_since(1, 1005.0)
    backlog.own([0], 1020.0)
    backlog.waits_since(1, 1.0)
    backlog.looked(1, 1020.0, empty=False)
    assert backlog.seconds(1030.0) == 20
    backlog.own([], 1030.0)
    assert backlog.seconds(1040.0) == 0


class _Stuck:
    """A writer that delivers nothing until it may."""

    def __init__(self, writer: PartitionWriter, may: asyncio.Event) -> None:
        self.producer = writer.producer
        self.close = writer.close
        self._lane = writer
        self._may = may

    async def deliver(self, chunk: Chunk) -> None:
        await self._may.wait()
        await self._lane.deliver(chunk)


async def test_a_stage_that_stands_still_is_seen_to(tansu: Tansu, monkeypatch: pytest.MonkeyPatch) -> None:
    """The very first chunk hangs: the consumer has taken all there is, and yet the age grows, until it is delivered."""
    metrics, may, stopping = Metrics(), asyncio.Event(), asyncio.Event()
    begin = delivery.begin

    async def begin_stuck(*arguments: object, **named: object) -> Delivery:
        out = await begin(*arguments, **named)  # type: ignore[arg-type]
        open_lane = out.open

        async def open_stuck(source: TopicPartition) -> PartitionWriter:
            return _Stuck(await open_lane(source), may)

        monkeypatch.setattr(out, "open", open_stuck)
        return out

    monkeypatch.setattr(delivery, "begin", begin_stuck)
    monkeypatch.setattr(loop, "_LAG_EVERY_S", 0.2)
    settings = await topics(tansu)
    task = asyncio.create_task(loop.run(settings, load_enricher(), metrics, Health(), stopping))
    try:
        await until(lambda: told(metrics)["pharos_enricher_lag_seconds"] == 0, "an empty topic has no lag")
        await write(tansu, settings.topic_raw, hits(8))
        await until(lambda: told(metrics)["pharos_enricher_lag_seconds"] > 1, "the age of what hangs")
        before = told(metrics)["pharos_enricher_lag_seconds"]
        await until(lambda: told(metrics)["pharos_enricher_lag_seconds"] > before + 1, "it grows")
        assert told(metrics)["pharos_enricher_lag_records"] == 0, "taken, and still not delivered"
        may.set()
        await until(lambda: told(metrics)["pharos_enricher_lag_seconds"] == 0, "delivered")
        assert told(metrics)["pharos_enricher_hits_total{result=enriched}"] == 8
    finally:
        may.set()
        stopping.set()
        async with asyncio.timeout(60):
            await task


def test_faults_are_shown_from_the_start_by_names_that_there_are() -> None:
    known = (aiokafka.errors, builtins, loop)
    metrics = Metrics()
    for why in KAFKA_FAULTS:
        assert why == "other" or any(hasattr(module, why) for module in known), why
        assert told(metrics)[f"pharos_enricher_kafka_errors_total{{why={why}}}"] == 0
    metrics.kafka_error(TimeoutError())
    metrics.kafka_error(aiokafka.errors.CorruptRecordException())
    found = told(metrics)
    assert found["pharos_enricher_kafka_errors_total{why=TimeoutError}"] == 1
    assert found["pharos_enricher_kafka_errors_total{why=other}"] == 1
    assert len([name for name in found if name.startswith("pharos_enricher_kafka_errors_total")]) == len(KAFKA_FAULTS)


def test_the_misses_of_a_cache_are_counted_on() -> None:
    """A rate can be had of them: with the hits, how much was remembered."""
    metrics, enricher = Metrics(), load_enricher()
    for misses in (3, 3, 10):
        metrics.remembered("pages", held=2, misses=misses)
    assert told(metrics)["pharos_enricher_cache_misses_total{cache=pages}"] == 10
    assert told(metrics)["pharos_enricher_cache_entries{cache=pages}"] == 2
    for name, cache in enricher.caches.items():
        metrics.remembered(name, cache.held, cache.misses)
    assert f"pharos_enricher_cache_misses_total{{cache={name}}}" in told(metrics)

"""`python -m enricher replay`: enriches hits of `hits.raw` or `hits.dead` again, with today's rules.

Nothing doubles: a new row has the event id of the old one and a version that depends on the hit and the rules alone, so
ClickHouse keeps the row of the later rules, and a second run writes the same rows. A hit that is still dead is counted
and gets no second dead letter.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from collector.contract import Hit
from collector.contract import decode as decode_hit
from enricher.contract import decode_dead
from enricher.rules.sent_fields import Refusal
from enricher.settings import Settings
from enricher.stream.chunk import enrich_record
from enricher.stream.record_batch import BatchWriter
from stage.aiokafka_internals import start_client, stop_client
from stage.kafka import access

NOT_A_HIT: Final = "row of the sink, not a hit"
OTHER_SITE: Final = "another site"
UNREADABLE: Final = "unreadable dead letter"
_IDLE_MS: Final = 1_000
_CHUNK: Final = 4_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which hits to enrich again: by the time of their record, milliseconds since the epoch, half open."""

    topic: str
    since_ms: int
    until_ms: int
    site: str = ""
    dry_run: bool = False


@dataclass(slots=True)
class Outcome:
    """How many hits had which result."""

    results: Counter[str] = field(default_factory=Counter)
    """Hits by result: enriched, the reason of a dead hit, or the reason why it was skipped."""
    first_reasons: dict[str, str] = field(default_factory=dict)
    """An example of each dead reason's detail."""


def original(record: bytes, *, dead: bool) -> bytes | str:
    """Return the bytes of the hit in a record, or (as str) why a dead letter holds no hit."""
    if not dead:
        return record
    try:
        letter = decode_dead(record)
    except msgspec.DecodeError:
        return UNREADABLE
    return letter.record if letter.stage == "enricher" and letter.record else NOT_A_HIT


def of_site(record: bytes, site: str) -> bool:
    """Return whether a record is a hit of `site`; always true if `site` is empty."""
    if not site:
        return True
    try:
        return decode_hit(record).site == site
    except (msgspec.DecodeError, UnicodeError):
        return False


async def _span(consumer: AIOKafkaConsumer, wanted: Wanted, numbers: set[int]) -> dict[TopicPartition, tuple[int, int]]:
    """Return begin and end offset of each partition. They may include too much: the caller checks each time."""
    partitions = [TopicPartition(wanted.topic, number) for number in sorted(numbers)]
    consumer.assign(partitions)
    begins = await consumer.beginning_offsets(partitions)
    ends = await consumer.end_offsets(partitions)
    try:
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, wanted.since_ms))
    except KafkaError:  # a broker without an index of times: read every record
        found = {}
    span = {}
    for each in partitions:
        start = found[each].offset if found.get(each) is not None else begins[each]
        span[each] = (max(start, begins[each]), ends[each])
    return span


async def _records(
    consumer: AIOKafkaConsumer, span: dict[TopicPartition, tuple[int, int]]
) -> AsyncIterator[tuple[TopicPartition, list[ConsumerRecord]]]:
    """Yield the records of the span, and those right behind its end (Tansu reports too low an end)."""
    for source, (start, _) in span.items():
        consumer.seek(source, start)
    while True:
        taken = await consumer.getmany(timeout_ms=_IDLE_MS, max_records=_CHUNK)
        if not taken:
            behind = [each for each, (_, end) in span.items() if await consumer.position(each) < end]
            if not behind:
                return
        for source, records in taken.items():
            yield source, records


async def replay(
    settings: Settings,
    wanted: Wanted,
    enrich: Callable[[Hit], bytes | Refusal],
    progress: Callable[[int, int], None],
) -> Outcome:
    """Enrich the wanted hits again and write the rows to `hits.enriched`; `progress` gets records done and in total.

    Raises:
        KafkaError: no such topic, or the broker is not there; start it again, nothing doubles.
    """
    outcome = Outcome()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka,
        **access(settings),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka,
        **access(settings),
        acks="all",
        compression_type=None if settings.compression == "none" else settings.compression,
        max_batch_size=settings.batch_bytes,
        max_request_size=settings.batch_bytes + 65_536,
    )
    await start_client(consumer)
    try:
        await start_client(producer)
        span = await _span(consumer, wanted, await producer.partitions_for(wanted.topic))
        total, done = sum(end - start for start, end in span.values()), 0
        targets = 0 if wanted.dry_run else len(await producer.partitions_for(settings.topic_enriched))
        async for source, records in _records(consumer, span):
            rows = _rows(settings, wanted, enrich, records, outcome)
            if targets:
                await _write(producer, settings, source.partition % targets, rows)
            done += len(records)
            progress(min(done, total), total)
    finally:
        await stop_client(consumer)
        await stop_client(producer)
    return outcome


def _rows(
    settings: Settings,
    wanted: Wanted,
    enrich: Callable[[Hit], bytes | Refusal],
    records: list[ConsumerRecord],
    outcome: Outcome,
) -> BatchWriter:
    rows = BatchWriter(settings.compression, settings.batch_bytes, transactional=False)
    for record in records:
        if not wanted.since_ms <= record.timestamp < wanted.until_ms:
            continue
        hit = original(record.value or b"", dead=wanted.topic == settings.topic_dead)
        if isinstance(hit, str):
            outcome.results[hit] += 1
        elif not of_site(hit, wanted.site):
            outcome.results[OTHER_SITE] += 1
        else:
            made = enrich_record(enrich, hit)
            if isinstance(made, Refusal):
                outcome.results[f"dead: {made.reason}"] += 1
                outcome.first_reasons.setdefault(f"dead: {made.reason}", made.detail)
            else:
                outcome.results["enriched"] += 1
                if not wanted.dry_run:
                    rows.add(made, record.timestamp)
    return rows


async def _write(producer: AIOKafkaProducer, settings: Settings, partition: int, rows: BatchWriter) -> None:
    topic = settings.topic_enriched
    sent = [await producer.send_batch(batch, topic, partition=partition) for batch in rows.batches()]
    await asyncio.gather(*sent)


def run(settings: Settings, wanted: Wanted, enrich: Callable[[Hit], bytes | Refusal]) -> int:
    """Replay with a progress bar on standard error, then print the outcome; return 0, or 1 if Kafka fails."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(f"replaying {wanted.topic}", total=None)
            outcome = asyncio.run(
                replay(settings, wanted, enrich, lambda done, total: bar.update(task, completed=done, total=total))
            )
    except (KafkaError, OSError) as error:
        console.print(f"replay of {wanted.topic}: {error}", style="red", markup=False)
        return 1
    table = Table("hits", "count", "for example")
    for result, count in outcome.results.most_common():
        table.add_row(result, f"{count:,}", outcome.first_reasons.get(result, ""))
    console.print(table)
    console.print("dry run: nothing written" if wanted.dry_run else f"rows written to {settings.topic_enriched}")
    return 0

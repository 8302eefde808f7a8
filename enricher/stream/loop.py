"""The thin stream around the pure function: consume, enrich, produce, commit; and begin again after a fault.

Consuming, enriching and delivering overlap. While a chunk is on its way, the next one is enriched and the one
after it fetched; each input partition has one chunk on its way at most. Any error of Kafka ends the session; the next
one begins at the committed offsets, so that there is one way to recover and not many. No wait for Kafka is without
bounds, because aiokafka never gives up (#1101): a delivery that takes too long is an error, the end has a deadline, and
readiness ends before either. Longer than most modules: a session's parts share its writers, and read best together.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaConnectionError, KafkaError

from enricher.contract import DeadHit, encode_dead
from enricher.metrics import Metrics
from enricher.row.enrich import Enricher
from enricher.rules.sent_fields import Refusal
from enricher.settings import Settings
from enricher.stream import delivery
from enricher.stream.brake import Brake
from enricher.stream.chunk import ChunkEnrichment
from enricher.stream.column_fetch import FetchedColumns, take_columns
from enricher.stream.delivery import Chunk, Delivery, PartitionWriter
from enricher.stream.record_batch import BatchWriter
from stage import gap
from stage.admin import Health
from stage.aiokafka_internals import start_client, stop_client, time_fetches
from stage.kafka import access
from stage.log import line

_POLL_MS: Final = 200
_SMALL_TAKE: Final = 1000
"""BatchWriter; fewer than that may wait for company."""
_STEP_S: Final = 0.002
"""Longest time that dead letters are built before other tasks run."""
_PATIENCE_S: Final = 5.0
"""A wait for Kafka that takes longer ends readiness, long before it ends the session."""
_FIRST_BACKOFF_S: Final = 0.2
_LONGEST_BACKOFF_S: Final = 10.0
_LAG_EVERY_S: Final = 5.0
_STALLED_LOOKS: Final = 6
"""Looks at the lag with records waiting and none taken, after which the consumer counts as hung (aiokafka #1154)."""


class TooManyDead(Exception):
    """Too many hits are dead; the message says how many."""


class Stalled(Exception):
    """BatchWriter wait, and the consumer takes none."""


class _Session(ConsumerRebalanceListener):  # type: ignore[misc]
    """One consumer's life: from joining the group to the first fault, or the drain."""

    def __init__(
        self,
        settings: Settings,
        enricher: Enricher,
        consumer: AIOKafkaConsumer,
        out: Delivery,
        brake: Brake,
        metrics: Metrics,
        health: Health,
    ) -> None:
        self._settings = settings
        self._enricher = enricher
        self._consumer = consumer
        self._out = out
        self._brake = brake
        self._metrics = metrics
        self._health = health
        self._long_waits: set[object] = set()
        self._writers: dict[TopicPartition, PartitionWriter] = {}
        self._in_delivery: dict[TopicPartition, asyncio.Task[None]] = {}
        self._taken = 0
        self._assignments = 0
        """How often partitions were taken away: what was fetched before is not carried after."""
        self._partitions: dict[str, int] = {}
        self._next: dict[TopicPartition, int] = {}
        """The offset after the last record taken, or committed: a gap after it is looked into."""
        self._delivered: dict[TopicPartition, int] = {}
        """Up to which offset; of a partition that was not yet delivered, the first that was taken."""

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Finish what is under way before another enricher takes the partitions."""
        self._assignments += 1
        await self._release(revoked, self._settings.drain_timeout_ms / 1000)

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Lanes are opened with the first record, in the stream's own task, where an error is not swallowed."""
        self._metrics.backlog.own([each.partition for each in assigned], time.time())
        if not assigned:
            self._metrics.lag.set(0)  # all of them are others' now
        line("info", "partitions assigned", partitions=",".join(str(each.partition) for each in sorted(assigned)))

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until `stopping`, then deliver what has been taken.

        Raises:
            TooManyDead: too many dead hits; the chunk that showed it is not written.
            KafkaError, Stalled, TimeoutError: begin again.
        """
        looking = asyncio.create_task(self._watch_lag())
        try:
            while not stopping.is_set():
                for task in [looking, *self._in_delivery.values()]:
                    if task.done():
                        task.result()
                taken = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=self._settings.chunk_records)
                assignment = self._assignments
                for source, records in taken.items():
                    if source not in self._delivered:
                        self._delivered[source] = records.offsets[0]
                        self._metrics.backlog.waits_since(source.partition, records.timestamps[0] / 1000)
                for source, records in taken.items():
                    await self._process(source, records, assignment)
                if sum(map(len, taken.values())) < min(_SMALL_TAKE, self._settings.chunk_records // 4):
                    await _sleep(self._settings.linger_ms / 1000, stopping)
            await asyncio.gather(*self._in_delivery.values())
        finally:
            looking.cancel()
            # At the end the stop has already waited, or its deadline has passed.
            await self._release(list(self._writers), 0 if stopping.is_set() else self._settings.drain_timeout_ms / 1000)
            await asyncio.gather(looking, return_exceptions=True)

    async def _process(self, source: TopicPartition, records: FetchedColumns, assignment: int) -> None:
        if assignment != self._assignments:
            return
        writer = self._writers.get(source)
        if writer is None:
            async with self._bounded():
                writer = await self._open(source)
                committed = await self._consumer.committed(source)
            if committed is not None:
                self._next[source] = committed
                first = records.offsets[0]
                if committed > first or (committed < first and not await self._lost(source, first)):
                    # The offset was read before the writer fenced its last owner, who then committed once more.
                    self._consumer.seek(source, committed)
                    self._delivered.pop(source, None)
                    return
        lost = await self._lost(source, records.offsets[0])
        chunk = await self._build(source, records, lost)
        self._next[source] = chunk.next_offset
        before = self._in_delivery.pop(source, None)
        if before is not None:
            await before
        # Else revoked meanwhile: the next owner, perhaps we ourselves, begins at the committed offset. A broker that
        # came back empty would get an offset from before, and hits up to it would be skipped.
        if self._writers.get(source) is writer and assignment == self._assignments:
            self._in_delivery[source] = asyncio.create_task(self._deliver(writer, chunk))

    async def _open(self, source: TopicPartition) -> PartitionWriter:
        writer = await self._out.open(source)
        if source not in self._consumer.assignment():
            await writer.close()
            raise KafkaError(f"{source.topic}/{source.partition} revoked while its writer was opened")
        for topic in (self._settings.topic_enriched, self._settings.topic_dead):
            if topic not in self._partitions:
                self._partitions[topic] = len(await writer.producer.partitions_for(topic))
        self._writers[source] = writer
        return writer

    async def _lost(self, source: TopicPartition, first: int) -> int:
        """Return how many records before offset `first` are gone from the log and were not read.

        A position that has moved back means that the topic was created again.
        """
        expected = self._next.get(source, first)
        if expected == first:
            return 0
        async with self._bounded():
            starts = await self._consumer.beginning_offsets([source])
        return gap.lost(expected, starts[source], first)

    async def _build(self, source: TopicPartition, records: FetchedColumns, lost: int) -> Chunk:
        """Enrich `records` into Kafka batches; other tasks run every few milliseconds.

        The number of lost records before them goes to the dead letters.
        """
        good, dead = self._records(), self._records()
        enrichment = ChunkEnrichment(self._enricher, records.values, records.timestamps, good, time.perf_counter)
        for _ in enrichment.steps():
            await asyncio.sleep(0)
        self._metrics.count_dropped(self._enricher.dropped_fields)
        refused = enrichment.refused
        results = Counter[str](refusal.reason for refusal in refused.values())
        if why := self._brake.add(len(records), len(refused)):
            common = max(results, key=results.__getitem__)
            raise TooManyDead(f"{why}; most of them {common}; nothing of this chunk is written")
        if lost:
            letter = lost_letter(source, self._next[source], records.timestamps[0], lost)
            dead.add(encode_dead(letter), records.timestamps[0])
            line("error", "records are gone from Kafka before they were read", **lost_fields(letter))
        pause = time.perf_counter() + _STEP_S
        for at in sorted(refused):
            if time.perf_counter() >= pause:
                await asyncio.sleep(0)
                pause = time.perf_counter() + _STEP_S
            letter = dead_letter(refused[at], source, records.offsets[at], records.timestamps[at], records.values[at])
            dead.add(encode_dead(letter), records.timestamps[at])
        if good.count:
            results["enriched"] = good.count
        batches = []
        for topic, output in ((self._settings.topic_enriched, good), (self._settings.topic_dead, dead)):
            partition = source.partition % self._partitions[topic]
            batches += [(topic, partition, batch) for batch in output.batches()]
        return Chunk(source, records.offsets[-1] + 1, batches, records.timestamps[0], results, lost)

    def _records(self) -> BatchWriter:
        settings = self._settings
        return BatchWriter(settings.compression, settings.batch_bytes, transactional=self._out.exactly_once)

    async def _deliver(self, writer: PartitionWriter, chunk: Chunk) -> None:
        async with self._bounded():
            await writer.deliver(chunk)
        self._delivered[chunk.source] = chunk.next_offset
        self._metrics.backlog.waits_since(chunk.source.partition, chunk.oldest_ms / 1000)
        for result, hits in chunk.results.items():
            self._metrics.hits.labels(result).inc(hits)
            self._taken += hits
        self._metrics.lost_records.inc(chunk.lost)
        self._metrics.deliveries.inc()
        self._metrics.age.observe(max(0.0, time.time() - chunk.oldest_ms / 1000))

    async def _release(self, sources: Sequence[TopicPartition], patience_s: float) -> None:
        """Wait so long for what is under way from `sources`, give up what is late, and close their writers."""
        tasks = [self._in_delivery.pop(source) for source in sources if source in self._in_delivery]
        writers = [self._writers.pop(source) for source in sources if source in self._writers]
        try:
            if tasks and patience_s:
                await asyncio.wait(tasks, timeout=patience_s)
        finally:
            for task in tasks:
                task.cancel()
            # Their errors are the next owner's to meet, perhaps we ourselves: it begins at the committed offset.
            await asyncio.gather(*tasks, return_exceptions=True)
            for source in sources:
                self._delivered.pop(source, None)
                self._next.pop(source, None)
            await asyncio.gather(*(writer.close() for writer in writers), return_exceptions=True)

    @asynccontextmanager
    async def _bounded(self) -> AsyncIterator[None]:
        """Bound a wait for Kafka, and end readiness where it is long; raises TimeoutError."""

        wait = object()

        def say_waiting() -> None:
            self._long_waits.add(wait)
            self._health.not_ready = f"waiting for {_kafka(self._settings)}"

        waiting = asyncio.get_running_loop().call_later(_PATIENCE_S, say_waiting)
        try:
            async with asyncio.timeout(self._settings.delivery_timeout_ms / 1000):
                yield
        finally:
            waiting.cancel()
            self._long_waits.discard(wait)
        if not self._long_waits:
            self._health.not_ready = ""

    async def _watch_lag(self) -> None:
        waited, taken = 0, -1
        while True:
            await asyncio.sleep(_LAG_EVERY_S)
            assigned = list(self._consumer.assignment())
            if not assigned:
                async with self._bounded():
                    await self._consumer.topics()  # without a partition nothing else shows that Kafka is silent
                continue
            async with self._bounded():
                lag = await self._lag(assigned)
            self._metrics.lag.set(lag)
            waited = waited + 1 if lag and taken == self._taken else 0
            taken = self._taken
            if waited >= _STALLED_LOOKS:
                raise Stalled(f"{lag} records wait and none has been taken for {waited * _LAG_EVERY_S:.0f} s")

    async def _lag(self, assigned: Sequence[TopicPartition]) -> int:
        ends = await self._consumer.end_offsets(assigned)
        lag = 0
        for source in assigned:
            if source not in self._consumer.assignment():
                continue  # taken away meanwhile
            # Tansu tells the end of a topic too low, by the size of its last batch.
            end = max(ends[source], self._consumer.highwater(source) or 0)
            try:
                at = await self._consumer.position(source)
            except IllegalStateError:  # taken away now
                continue
            lag += max(0, end - at)
            self._metrics.backlog.looked(source.partition, time.time(), empty=self._delivered.get(source, at) >= end)
        return lag


def _kafka(settings: Settings) -> str:
    return f"Kafka at {settings.kafka}"


def dead_letter(refusal: Refusal, source: TopicPartition, offset: int, timestamp: int, record: bytes) -> DeadHit:
    """Return the dead letter of a record: its reason and its bytes."""
    return DeadHit(
        reason=refusal.reason,
        detail=refusal.detail,
        stage="enricher",
        topic=source.topic,
        partition=source.partition,
        offset=offset,
        at=max(0, timestamp),
        record=record,
    )


def lost_letter(source: TopicPartition, offset: int, at: int, lost: int) -> DeadHit:
    """Return the dead letter of records that are gone: `lost` of them from `offset` on."""
    return DeadHit(
        reason="lost_records",
        detail="gone from Kafka before they were read",
        stage="enricher",
        topic=source.topic,
        partition=source.partition,
        offset=offset,
        at=max(0, at),
        record=b"",
        records=lost,
    )


def lost_fields(letter: DeadHit) -> dict[str, object]:
    """Return what a log line says about lost records."""
    return {"topic": letter.topic, "partition": letter.partition, "offset": letter.offset, "records": letter.records}


async def _sleep(seconds: float, stopping: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()


async def run(
    settings: Settings,
    enricher: Enricher,
    metrics: Metrics,
    health: Health,
    stopping: asyncio.Event,
) -> bool:
    """Enrich until `stopping`, then deliver what has been taken; False where Kafka did not let that end in time.

    What is given up then is not committed: the next enricher does it again.

    Raises:
        TooManyDead: too many dead hits.
    """
    try:
        async with asyncio.timeout(None) as bound:

            async def end() -> None:
                await stopping.wait()
                bound.reschedule(asyncio.get_running_loop().time() + settings.drain_timeout_ms / 1000)

            ending = asyncio.create_task(end())
            try:
                await _sessions(settings, enricher, metrics, health, stopping)
            finally:
                ending.cancel()
    except TimeoutError:
        line("warning", f"not drained: no answer from {_kafka(settings)} within {settings.drain_timeout_ms} ms")
        return False
    return True


async def _sessions(
    settings: Settings,
    enricher: Enricher,
    metrics: Metrics,
    health: Health,
    stopping: asyncio.Event,
) -> None:
    """One session after another, with a pause that grows while they fail."""
    brake = Brake(ratio=settings.brake_ratio, window=settings.brake_window_hits)
    exactly_once: bool | None = None
    pause = _FIRST_BACKOFF_S
    while not stopping.is_set():
        consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka,
            **access(settings),
            group_id=settings.group,
            group_instance_id=settings.instance or None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=settings.fetch_bytes,
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=max(500, settings.session_timeout_ms // 5),
            isolation_level="read_committed",
            metadata_max_age_ms=30_000,  # an added partition is assigned within this time
        )
        out: Delivery | None = None
        began = time.monotonic()
        try:
            if exactly_once is None:
                exactly_once = await delivery.choose(settings)
                metrics.exactly_once.set(exactly_once)
            await start_client(consumer)
            time_fetches(consumer, metrics.kafka.labels("fetch").observe)
            take_columns(consumer)
            out = await delivery.begin(settings, consumer, metrics.kafka, exactly_once=exactly_once)
            session = _Session(settings, enricher, consumer, out, brake, metrics, health)
            consumer.subscribe([settings.topic_raw], listener=session)
            line("info", "ready", topic=settings.topic_raw, group=settings.group)
            health.not_ready = ""
            await session.run(stopping)
        except (KafkaError, Stalled, TimeoutError, OSError) as error:
            if time.monotonic() - began > _LONGEST_BACKOFF_S:
                pause = _FIRST_BACKOFF_S
            what = _kafka(settings)
            health.not_ready = f"waiting for {what}"
            waiting = isinstance(error, KafkaConnectionError)
            line("warning", f"waiting for {what}" if waiting else "beginning again", error=repr(error), pause_s=pause)
            metrics.restarts.inc()
            metrics.kafka_error(error)
            await _sleep(pause, stopping)
            pause = min(pause * 2, _LONGEST_BACKOFF_S)
        finally:
            await stop_client(consumer)
            if out is not None:
                await out.close()

"""How a chunk reaches the output topics together with its offsets: in one transaction, or at least once.

A writer handles one input partition, one chunk at a time. Under transactions each writer has a producer whose
transactional id is made of group, topic and partition: the next owner of the partition fences the previous one
(aiokafka sends offsets without the group's generation, so that the id has to fence).
"""

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError
from prometheus_client import Histogram

from enricher.settings import Settings
from enricher.stream.record_batch import Batch
from stage.aiokafka_internals import start_client, stop_client
from stage.kafka import access
from stage.log import line

_PROBE_S: Final = 20.0


@dataclass(slots=True)
class Chunk:
    """Enriched records of one input partition, in Kafka batches."""

    source: TopicPartition
    next_offset: int
    """Of the input: to be committed with the chunk."""
    batches: list[tuple[str, int, Batch]]
    """Output topic, partition, batch."""
    oldest_ms: int
    """Receipt of the chunk's oldest hit."""
    results: dict[str, int]
    """Hits by result."""
    lost: int = 0
    """Records before the chunk that are gone from the log."""


class PartitionWriter(Protocol):
    """One input partition's way out."""

    producer: AIOKafkaProducer

    async def deliver(self, chunk: Chunk) -> None:
        """Write a chunk and its offsets; return when both are there.

        Raises:
            KafkaError: nothing is certain; begin again at the committed offset.
        """
        ...

    async def close(self) -> None:
        """Close; undelivered rows are discarded."""
        ...


class Delivery(Protocol):
    """A way to deliver."""

    exactly_once: bool

    async def open(self, source: TopicPartition) -> PartitionWriter:
        """Take over an input partition. Afterwards its committed offset is final until the writer itself commits."""
        ...

    async def close(self) -> None:
        """Close what the writers share."""
        ...


def _producer(settings: Settings, transactional_id: str | None) -> AIOKafkaProducer:
    return AIOKafkaProducer(
        bootstrap_servers=settings.kafka,
        **access(settings),
        acks="all",
        compression_type=None if settings.compression == "none" else settings.compression,
        max_batch_size=settings.batch_bytes,
        max_request_size=settings.batch_bytes + 65_536,
        transactional_id=transactional_id,
        transaction_timeout_ms=settings.transaction_timeout_ms,
    )


async def _produce(producer: AIOKafkaProducer, chunk: Chunk, took: Histogram) -> None:
    """Send the chunk's batches; return when every replica has them."""
    with took.labels("produce").time():
        sent = [
            await producer.send_batch(batch, topic, partition=partition) for topic, partition, batch in chunk.batches
        ]
        await asyncio.gather(*sent)


class _TransactionalWriter:
    def __init__(self, producer: AIOKafkaProducer, group: str, took: Histogram) -> None:
        self.producer = producer
        self._group = group
        self._took = took

    async def deliver(self, chunk: Chunk) -> None:
        await self.producer.begin_transaction()
        await _produce(self.producer, chunk, self._took)
        with self._took.labels("commit").time():
            await self.producer.send_offsets_to_transaction({chunk.source: chunk.next_offset}, self._group)
            await self.producer.commit_transaction()

    async def close(self) -> None:
        await stop_client(self.producer)


class Transactional:
    """One transaction around output and offsets; a producer a writer."""

    exactly_once = True

    def __init__(self, settings: Settings, took: Histogram) -> None:
        self._settings = settings
        self._took = took

    async def open(self, source: TopicPartition) -> PartitionWriter:
        name = f"{self._settings.group}-{source.topic}-{source.partition}"
        producer = _producer(self._settings, name)
        try:
            await start_client(producer)
        except BaseException:
            await stop_client(producer)
            raise
        return _TransactionalWriter(producer, self._settings.group, self._took)

    async def close(self) -> None:
        return None


class _AtLeastOnceWriter:
    def __init__(self, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer, took: Histogram) -> None:
        self.producer = producer
        self._consumer = consumer
        self._took = took

    async def deliver(self, chunk: Chunk) -> None:
        await _produce(self.producer, chunk, self._took)
        with self._took.labels("commit").time():
            await self._consumer.commit({chunk.source: chunk.next_offset})

    async def close(self) -> None:
        return None


class AtLeastOnce:
    """Output first, offsets after: a crash in between repeats hits, with the same event ids."""

    exactly_once = False

    def __init__(self, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer, took: Histogram) -> None:
        self._producer = producer
        self._consumer = consumer
        self._took = took

    async def open(self, source: TopicPartition) -> PartitionWriter:
        return _AtLeastOnceWriter(self._producer, self._consumer, self._took)

    async def close(self) -> None:
        await stop_client(self._producer)


async def has_transactions(settings: Settings) -> bool:
    """Ask the broker for a transactional producer's id, and see.

    Raises:
        KafkaConnectionError, TimeoutError: the broker is not there to ask, or does not answer: no verdict.
    """
    producer = _producer(settings, f"{settings.group}-probe")
    try:
        async with asyncio.timeout(_PROBE_S):
            await start_client(producer)
    except KafkaConnectionError:
        raise
    except KafkaError as error:
        line("info", "broker refuses transactions", error=repr(error))
        return False
    finally:
        await stop_client(producer)
    return True


async def choose(settings: Settings) -> bool:
    """Decide whether to deliver exactly once: what the setting says, else what the broker can; logged in one line."""
    exactly_once = settings.delivery == "exactly_once" or (
        settings.delivery == "auto" and await has_transactions(settings)
    )
    why = "set" if settings.delivery != "auto" else "found by trying"
    line("info", "delivery: exactly once, in transactions" if exactly_once else "delivery: at least once", decided=why)
    return exactly_once


async def begin(settings: Settings, consumer: AIOKafkaConsumer, took: Histogram, *, exactly_once: bool) -> Delivery:
    """Return the delivery for a stream that reads by `consumer`; `took` is called with the time of each step."""
    if exactly_once:
        return Transactional(settings, took)
    producer = _producer(settings, None)
    try:
        await start_client(producer)
    except BaseException:
        await stop_client(producer)
        raise
    return AtLeastOnce(producer, consumer, took)

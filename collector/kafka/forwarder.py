"""From the spool to `hits.raw`, in order, in batches: from memory while Kafka keeps up, from disk when it does not.

Any failure ends the producer. The next producer begins at the spool's mark, so hits may be repeated, with the same ids,
and are never left out. Every wait on aiokafka is bounded, since its send and stop can hang without Kafka, and by
`asyncio.timeout`: `wait_for` of Python 3.11 can swallow a cancellation (cpython#86296).
Over 250 lines: connecting, sending and settling share the cursor and the batches in flight.
"""

import asyncio
import contextlib
import itertools
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import BrokerResponseError, KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from collector.kafka.record_batch import BlockBatch
from collector.kafka.unsent_buffer import UnsentBuffer
from collector.metrics import Tally
from collector.spool.acknowledged import Position
from collector.spool.block import Block, joined, pack, unpack
from collector.spool.inventory import Chunk
from collector.spool.spool import Spool
from stage import log
from stage.aiokafka_internals import start_client, stop_client
from stage.settings import SettingError

_FIRST_BACKOFF_S: Final = 0.1
_LONGEST_BACKOFF_S: Final = 5.0
_START_S: Final = 15.0
_METADATA_S: Final = 30.0
"""How old the producer's picture of the topic may be."""
_PARTITIONS_EVERY_S: Final = 10.0
"""Seconds between two looks at that picture: partitions that are added get hits within _METADATA_S + this."""


class Plan(NamedTuple):
    """How hits go to Kafka."""

    servers: str
    topic: str
    access: Callable[[], Mapping[str, Any]] = dict
    """See stage.kafka."""
    batch_bytes: int = 256 << 10
    linger_s: float = 0.1
    ack_timeout_s: float = 30
    memory_bytes: int = 16 << 20
    replays: bool = False
    """The spool keeps acknowledged hits, and they are sent again when the broker has lost them."""


class _Alone(NamedTuple):
    """A hit that is sent in a batch of its own, because its batch was too large for the topic."""

    block_at: Position
    number: int
    payload: bytes


class _Next(NamedTuple):
    """Contents of the next batch."""

    blocks: list[Block]
    end: Position
    """The mark after Kafka has acknowledged the batch."""
    alone: _Alone | None


class _InFlight(NamedTuple):
    batch: _Next
    partition: int
    at: float
    answer: "asyncio.Future[Any]"


class _BrokerForgot(Exception):
    """The broker has lost what it had acknowledged."""


class _Unreadable(Exception):
    """The disk cannot read the spool."""


class Forwarder:
    """Sends one worker's hits to Kafka."""

    def __init__(self, spool: Spool, plan: Plan, tally: Tally) -> None:
        self._spool: Final = spool
        self._plan: Final = plan
        self._tally: Final = tally
        self._took: Final = tally.histogram("kafka_seconds", "produce")
        self._unsent: Final = UnsentBuffer(plan.memory_bytes)
        self._cursor = spool.mark
        self._single_until: Position | None = None
        self._alone: deque[_Next] = deque()
        self._alone_settled = (Position(0, 0), 0)
        """The block whose hits are sent singly, and how many of them are settled; the mark does not hold that."""
        self._wake = asyncio.Event()
        self._draining = False
        self._idempotent: bool | None = None
        self._round = itertools.count()
        self._offsets: dict[int, int] = {}
        partition, offset = spool.last_acknowledged
        if offset >= 0:
            self._offsets[partition] = offset
        self.connected = False
        self.ever_connected = False

    def offer(self, chunks: list[Chunk]) -> None:
        """Keep newly written chunks in memory. Past the bound the oldest are dropped, and read back from disk later."""
        begins = not self._unsent
        for chunk in chunks:
            self._unsent.add(chunk)
        if begins or self._full:
            self._wake.set()

    @property
    def _full(self) -> bool:
        """Whether a full batch waits in memory."""
        return self._unsent.has_whole_batch or self._unsent.bytes >= self._plan.batch_bytes

    def drain(self) -> None:
        """Make `run` return once Kafka has everything."""
        self._draining = True
        self._wake.set()

    async def run(self) -> None:
        """Send hits until drained. The caller cancels it at its deadline."""
        backoff = _FIRST_BACKOFF_S
        why = "first"
        while True:
            producer = None
            try:
                producer = await self._connect()
                self.connected = self.ever_connected = True
                self._tally.add("producers_total", why)
                self._tally.set("kafka_up", 1)
                log.line("info", "connected to Kafka", kafka=self._plan.servers, idempotent=bool(self._idempotent))
                partitions = await self._partitions(producer)
                backoff = _FIRST_BACKOFF_S
                await self._pump(producer, partitions)
                return
            except _BrokerForgot:
                why = "forgot"
                self._tally.add("replays_total")
                start = self._spool.start_again()
                log.line(
                    "warning", "Kafka has lost acknowledged hits; the kept ones are sent again", segment=start.segment
                )
                self._offsets.clear()
            except _Unreadable as problem:
                why = "spool"
                log.line("error", "cannot read the spool", problem=str(problem))
            except (KafkaError, TimeoutError, OSError, SettingError) as problem:
                why = type(problem).__name__
                if self.connected or backoff == _FIRST_BACKOFF_S:
                    log.line("warning", "waiting for Kafka", kafka=self._plan.servers, problem=why, detail=str(problem))
            finally:
                self.connected = False
                self._tally.set("kafka_up", 0)
                self._cursor = self._spool.mark
                self._alone.clear()
                if producer is not None:
                    await stop_client(producer)
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, _LONGEST_BACKOFF_S)

    async def _connect(self) -> AIOKafkaProducer:
        """Start a producer, idempotent if the broker supports it.

        Raises:
            KafkaError, TimeoutError, OSError: Kafka cannot be reached.
            SettingError: a file of the access to Kafka cannot be used.
        """
        if self._idempotent is not False:
            producer = self._new_producer(idempotent=True)
            try:
                async with asyncio.timeout(_START_S):
                    await start_client(producer)
                self._idempotent = True
                return producer
            except BrokerResponseError as refusal:
                await stop_client(producer)
                if refusal.retriable:
                    raise
                self._idempotent = False
                log.line(
                    "warning", "this broker has no idempotent producers: a retry may repeat hits", problem=str(refusal)
                )
            except BaseException:
                await stop_client(producer)
                raise
        producer = self._new_producer(idempotent=False)
        try:
            async with asyncio.timeout(_START_S):
                await start_client(producer)
        except BaseException:
            await stop_client(producer)
            raise
        return producer

    def _new_producer(self, *, idempotent: bool) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            bootstrap_servers=self._plan.servers,
            **self._plan.access(),
            client_id="pharos-collector",
            acks="all",
            enable_idempotence=idempotent,
            max_request_size=8 << 20,
            request_timeout_ms=int(self._plan.ack_timeout_s * 1000),
            metadata_max_age_ms=int(_METADATA_S * 1000),
        )

    async def _partitions(self, producer: AIOKafkaProducer) -> list[int]:
        """Return the topic's partitions; check that the broker still has the acknowledged hits."""
        partitions = await self._known_partitions(producer)
        if self._plan.replays and self._offsets:
            known = [TopicPartition(self._plan.topic, p) for p in self._offsets if p in partitions]
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._plan.servers, **self._plan.access(), client_id="pharos-collector"
            )
            try:
                async with asyncio.timeout(_START_S):
                    await start_client(consumer)
                    ends = await consumer.end_offsets(known)
            finally:
                await stop_client(consumer)
            if len(known) < len(self._offsets) or any(ends[tp] <= self._offsets[tp.partition] for tp in known):
                raise _BrokerForgot
        return partitions

    async def _known_partitions(self, producer: AIOKafkaProducer) -> list[int]:
        """Return the topic's partitions as the producer knows them now; without asking the broker if it knows any."""
        async with asyncio.timeout(_START_S):
            return sorted(await producer.partitions_for(self._plan.topic))

    async def _pump(self, producer: AIOKafkaProducer, partitions: list[int]) -> None:
        """Send and settle until drained. Raises the failure that ends the producer."""
        in_flight: deque[_InFlight] = deque()
        busy: set[int] = set()
        last_batch_at = 0.0
        loop = asyncio.get_running_loop()
        looked_at = loop.time()
        try:
            while True:
                if loop.time() >= looked_at + _PARTITIONS_EVERY_S:
                    looked_at = loop.time()
                    partitions = await self._known_partitions(producer)
                while in_flight and in_flight[0].answer.done():
                    sent = in_flight.popleft()
                    busy.discard(sent.partition)
                    self._settle(sent)
                wait_s = self._plan.ack_timeout_s
                if len(busy) < len(partitions):
                    behind = not self._unsent or not self._joins(self._cursor, self._unsent.start)
                    waited = loop.time() - last_batch_at
                    if behind or self._full or self._draining or waited >= self._plan.linger_s:
                        if (following := self._gather()) is not None:
                            free = [p for p in partitions if p not in busy]
                            partition = free[next(self._round) % len(free)]
                            await asyncio.sleep(0)  # requests come first: also between the steps of catching up
                            batch = BlockBatch(following.blocks, int(time.time() * 1000))
                            await asyncio.sleep(0)
                            async with asyncio.timeout(self._plan.ack_timeout_s):
                                answer = await producer.send_batch(batch, self._plan.topic, partition=partition)
                            busy.add(partition)
                            answer.add_done_callback(self._answered)
                            in_flight.append(_InFlight(following, partition, loop.time(), answer))
                            last_batch_at = loop.time()
                            await asyncio.sleep(0)
                            continue
                        if self._draining and not in_flight:
                            return
                    else:
                        wait_s = self._plan.linger_s - waited
                self._wake.clear()
                if in_flight:
                    left = in_flight[0].at + self._plan.ack_timeout_s - loop.time()
                    if left <= 0:
                        raise TimeoutError("no answer from Kafka")
                    wait_s = min(wait_s, left)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._wake.wait()
        finally:
            for sent in in_flight:
                sent.answer.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _answered(self, answer: "asyncio.Future[Any]") -> None:
        self._wake.set()

    def _settle(self, sent: _InFlight) -> None:
        """Move the mark past an acknowledged batch. Raises the failure of the batch."""
        blocks, end, alone = sent.batch
        hits = sum(block.hits for block in blocks)
        try:
            answer = sent.answer.result()
        except (MessageSizeTooLargeError, RecordListTooLargeError):
            if hits > 1:
                self._single_until = end
                raise
            self._tally.add("oversized_hits_total")
            log.line("error", "the topic refuses a hit as too large; see the damage folder", topic=self._plan.topic)
            at, number, payload = alone or _Alone(end, 0, unpack(blocks[0])[0])
            self._spool.set_aside(at, number, payload)
            self._spool.acknowledge(end, *self._spool.last_acknowledged)
            self._alone_settled = at, number
            return
        offset = answer.offset
        if offset <= self._offsets.get(sent.partition, -1) and self._plan.replays:
            raise _BrokerForgot
        self._offsets[sent.partition] = offset
        self._spool.acknowledge(end, sent.partition, offset)
        if alone is not None:
            self._alone_settled = alone.block_at, alone.number
        self._tally.add("forwarded_hits_total", by=hits)
        self._tally.add("forwarded_batches_total")
        self._took.observe(asyncio.get_running_loop().time() - sent.at)

    def _gather(self) -> _Next | None:
        """Take the next batch and move the cursor past it; return None if no hit waits."""
        if self._alone:
            return self._alone.popleft()
        chunks = self._following()
        if not chunks:
            return None
        if self._single_until is not None and self._cursor < self._single_until:
            return self._one_by_one(chunks[0])  # the other chunks are read back from disk later
        self._cursor = chunks[-1].end
        if self._cursor == self._spool.end:
            self._spool.cut()
        return _Next(joined([chunk.block for chunk in chunks]), self._cursor, None)

    def _one_by_one(self, chunk: Chunk) -> _Next | None:
        """Queue the block's hits as batches of one; return the first that is not settled.

        If all are settled (the block in memory was larger than the one on disk), return the next batch.
        """
        payloads = unpack(chunk.block)
        block_at, settled = self._alone_settled
        for number, payload in enumerate(payloads, 1):
            if block_at != chunk.start or number > settled:
                end = chunk.end if number == len(payloads) else chunk.start
                self._alone.append(_Next([pack([payload])], end, _Alone(chunk.start, number, payload)))
        self._cursor = chunk.end
        return self._alone.popleft() if self._alone else self._gather()

    def _following(self) -> list[Chunk]:
        """Return the blocks after the cursor that go into one batch."""
        unsent = self._unsent
        while unsent and unsent.start < self._cursor:
            unsent.pop()
        if not (unsent and self._joins(self._cursor, unsent.start)):
            try:
                return self._spool.read(self._cursor)
            except OSError as problem:
                raise _Unreadable(problem) from problem
        return unsent.batch()

    def _joins(self, cursor: Position, start: Position) -> bool:
        return cursor == start or self._spool.nothing_between(cursor, start)

"""From the spool to `hits.raw`, in order, in batches: from memory while Kafka keeps up, from disk when it does not.

Rule: whatever goes wrong with a producer ends it. A new one begins at the spool's mark, so that hits may be repeated,
with the same ids, and never left out. Every wait on aiokafka is bounded: its send and stop can hang without Kafka. By
`asyncio.timeout`, never `wait_for`: Python 3.11's can swallow a cancellation (cpython#86296), and then nobody ends us.
Over 250 lines: connecting, sending and settling share the cursor and what is under way.
"""

import asyncio
import contextlib
import itertools
import time
from collections import deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import BrokerResponseError, KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from collector.kafka.record_batch import Batch
from collector.kafka.unsent_buffer import Recent
from collector.metrics import Tally
from collector.spool.acknowledged import Position
from collector.spool.block import Block, joined, pack, unpack
from collector.spool.inventory import Chunk
from collector.spool.spool import Spool
from stage import log
from stage.aiokafka_internals import stop_client

_FIRST_BACKOFF_S: Final = 0.1
_LONGEST_BACKOFF_S: Final = 5.0
_START_S: Final = 15.0
_METADATA_S: Final = 30.0
"""How old the producer's picture of the topic may be."""
_PARTITIONS_EVERY_S: Final = 10.0
"""Seconds between two looks at that picture: partitions that are added get hits within _METADATA_S + this."""


class Plan(NamedTuple):
    """How to send."""

    servers: str
    topic: str
    access: Mapping[str, Any] = MappingProxyType({})
    """See stage.kafka."""
    batch_bytes: int = 256 << 10
    linger_s: float = 0.05
    ack_timeout_s: float = 30
    memory_bytes: int = 16 << 20
    replays: bool = False
    """The spool keeps acknowledged hits: send them again when the broker has lost them."""


class _Alone(NamedTuple):
    """A hit that is sent by itself: its batch was too large for the topic."""

    block_at: Position
    number: int
    payload: bytes


class _Next(NamedTuple):
    """What the next batch holds."""

    blocks: list[Block]
    end: Position
    """Where the mark goes when Kafka has it."""
    alone: _Alone | None


class _Sent(NamedTuple):
    batch: _Next
    partition: int
    at: float
    answer: "asyncio.Future[Any]"


class _BrokerForgot(Exception):
    """The broker has lost what it had acknowledged."""


class _Unreadable(Exception):
    """The disk does not read the spool back."""


class Forwarder:
    """One worker's way to Kafka."""

    def __init__(self, spool: Spool, plan: Plan, tally: Tally) -> None:
        self._spool: Final = spool
        self._plan: Final = plan
        self._tally: Final = tally
        self._took: Final = tally.histogram("kafka_seconds", "produce")
        self._recent: Final = Recent(plan.memory_bytes)
        self._cursor = spool.mark
        self._single_until: Position | None = None
        self._alone: deque[_Next] = deque()
        self._alone_settled = (Position(0, 0), 0)
        """The block whose hits are sent one by one, and up to which of them that is settled: the mark cannot tell."""
        self._wake = asyncio.Event()
        self._draining = False
        self._idempotent: bool | None = None
        self._turn = itertools.count()
        self._offsets: dict[int, int] = {}
        partition, offset = spool.last_acknowledged
        if offset >= 0:
            self._offsets[partition] = offset
        self.connected = False
        self.ever_connected = False

    def offer(self, chunks: list[Chunk]) -> None:
        """Take what was just written, so that it need not be read back. Past the bound the oldest are read back."""
        begins = not self._recent
        for chunk in chunks:
            self._recent.add(chunk)
        if begins or self._full:
            self._wake.set()

    @property
    def _full(self) -> bool:
        """Tell whether a batch waits in memory that need not wait for more."""
        return self._recent.has_whole_batch or self._recent.bytes >= self._plan.batch_bytes

    def drain(self) -> None:
        """Have `run` return once Kafka has everything."""
        self._draining = True
        self._wake.set()

    async def run(self) -> None:
        """Forward until drained; the caller cancels when it has no more time."""
        backoff = _FIRST_BACKOFF_S
        why = "first"
        while True:
            producer = None
            try:
                producer = await self._connect()
                self.connected = self.ever_connected = True
                self._tally.add("producers_total", why)
                self._tally.set("kafka_up", 1)
                log.line("info", "Kafka is there", kafka=self._plan.servers, idempotent=bool(self._idempotent))
                partitions = await self._partitions(producer)
                backoff = _FIRST_BACKOFF_S
                await self._pump(producer, partitions)
                return
            except _BrokerForgot:
                why = "forgot"
                self._tally.add("replays_total")
                start = self._spool.start_again()
                log.line(
                    "warning", "Kafka has lost what it acknowledged; kept hits are sent again", segment=start.segment
                )
                self._offsets.clear()
            except _Unreadable as problem:
                why = "spool"
                log.line("error", "cannot read the spool", problem=str(problem))
            except (KafkaError, TimeoutError, OSError) as problem:
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
        """Start a producer, idempotent where the broker can.

        Raises:
            KafkaError, TimeoutError, OSError: Kafka is not there.
        """
        if self._idempotent is not False:
            producer = self._new_producer(idempotent=True)
            try:
                async with asyncio.timeout(_START_S):
                    await producer.start()
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
                await producer.start()
        except BaseException:
            await stop_client(producer)
            raise
        return producer

    def _new_producer(self, *, idempotent: bool) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            bootstrap_servers=self._plan.servers,
            **self._plan.access,
            client_id="pharos-collector",
            acks="all",
            enable_idempotence=idempotent,
            max_request_size=8 << 20,
            request_timeout_ms=int(self._plan.ack_timeout_s * 1000),
            metadata_max_age_ms=int(_METADATA_S * 1000),
        )

    async def _partitions(self, producer: AIOKafkaProducer) -> list[int]:
        """Return the topic's partitions; find out whether the broker still has what it acknowledged."""
        partitions = await self._known_partitions(producer)
        if self._plan.replays and self._offsets:
            known = [TopicPartition(self._plan.topic, p) for p in self._offsets if p in partitions]
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._plan.servers, **self._plan.access, client_id="pharos-collector"
            )
            try:
                async with asyncio.timeout(_START_S):
                    await consumer.start()
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
        """Send and settle until drained. Raises whatever ends the producer."""
        flying: deque[_Sent] = deque()
        busy: set[int] = set()
        last_batch_at = 0.0
        loop = asyncio.get_running_loop()
        looked_at = loop.time()
        try:
            while True:
                if loop.time() >= looked_at + _PARTITIONS_EVERY_S:
                    looked_at = loop.time()
                    partitions = await self._known_partitions(producer)
                while flying and flying[0].answer.done():
                    sent = flying.popleft()
                    busy.discard(sent.partition)
                    self._settle(sent)
                wait_s = self._plan.ack_timeout_s
                if len(busy) < len(partitions):
                    behind = not self._recent or not self._joins(self._cursor, self._recent.start)
                    waited = loop.time() - last_batch_at
                    if behind or self._full or self._draining or waited >= self._plan.linger_s:
                        if (following := self._gather()) is not None:
                            free = [p for p in partitions if p not in busy]
                            partition = free[next(self._turn) % len(free)]
                            await asyncio.sleep(0)  # live requests first: after each step, also while catching up
                            batch = Batch(following.blocks, int(time.time() * 1000))
                            await asyncio.sleep(0)
                            async with asyncio.timeout(self._plan.ack_timeout_s):
                                answer = await producer.send_batch(batch, self._plan.topic, partition=partition)
                            busy.add(partition)
                            answer.add_done_callback(self._answered)
                            flying.append(_Sent(following, partition, loop.time(), answer))
                            last_batch_at = loop.time()
                            await asyncio.sleep(0)
                            continue
                        if self._draining and not flying:
                            return
                    else:
                        wait_s = self._plan.linger_s - waited
                self._wake.clear()
                if flying:
                    left = flying[0].at + self._plan.ack_timeout_s - loop.time()
                    if left <= 0:
                        raise TimeoutError("no answer from Kafka")
                    wait_s = min(wait_s, left)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._wake.wait()
        finally:
            for sent in flying:
                sent.answer.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _answered(self, answer: "asyncio.Future[Any]") -> None:
        self._wake.set()

    def _settle(self, sent: _Sent) -> None:
        """Move the mark past an acknowledged batch. Raises what the batch failed with."""
        blocks, end, alone = sent.batch
        hits = sum(block.hits for block in blocks)
        try:
            answer = sent.answer.result()
        except (MessageSizeTooLargeError, RecordListTooLargeError):
            if hits > 1:
                self._single_until = end
                raise
            self._tally.add("oversized_hits_total")
            log.line("error", "the topic refuses a hit as too large: it is set aside", topic=self._plan.topic)
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
        """Take the next batch, and move the cursor past it; None where nothing waits."""
        if self._alone:
            return self._alone.popleft()
        chunks = self._following()
        if not chunks:
            return None
        if self._single_until is not None and self._cursor < self._single_until:
            return self._one_by_one(chunks[0])  # the others are read back from the disk when their turn comes
        self._cursor = chunks[-1].end
        if self._cursor == self._spool.end:
            self._spool.cut()
        return _Next(joined([chunk.block for chunk in chunks]), self._cursor, None)

    def _one_by_one(self, chunk: Chunk) -> _Next | None:
        """Have the block's hits sent as batches of one; return the first that is not settled.

        Where all are (in memory the block was larger than it is on disk), the next batch.
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
        """Return the blocks from the cursor on that go into one batch."""
        recent = self._recent
        while recent and recent.start < self._cursor:
            recent.pop()
        if not (recent and self._joins(self._cursor, recent.start)):
            try:
                return self._spool.read(self._cursor)
            except OSError as problem:
                raise _Unreadable(problem) from problem
        return recent.batch()

    def _joins(self, cursor: Position, start: Position) -> bool:
        return cursor == start or self._spool.nothing_between(cursor, start)

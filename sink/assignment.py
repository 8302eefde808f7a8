"""Membership in the consumer group: a worker for each assigned partition, an orderly stop."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from aiokafka import ConsumerRebalanceListener, OffsetAndMetadata, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from sink import metrics, protocol
from sink.batch import Limits
from sink.clickhouse import Connection
from sink.group_consumer import GroupConsumer
from sink.insert_slots import InsertSlots, Pace
from sink.partition_worker import PartitionWorker
from sink.settings import Settings
from sink.storage import Storage
from stage.aiokafka_internals import start_client, stop_client
from stage.kafka import access
from stage.log import line

STALLED_S: Final = 30.0
"""Seconds without a record after which the end of the log is read. A consumer may hang after a broker's restart
(aiokafka #1154); one that is behind and gets nothing is replaced."""


class Stalled(KafkaError):  # type: ignore[misc]
    """The log has records that the consumer does not get."""


class Assignment(ConsumerRebalanceListener):  # type: ignore[misc]
    """The partitions that this sink has, each with its worker."""

    def __init__(
        self,
        settings: Settings,
        connection: Connection,
        *,
        clock: Callable[[], float] = time.monotonic,
        crash_at: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.crash_at = crash_at
        pace = Pace(settings.inserts_per_s, clock())
        self.slots = InsertSlots(settings.inserts, pace, clock, settings.batch_wait_ms / 1000)
        self.storage = Storage(settings, connection, self.slots)
        self.workers: dict[TopicPartition, PartitionWorker] = {}
        self.storage.bytes_in_hand = self.bytes_in_hand
        self.intents: bool | None = None
        self.joined = False
        self.unreachable = ""
        """Which server did not answer the last check, as text; or ""."""
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: dict[TopicPartition, asyncio.Task[None]] = {}
        self._opening: asyncio.Task[None] | None = None
        self._progress: tuple[float, dict[TopicPartition, int]] = (clock(), {})
        self.consumer = GroupConsumer(
            kafka=settings.kafka,
            access=access(settings),
            group=settings.group,
            client_id="pharos-sink",
            enable_auto_commit=False,
            auto_offset_reset="none",  # see GroupConsumer.getmany
            isolation_level="read_committed",
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=max(100, settings.session_timeout_ms // 5),
            rebalance_timeout_ms=max(60_000, settings.session_timeout_ms),
            max_poll_interval_ms=600_000,
            request_timeout_ms=20_000,  # a broker that does not answer may be at another address by now
            metadata_max_age_ms=30_000,  # a topic or partition made later is noticed after this time
            fetch_max_bytes=16 * 2**20,
            max_partition_fetch_bytes=4 * 2**20,
            fetch_max_wait_ms=200,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop`, then drain.

        Raises:
            Stop: the sink cannot go on; the text gives the reason.
        """
        try:
            await start_client(self.consumer)
            self.consumer.subscribe([self.settings.topic_enriched], listener=self)
            stopped = asyncio.ensure_future(_until(stop))
            try:
                await asyncio.wait([stopped, self.failed], return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopped.cancel()
            if self.failed.done():
                self.failed.result()
            self.slots.stopping = True
            await self._end(self.settings.drain_s)
        finally:
            await self._end(0.0)
            try:
                await self.storage.close()
            finally:  # a consumer that is not stopped would keep its partitions
                await stop_client(self.consumer)

    def not_ready(self) -> str:
        """Return the reason why no rows are taken now, or ""."""
        if not self.joined:
            return f"waiting for partitions of {self.settings.topic_enriched} from Kafka at {self.settings.kafka}"
        if not self.workers and not self.consumer.partitions_for_topic(self.settings.topic_enriched):
            return f"Kafka at {self.settings.kafka} has no topic {self.settings.topic_enriched}"
        return (
            next((worker.waiting_for for worker in self.workers.values() if worker.waiting_for), "") or self.unreachable
        )

    async def check_kafka(self) -> None:
        """Return once the leaders of our partitions and the group's coordinator have answered; raises KafkaError."""
        if own := list(self.workers):
            await self.consumer.end_offsets(own)
            await self.consumer.committed(own[0])

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Stop the workers before the rebalance; inserts in flight get half a session timeout to end."""
        inserting = [worker.inserting for worker in self.workers.values() if worker.inserting is not None]
        for worker in self.workers.values():
            worker.leaving = True
        if inserting:
            await asyncio.wait(inserting, timeout=self.settings.session_timeout_ms / 2000)
        await self._end(0.0)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Start a worker for each partition, once the group's commits are read."""
        assigned = sorted(assigned)
        self.joined = not assigned  # a sink without a partition is ready too
        self._opening = asyncio.create_task(self._watched(self._open(assigned)))

    async def _end(self, patience_s: float) -> None:
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        for worker in self.workers.values():
            worker.stopping = True
        tasks = list(self._tasks.values())
        if tasks and patience_s:
            await asyncio.wait(tasks, timeout=patience_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.workers.clear()
        self._tasks.clear()
        self.slots.release_all()
        metrics.LAG.clear()
        metrics.LAG_SECONDS.clear()  # partitions of another sink must not keep their last value here

    async def _watched(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001  any error ends the sink: `run` raises it
            if not self.failed.done():
                self.failed.set_exception(error)

    async def _open(self, assigned: list[TopicPartition]) -> None:
        if not assigned:
            return
        line("info", "partitions assigned", partitions=[tp.partition for tp in assigned])
        found = await self.consumer.read_commits(assigned)
        if self.intents is None:
            self.intents = await self.consumer.keeps_metadata(assigned[0], found.get(assigned[0]))
            metrics.EXACTLY_ONCE.set(self.intents)
            mode = "exactly once" if self.intents else "at least once: this broker keeps no metadata of commits"
            line("info", f"delivering {mode}")
            self.consumer.rewinds = not self.intents
        chosen = self.settings
        each = Limits(chosen.batch_rows, chosen.batch_bytes, chosen.batch_age_ms / 1000)
        self.slots.share(len(assigned))
        for tp in assigned:
            # A broker without metadata (Tansu) reports a wrong end of the log; and there is no intent to check.
            log = await self.consumer.log(tp, found.get(tp)) if self.intents else protocol.Log(0, 2**63)
            state = protocol.resume(found.get(tp), log)
            epoch = found[tp].epoch if tp in found else 0
            offset, lost = protocol.lost(found.get(tp), log)
            if lost:
                await self.storage.report_lost(tp, offset, lost)
                if isinstance(state, protocol.Idle) and not await self._skip(tp, state.offset, epoch):
                    return
            worker = PartitionWorker(
                tp,
                state,
                self.consumer,
                self.storage,
                each,
                intents=self.intents,
                epoch=epoch,
                stale_after_s=self.settings.session_timeout_ms / 1000,
                clock=self.clock,
                crash_at=self.crash_at,
            )
            self.workers[tp] = worker
            self._tasks[tp] = asyncio.create_task(self._watched(worker.run()))
        self.joined = True

    async def _skip(self, tp: TopicPartition, offset: int, epoch: int) -> bool:
        """Commit an offset past lost records, so that they are reported once. Returns False after a rebalance."""
        try:
            await self.consumer.commit({tp: OffsetAndMetadata(offset, protocol.metadata(None, epoch))})
        except (CommitFailedError, IllegalStateError):
            return False  # the next assignment reads the commits again
        return True

    async def measure(self) -> None:
        """Set the gauges."""
        metrics.BUFFER_BYTES.set(self.bytes_in_hand())
        for tp, worker in list(self.workers.items()):
            batches = [rows for rows in worker.in_hand if rows.offsets]
            end = self.consumer.last_stable_offset(tp)
            if end is None:
                continue
            label = str(tp.partition)
            stored_to = batches[0].offsets[0] if batches else await self.consumer.position(tp)
            metrics.LAG.labels(label).set(max(0, end - stored_to))
            oldest_ms = min((rows.oldest_ms for rows in batches), default=0)
            metrics.LAG_SECONDS.labels(label).set(max(0.0, time.time() - oldest_ms / 1000) if batches else 0)
        await self._check_progress()

    def has(self, partition: int) -> bool:
        """Return whether this sink has that partition."""
        return any(own.partition == partition for own in self.workers)

    def bytes_in_hand(self) -> int:
        """Return the bytes of all rows fetched and not yet stored."""
        return sum(rows.size for worker in self.workers.values() for rows in worker.in_hand)

    async def _check_progress(self) -> None:
        now = self.clock()
        since, before = self._progress
        positions = {tp: await self.consumer.position(tp) for tp in self.workers}
        waiting = any(
            worker.waiting_for or worker.in_hand[0].offsets for worker in self.workers.values() if worker.in_hand
        )
        if positions != before or waiting or not positions:
            self._progress = (now, positions)
        elif now - since > STALLED_S:
            self._progress = (now, positions)
            async with asyncio.timeout(10):
                ends = await self.consumer.end_offsets(list(positions))
            if any(ends[tp] > at for tp, at in positions.items()) and not self.failed.done():
                self.failed.set_exception(Stalled(f"no record for {STALLED_S:.0f} s, but the log has some"))


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()

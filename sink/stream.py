"""The sink's one loop: join the group, give each assigned partition a worker, stop in order."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, OffsetAndMetadata, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from sink import clickhouse, dead, metrics, protocol
from sink.batch import Batch, Pace, limits
from sink.canary import ROW
from sink.clickhouse import PROBE_TABLE, Connection, Refused, Stop
from sink.log import logger
from sink.partition import Worker
from sink.settings import Settings
from sink.sift import Brake


class Turns:
    """Who may insert now: at most `slots` at once, and no more small batches a second than the pace allows."""

    def __init__(self, slots: int, pace: Pace, clock: Callable[[], float]) -> None:
        self.free = slots
        self.pace = pace
        self.clock = clock
        self.burst = 1
        self.stopping = False
        self._given_back = asyncio.Event()

    def take(self, *, full: bool) -> float:
        """Take a turn and return 0, or return the seconds after which to ask again."""
        if not self.free:
            return 0.05
        if full or self.stopping:
            self.pace.spend()
        elif wait_s := self.pace.wait_s(self.clock(), self.burst):
            return wait_s
        self.free -= 1
        return 0.0

    def give_back(self) -> None:
        """End a turn."""
        self.free += 1
        self._given_back.set()

    async def given_back(self, wait_s: float) -> None:
        """Return when a turn ends, or after so many seconds."""
        self._given_back.clear()
        try:
            await asyncio.wait_for(self._given_back.wait(), wait_s)
        except TimeoutError:
            return


class Store:
    """ClickHouse and the dead letters, as a partition's worker sees them."""

    def __init__(self, settings: Settings, connection: Connection, turns: Turns) -> None:
        self.settings = settings
        self.connection = connection
        self.turns = turns
        self.brake = Brake(settings.dead_ratio)
        self.producer: AIOKafkaProducer | None = None

    async def insert(self, body: bytes, token: str | None) -> None:
        """Insert into `pharos.event_log`; raises Retry, Refused or Stop."""
        began = time.monotonic()
        try:
            await clickhouse.insert(self.connection, body, token)
        except clickhouse.Retry:
            metrics.INSERTS.labels("retry").inc()
            raise
        except Refused:
            metrics.INSERTS.labels("refused").inc()
            raise
        metrics.INSERTS.labels("stored").inc()
        metrics.INSERT_SECONDS.observe(time.monotonic() - began)

    async def sift(self, partition: TopicPartition, rows: Batch) -> list[int]:
        """Send the bad rows to the dead letters; return their indexes."""
        try:
            await self._ask(ROW)
        except Refused as error:
            raise Stop(f"{PROBE_TABLE} refuses a sound row, so the schema does not fit: {error}") from None
        bad = await dead.find(rows.rows, self._ask)
        if not bad:
            raise Stop(f"ClickHouse refuses offsets {rows.offsets[0]}-{rows.offsets[-1]}, but no row of them alone")
        if self.brake.count(len(rows.rows) - len(bad), len(bad)):
            raise Stop(
                f"ClickHouse refuses {self.brake.refused} of {self.brake.taken + self.brake.refused} rows, more than "
                f"PHAROS_SINK_DEAD_RATIO={self.settings.dead_ratio}; the last: {bad[-1].words}"
            )
        if self.producer is None:
            producer = AIOKafkaProducer(bootstrap_servers=self.settings.kafka, acks="all", compression_type="lz4")
            await producer.start()
            self.producer = producer
        await dead.send(self.producer, self.settings.topic_dead, partition, rows, bad)
        metrics.DEAD.labels("refused_by_clickhouse").inc(len(bad))
        return [one.index for one in bad]

    async def _ask(self, body: bytes) -> None:
        await clickhouse.insert(self.connection, body, None, PROBE_TABLE)

    def turn(self, *, full: bool) -> float:
        """See Turns.take."""
        return self.turns.take(full=full)

    async def turn_given_back(self, wait_s: float) -> None:
        """See Turns.given_back."""
        await self.turns.given_back(wait_s)

    def give_back(self) -> None:
        """See Turns.give_back."""
        self.turns.give_back()

    async def close(self) -> None:
        """Close the producer of dead letters, if there is one."""
        if self.producer is not None:
            await asyncio.wait_for(self.producer.stop(), 10)


class Stream(ConsumerRebalanceListener):  # type: ignore[misc]
    """The group's side: who has which partition, and what was committed for it."""

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
        self.turns = Turns(settings.inserts, Pace(settings.inserts_per_s, clock()), clock)
        self.store = Store(settings, connection, self.turns)
        self.workers: dict[TopicPartition, Worker] = {}
        self.intents: bool | None = None
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: dict[TopicPartition, asyncio.Task[None]] = {}
        self._opening: asyncio.Task[None] | None = None
        self.consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka,
            group_id=settings.group,
            client_id="pharos-sink",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=max(100, settings.session_timeout_ms // 5),
            rebalance_timeout_ms=max(60_000, settings.session_timeout_ms),
            max_poll_interval_ms=600_000,
            fetch_max_bytes=16 * 2**20,
            max_partition_fetch_bytes=4 * 2**20,
            fetch_max_wait_ms=200,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop`, then drain.

        Raises:
            Stop: the sink must not go on; the text says why.
        """
        await self.consumer.start()
        try:
            self.consumer.subscribe([self.settings.topic_enriched], listener=self)
            stopped = asyncio.ensure_future(_until(stop))
            try:
                await asyncio.wait([stopped, self.failed], return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopped.cancel()
            if self.failed.done():
                self.failed.result()
            self.turns.stopping = True
            await self._end(self.settings.drain_s)
        finally:
            await self._end(0.0)
            await self.store.close()
            await asyncio.wait_for(self.consumer.stop(), 15)

    def not_ready(self) -> str:
        """Return why no rows are taken now, or ""."""
        if self.intents is None:
            return f"waiting for partitions of {self.settings.topic_enriched} from Kafka at {self.settings.kafka}"
        return next((worker.why_waiting for worker in self.workers.values() if worker.why_waiting), "")

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """End the workers before the group goes on: what is in flight may end, for a while."""
        await self._end(self.settings.session_timeout_ms / 2000)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Give each partition a worker, once the group's commits are read."""
        self._opening = asyncio.create_task(self._watched(self._open(sorted(assigned))))

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
        metrics.LAG.clear()

    async def _watched(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001  whatever it is, it ends the sink: `run` raises it
            if not self.failed.done():
                self.failed.set_exception(error)

    async def _open(self, assigned: list[TopicPartition]) -> None:
        if not assigned:
            return
        logger.info("partitions assigned", extra={"fields": {"partitions": [tp.partition for tp in assigned]}})
        found = await self._committed(assigned)
        if self.intents is None:
            self.intents = await self._keeps_metadata(assigned[0], found.get(assigned[0]))
            metrics.EXACTLY_ONCE.set(self.intents)
            mode = "exactly once" if self.intents else "at least once: this broker keeps no metadata of commits"
            logger.info("delivering %s", mode)
        each = limits(
            self.settings.batch_rows,
            self.settings.batch_bytes,
            self.settings.batch_age_ms / 1000,
            self.settings.buffer_bytes,
            len(assigned),
        )
        self.turns.burst = len(assigned)
        for tp in assigned:
            state = protocol.resume(found.get(tp), await self._log(tp, found.get(tp)))
            worker = Worker(
                tp,
                state,
                self.consumer,
                self.store,
                each,
                intents=self.intents,
                stale_after_s=self.settings.session_timeout_ms / 1000,
                clock=self.clock,
                crash_at=self.crash_at,
            )
            self.workers[tp] = worker
            self._tasks[tp] = asyncio.create_task(self._watched(worker.run()))

    async def _committed(self, partitions: list[TopicPartition]) -> dict[TopicPartition, protocol.Committed]:
        """Return what the group has committed, with metadata; asks until the broker answers.

        Raises:
            UnknownMetadata: see protocol.committed.
        """
        while True:
            admin = AIOKafkaAdminClient(bootstrap_servers=self.settings.kafka, request_timeout_ms=10_000)
            try:
                await admin.start()
                answer = await admin.list_consumer_group_offsets(self.settings.group, partitions=partitions)
            except (KafkaError, OSError, TimeoutError) as error:
                logger.warning(
                    "waiting for the group's commits", extra={"fields": {"why": f"{type(error).__name__}: {error}"}}
                )
                await asyncio.sleep(0.5)
            else:
                return {
                    tp: protocol.committed(at.offset, at.metadata or "") for tp, at in answer.items() if at.offset >= 0
                }
            finally:
                await admin.close()

    async def _keeps_metadata(self, tp: TopicPartition, found: protocol.Committed | None) -> bool:
        """Write and read back: commit again what is committed, with its intent or with metadata that means none."""
        offset = found.offset if found else (await self.consumer.beginning_offsets([tp]))[tp]
        text = protocol.metadata(found.intent) if found and found.intent else protocol.PROBE
        while True:
            try:
                await self.consumer.commit({tp: OffsetAndMetadata(offset, text)})
                break
            except (CommitFailedError, IllegalStateError):
                raise asyncio.CancelledError from None  # a rebalance came in between; the next assignment asks again
            except KafkaError as error:
                logger.warning("waiting for a commit", extra={"fields": {"why": str(error)}})
                await asyncio.sleep(0.5)
        admin = AIOKafkaAdminClient(bootstrap_servers=self.settings.kafka)
        try:
            await admin.start()
            answer = await admin.list_consumer_group_offsets(self.settings.group, partitions=[tp])
        finally:
            await admin.close()
        return bool(answer[tp].metadata == text)

    async def _log(self, tp: TopicPartition, found: protocol.Committed | None) -> protocol.Log:
        """Return the log's bounds; after a change of leader its end may lag behind what was committed: wait a while."""
        for _ in range(30):
            starts = await self.consumer.beginning_offsets([tp])
            ends = await self.consumer.end_offsets([tp])
            log = protocol.Log(starts[tp], ends[tp])
            if protocol.whole(found, log):
                break
            await asyncio.sleep(1.0)
        return log

    async def measure(self) -> None:
        """Set the gauges that are read, not counted."""
        held = 0
        for tp, worker in list(self.workers.items()):
            batches = [rows for rows in worker.in_hand if rows.rows]
            held += sum(rows.size for rows in batches)
            end = self.consumer.last_stable_offset(tp)
            if end is None:
                continue
            label = str(tp.partition)
            stored_to = batches[0].offsets[0] if batches else await self.consumer.position(tp)
            metrics.LAG.labels(label).set(max(0, end - stored_to))
            metrics.LAG_SECONDS.labels(label).set(
                max(0.0, time.time() - batches[0].timestamps[0] / 1000) if batches else 0
            )
        metrics.BUFFER_BYTES.set(held)


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()

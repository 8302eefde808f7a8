"""ClickHouse and the dead letters as one place: what a partition's worker inserts into."""

import time
from collections.abc import Callable

from aiokafka import AIOKafkaProducer, TopicPartition

from sink import clickhouse, dead_letters, metrics
from sink.batch import Batch
from sink.bisect import Brake
from sink.clickhouse import PROBE_TABLE, Connection, Refused, Stop, without_row_values
from sink.insert_slots import InsertSlots
from sink.probe_row import ROW
from sink.settings import Settings
from stage.aiokafka_internals import start_client, stop_client
from stage.kafka import access
from stage.log import line


class Storage:
    """ClickHouse and the dead letters as one place: what a partition's worker inserts into."""

    def __init__(self, settings: Settings, connection: Connection, slots: InsertSlots) -> None:
        self.settings = settings
        self.connection = connection
        self.slots = slots
        self.bytes_in_hand: Callable[[], int] = lambda: 0
        """Returns the bytes of all rows fetched and not yet stored."""
        self.brake = Brake(settings.dead_ratio, settings.dead_least_rows)
        self.producer: AIOKafkaProducer | None = None

    async def insert(self, body: bytes, token: str) -> None:
        """Insert into `pharos.event_rows`; raises Retry, Refused or Stop."""
        began = time.monotonic()
        try:
            await clickhouse.insert(self.connection, body, token, f"pharos.{self.settings.table}")
        except clickhouse.Retry:
            metrics.INSERTS.labels("retry").inc()
            raise
        except Refused:
            metrics.INSERTS.labels("refused").inc()
            raise
        metrics.INSERTS.labels("stored").inc()
        metrics.INSERT_SECONDS.observe(time.monotonic() - began)

    async def isolate(self, partition: TopicPartition, rows: Batch, *, careful: bool) -> frozenset[int]:
        """Send the refused rows to the dead letters; return their indexes."""
        try:
            await self._ask(ROW)
        except Refused as error:
            raise Stop(f"{PROBE_TABLE} refuses a valid row, so the schema does not fit: {error}") from None
        most = max(self.brake.least, int(self.brake.ratio * len(rows.rows))) + 1
        bad = await dead_letters.find(rows.rows, self._ask, careful=careful, most=most)
        if not bad:
            raise Stop(f"ClickHouse refuses offsets {rows.offsets[0]}-{rows.offsets[-1]}, but no row of them alone")
        if self.brake.count(len(rows.rows) - len(bad), len(bad)) or len(bad) >= most:
            raise Stop(
                f"ClickHouse refuses {self.brake.refused} of {self.brake.taken + self.brake.refused} rows, more than "
                f"PHAROS_SINK_DEAD_RATIO={self.settings.dead_ratio}; the last: {without_row_values(bad[-1].message)}"
            )
        await dead_letters.send(await self._dead_letter_producer(), self.settings.topic_dead, partition, rows, bad)
        metrics.DEAD.labels("refused_by_clickhouse").inc(len(bad))
        return frozenset(one.index for one in bad)

    async def report_lost(self, partition: TopicPartition, offset: int, lost: int) -> None:
        """Log, count and write to the dead letters that `lost` records from `offset` on are gone; raises KafkaError."""
        fields = {"topic": partition.topic, "partition": partition.partition, "offset": offset, "records": lost}
        line("error", "records are gone from Kafka before they were stored", **fields)
        letter = dead_letters.lost_letter(partition, offset, lost, int(time.time() * 1000))
        await dead_letters.send_letter(await self._dead_letter_producer(), self.settings.topic_dead, letter)
        metrics.LOST.inc(lost)

    async def _dead_letter_producer(self) -> AIOKafkaProducer:
        if self.producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self.settings.kafka, **access(self.settings), acks="all", compression_type="lz4"
            )
            try:
                await start_client(producer)
            except BaseException:
                await stop_client(producer)
                raise
            self.producer = producer
        return self.producer

    async def _ask(self, body: bytes) -> None:
        await clickhouse.insert(self.connection, body, None, PROBE_TABLE)

    def room(self, begun: bool) -> int:
        """Return how many more bytes may be taken: new batches begin only while half of the buffer is free."""
        most = self.settings.buffer_bytes if begun else self.settings.buffer_bytes // 2
        return max(0, most - self.bytes_in_hand())

    def acquire(self, *, full: bool, of: TopicPartition | None = None, since: float = 0.0) -> float:
        """See InsertSlots.acquire."""
        return self.slots.acquire(full=full, of=of, since=since)

    async def slot_released(self, wait_s: float) -> None:
        """See InsertSlots.released."""
        await self.slots.released(wait_s)

    def release_slot(self) -> None:
        """See InsertSlots.release."""
        self.slots.release()

    async def close(self) -> None:
        """Close the producer of dead letters, if there is one."""
        if self.producer is not None:
            await stop_client(self.producer)

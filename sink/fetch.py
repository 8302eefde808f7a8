"""Fetch records of one partition: the next ones, or exactly those of an intent."""

from collections.abc import Callable
from typing import Final, Protocol

from aiokafka import ConsumerRecord, OffsetAndMetadata, TopicPartition

from sink.batch import Batch, Limits
from sink.protocol import Range

MOST_AT_ONCE: Final = 4_000
"""Records unpacked before they are joined: single records take far more memory.

aiokafka returns a whole fetch without a pause, some 25,000 records in 30 ms. With a pause in between, partitions fill
at the same time: more batches are inserted half full by age, 35 MB more are in hand, and throughput falls by 1 %."""


class Consumer(Protocol):
    """The part of the group's consumer that a partition uses; `commit` may raise CommitFailedError."""

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int, max_records: int
    ) -> dict[TopicPartition, list[ConsumerRecord]]: ...

    async def commit(self, offsets: dict[TopicPartition, OffsetAndMetadata]) -> None: ...

    async def position(self, partition: TopicPartition) -> int: ...

    def seek(self, partition: TopicPartition, offset: int) -> None: ...


async def take(
    consumer: Consumer, partition: TopicPartition, rows: Batch, room: int, wait_s: float, clock: Callable[[], float]
) -> None:
    """Add the records of the next `wait_s` seconds (at most 0.5), up to the batch's limits and `room` bytes."""
    timeout_ms = max(1, min(500, int(wait_s * 1000)))
    most = min(rows.room(room), MOST_AT_ONCE)
    taken = await consumer.getmany(partition, timeout_ms=timeout_ms, max_records=most)
    for records in taken.values():
        rows.add(records, clock())


async def exactly(consumer: Consumer, partition: TopicPartition, fetch: Range, clock: Callable[[], float]) -> Batch:
    """Return the records of these offsets only; some offsets have none (markers of transactions).

    Afterwards the consumer's position is after the range.
    """
    rows = Batch(Limits(2**62, 2**62, 0.0))
    consumer.seek(partition, fetch.first)
    while (at := await consumer.position(partition)) <= fetch.last:
        most = min(fetch.last + 1 - at, MOST_AT_ONCE)
        taken = await consumer.getmany(partition, timeout_ms=500, max_records=most)
        for records in taken.values():
            rows.add([record for record in records if record.offset <= fetch.last], clock())
            if records[-1].offset > fetch.last:  # offsets without records make room for others
                consumer.seek(partition, fetch.last + 1)
    return rows

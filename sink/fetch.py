"""Take records of one partition from the consumer: as they come, or exactly those of an intent."""

from collections.abc import Callable
from typing import Final, Protocol

from aiokafka import ConsumerRecord, OffsetAndMetadata, TopicPartition

from sink.batch import Batch, Limits
from sink.protocol import Range

MOST_AT_ONCE: Final = 4_000
"""Records that are unpacked before they are joined: one by one they take far more memory.

aiokafka hands out a fetch's worth without a pause, some 25,000 records in 30 ms. With a pause between, partitions fill
side by side: more batches that age sends off half full, 35 MB more in hand, a hundredth slower."""


class Consumer(Protocol):
    """What a partition uses of the group's consumer; `commit` is refused (CommitFailedError) to who lost membership."""

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int, max_records: int
    ) -> dict[TopicPartition, list[ConsumerRecord]]: ...

    async def commit(self, offsets: dict[TopicPartition, OffsetAndMetadata]) -> None: ...

    async def position(self, partition: TopicPartition) -> int: ...

    def seek(self, partition: TopicPartition, offset: int) -> None: ...


async def take(
    consumer: Consumer, partition: TopicPartition, rows: Batch, room: int, wait_s: float, clock: Callable[[], float]
) -> None:
    """Add what comes within `wait_s` (at most half a second), as far as the batch and `room` (bytes) let it."""
    timeout_ms = max(1, min(500, int(wait_s * 1000)))
    most = min(rows.room(room), MOST_AT_ONCE)
    taken = await consumer.getmany(partition, timeout_ms=timeout_ms, max_records=most)
    for records in taken.values():
        rows.add(records, clock())


async def exactly(consumer: Consumer, partition: TopicPartition, fetch: Range, clock: Callable[[], float]) -> Batch:
    """Return the records of these offsets and no others; some offsets have none (markers of transactions).

    Afterwards the consumer stands behind the range.
    """
    rows = Batch(Limits(2**62, 2**62, 0.0))
    consumer.seek(partition, fetch.first)
    while (at := await consumer.position(partition)) <= fetch.last:
        most = min(fetch.last + 1 - at, MOST_AT_ONCE)
        taken = await consumer.getmany(partition, timeout_ms=500, max_records=most)
        for records in taken.values():
            rows.add([record for record in records if record.offset <= fetch.last], clock())
            if records[-1].offset > fetch.last:  # offsets without records let others in
                consumer.seek(partition, fetch.last + 1)
    return rows

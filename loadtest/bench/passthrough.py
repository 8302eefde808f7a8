"""The enricher bench's floor: take records, put them into new batches, produce these to another topic, commit.

It has the client, the sizes and the overlap of the enricher, and does nothing to a record.
"""

import asyncio
import gc
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

CHUNK_RECORDS: Final = 16_000
BATCH_BYTES: Final = 900_000


async def _deliver(
    consumer: AIOKafkaConsumer,
    producer: AIOKafkaProducer,
    source: TopicPartition,
    batches: list[Any],
    target: str,
    offset: int,
) -> None:
    sent = [await producer.send_batch(batch, target, partition=source.partition) for batch in batches]
    await asyncio.gather(*sent)
    await consumer.commit({source: offset})


async def run(kafka: str, group: str, origin: str, target: str, ready: Callable[[], None]) -> None:
    """Pass records on until SIGTERM; tell `ready` once both clients have started."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    consumer = AIOKafkaConsumer(
        origin,
        bootstrap_servers=kafka,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4_194_304,
        isolation_level="read_committed",
        session_timeout_ms=6000,
        heartbeat_interval_ms=1200,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, acks="all", compression_type="zstd", max_batch_size=BATCH_BYTES
    )
    await consumer.start()
    await producer.start()
    ready()
    under_way: dict[TopicPartition, asyncio.Task[None]] = {}
    try:
        while not stopping.is_set():
            taken = await consumer.getmany(timeout_ms=200, max_records=CHUNK_RECORDS)
            for source, records in taken.items():
                batches: list[Any] = []
                batch = None
                for record in records:
                    if batch is None or not batch.append(
                        timestamp=record.timestamp, key=record.key, value=record.value
                    ):
                        batch = producer.create_batch()
                        batches.append(batch)
                        batch.append(timestamp=record.timestamp, key=record.key, value=record.value)
                if before := under_way.pop(source, None):
                    await before
                under_way[source] = asyncio.create_task(
                    _deliver(consumer, producer, source, batches, target, records[-1].offset + 1)
                )
        await asyncio.gather(*under_way.values())
    finally:
        await producer.stop()
        await consumer.stop()


if __name__ == "__main__":
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    kafka, group, origin, target, ready = sys.argv[1:]
    uvloop.run(run(kafka, group, origin, target, Path(ready).touch))

"""Write to and read from the sink's topics in tests."""

import asyncio
import time
from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from enricher.contract import DeadHit, decode_dead


async def send(bootstrap: str, topic: str, rows: Iterable[bytes], *, partitions: int = 4, per_s: float = 0) -> None:
    """Send rows, in turn over the partitions, at most `per_s` a second (0: all at once); return when they are there."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", compression_type="lz4", linger_ms=5)
    await producer.start()
    try:
        sent = []
        began = time.monotonic()
        for number, row in enumerate(rows):
            if per_s and number % 100 == 0:
                await asyncio.sleep(max(0.0, began + number / per_s - time.monotonic()))
            sent.append(await producer.send(topic, row, partition=number % partitions))
        for future in sent:
            await future
    finally:
        await producer.stop()


async def dead(bootstrap: str, topic: str) -> list[DeadHit]:
    """Return every dead letter there is now."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        tps = sorted(consumer.assignment())
        ends = await consumer.end_offsets(tps)
        found = []
        for tp in tps:
            while await consumer.position(tp) < ends[tp]:
                for records in (await consumer.getmany(tp, timeout_ms=500)).values():
                    found += [decode_dead(record.value) for record in records]
        return found
    finally:
        await consumer.stop()

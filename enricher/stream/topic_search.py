"""Reads a topic from a time on, for questions to the admin port; in no group, so the stream is not disturbed."""

from collections.abc import AsyncGenerator
from typing import Any, Final

import orjson
from aiohttp import web
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from enricher.settings import Settings
from stage.aiokafka_internals import start_client, stop_client
from stage.kafka import access

CHUNK: Final = 5_000
"""Records that are taken at a time."""
_FETCH_MS: Final = 500


async def records(settings: Settings, topic: str, since_ms: int, chunk: int = CHUNK) -> AsyncGenerator[list[Any]]:
    """Yield the records of a topic from a time on, in lists, up to the ends that it has now. Close it after use.

    Raises:
        KafkaError: the broker is away, or has no such topic.
    """
    consumer = AIOKafkaConsumer(
        topic,  # without a group: every partition
        bootstrap_servers=settings.kafka,
        **access(settings),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    await start_client(consumer)
    try:
        ends = await _seek(consumer, since_ms)
        while True:
            taken = await consumer.getmany(timeout_ms=_FETCH_MS, max_records=chunk)
            if taken:
                yield [record for found in taken.values() for record in found]
            elif not [each for each, end in ends.items() if await consumer.position(each) < end]:
                return
    finally:
        await stop_client(consumer)


async def _seek(consumer: AIOKafkaConsumer, since_ms: int) -> dict[TopicPartition, int]:
    """Put the consumer where the records since a time begin; return the end of each partition."""
    partitions = sorted(consumer.assignment())
    ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
    begins = await consumer.beginning_offsets(partitions)
    try:
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, max(since_ms, 0)))
    except KafkaError:  # a broker without an index of times: read from the beginning
        found = begins
    for each in partitions:
        start = found.get(each)
        # None: every record is earlier.
        offset = ends[each] if start is None else getattr(start, "offset", start)
        consumer.seek(each, max(offset, begins[each]))
    return ends


def json_answer(status: int, body: dict[str, Any]) -> web.Response:
    """Return the answer to a question; no cache keeps it."""
    return web.Response(
        status=status,
        body=orjson.dumps(body),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )

"""Rows that ClickHouse refuses go to `hits.dead`, whole and with ClickHouse's message."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer, TopicPartition

from enricher.contract import DeadHit, encode_dead
from sink.batch import Batch, is_row
from sink.bisect import WINDOW, RefusedRow, isolate
from sink.clickhouse import Refused

AT_ONCE: Final = 8
"""Questions to ClickHouse in flight."""


def letter(partition: TopicPartition, rows: Batch, bad: RefusedRow) -> DeadHit:
    """Return the dead letter of one row."""
    return DeadHit(
        reason="refused_by_clickhouse",
        detail=bad.message,
        stage="sink",
        topic=partition.topic,
        partition=partition.partition,
        offset=rows.offsets[bad.index],
        at=rows.timestamps[bad.index],
        record=rows.unpack().rows[bad.index],
    )


def lost_letter(partition: TopicPartition, offset: int, lost: int, at_ms: int) -> DeadHit:
    """Return the dead letter of records that are gone from the log: `lost` of them from `offset` on."""
    return DeadHit(
        reason="lost_records",
        detail="gone from Kafka before they were stored",
        stage="sink",
        topic=partition.topic,
        partition=partition.partition,
        offset=offset,
        at=at_ms,
        record=b"",
        records=lost,
    )


async def find(
    rows: Sequence[bytes], ask: Callable[[bytes], Awaitable[None]], *, careful: bool = False, most: int = 2**62
) -> list[RefusedRow]:
    """Return the refused rows, in order; stop the search once `most` are found.

    `ask` inserts into a table that stores nothing, and raises Refused, Retry or Stop. `careful`: see `isolate`. AT_ONCE
    windows are asked about at the same time: a question waits for ClickHouse far longer than it keeps it busy.
    """
    formed = [index for index, row in enumerate(rows) if is_row(row)]
    bad = [RefusedRow(index, "not a row: one line in brackets") for index, row in enumerate(rows) if not is_row(row)]
    windows = iter(range(0, len(formed), WINDOW))

    async def work() -> None:
        for first in windows:
            window = formed[first : first + WINDOW]
            search = isolate(len(window), careful=careful)
            message: str | None = None
            start = end = 0
            while len(bad) < most:
                try:
                    start, end = next(search) if end == 0 else search.send(message)
                except StopIteration:
                    break
                try:
                    await ask(b"".join([rows[index] for index in window[start:end]]))
                    message = None
                except Refused as error:
                    message = str(error)
                    if end - start == 1:
                        bad.append(RefusedRow(window[start], message))

    workers = [asyncio.create_task(work()) for _ in range(AT_ONCE)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return sorted(bad, key=lambda one: one.index)


async def send(
    producer: AIOKafkaProducer, topic: str, partition: TopicPartition, rows: Batch, bad: Sequence[RefusedRow]
) -> None:
    """Send the dead letters; return when the broker has them all. The key names the record, to recognise a repeat."""
    sent = [await _send(producer, topic, letter(partition, rows, one)) for one in bad]
    for future in sent:
        await future


async def send_letter(producer: AIOKafkaProducer, topic: str, dead: DeadHit) -> None:
    """Send one letter; returns when the broker has it."""
    await (await _send(producer, topic, dead))


async def _send(producer: AIOKafkaProducer, topic: str, dead: DeadHit) -> "asyncio.Future[Any]":
    key = f"{dead.topic}:{dead.partition}:{dead.offset}".encode()
    sent: asyncio.Future[Any] = await producer.send(topic, encode_dead(dead), key=key)
    return sent

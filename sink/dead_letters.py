"""Rows that ClickHouse refuses go, whole and with its words, to `hits.dead`."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from aiokafka import AIOKafkaProducer, TopicPartition

from enricher.contract import DeadHit, encode_dead
from sink.batch import Batch, is_row
from sink.bisect import WINDOW, Bad, sift
from sink.clickhouse import Refused

AT_ONCE: Final = 8
"""Questions to ClickHouse side by side."""


def letter(partition: TopicPartition, rows: Batch, bad: Bad) -> DeadHit:
    """Return the dead letter of one row."""
    return DeadHit(
        reason="refused_by_clickhouse",
        detail=bad.words,
        stage="sink",
        topic=partition.topic,
        partition=partition.partition,
        offset=rows.offsets[bad.index],
        at=rows.timestamps[bad.index],
        record=rows.unpack().rows[bad.index],
    )


async def find(
    rows: Sequence[bytes], ask: Callable[[bytes], Awaitable[None]], *, careful: bool = False, most: int = 2**62
) -> list[Bad]:
    """Return the bad rows, in order; once `most` are found, no more are looked for.

    `ask` inserts where nothing is kept, and raises Refused, Retry or Stop. `careful`: see sift. AT_ONCE windows of the
    rows are asked about side by side: each question waits for ClickHouse far longer than it keeps it busy.
    """
    formed = [index for index, row in enumerate(rows) if is_row(row)]
    bad = [
        Bad(index, "not a row: one line with brackets around it") for index, row in enumerate(rows) if not is_row(row)
    ]
    windows = iter(range(0, len(formed), WINDOW))

    async def work() -> None:
        for first in windows:
            window = formed[first : first + WINDOW]
            search = sift(len(window), careful=careful)
            words: str | None = None
            start = end = 0
            while len(bad) < most:
                try:
                    start, end = next(search) if end == 0 else search.send(words)
                except StopIteration:
                    break
                try:
                    await ask(b"".join([rows[index] for index in window[start:end]]))
                    words = None
                except Refused as error:
                    words = str(error)
                    if end - start == 1:
                        bad.append(Bad(window[start], words))

    workers = [asyncio.create_task(work()) for _ in range(AT_ONCE)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return sorted(bad, key=lambda one: one.index)


async def send(
    producer: AIOKafkaProducer, topic: str, partition: TopicPartition, rows: Batch, bad: Sequence[Bad]
) -> None:
    """Send the letters; returns when the broker has them all. The key names the record, to tell a repeat by."""
    sent = [
        await producer.send(
            topic,
            encode_dead(letter(partition, rows, one)),
            key=f"{partition.topic}:{partition.partition}:{rows.offsets[one.index]}".encode(),
        )
        for one in bad
    ]
    for future in sent:
        await future

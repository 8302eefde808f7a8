"""Rows that ClickHouse refuses go, whole and with its words, to `hits.dead`."""

from collections.abc import Awaitable, Callable, Sequence

from aiokafka import AIOKafkaProducer, TopicPartition

from enricher.contract import DeadHit, encode_dead
from sink.batch import Batch, is_row
from sink.clickhouse import Refused
from sink.sift import Bad, sift


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
        record=rows.rows[bad.index],
    )


async def find(
    rows: Sequence[bytes], ask: Callable[[bytes], Awaitable[None]], *, careful: bool = False, most: int = 2**62
) -> list[Bad]:
    """Return the bad rows, in order, or the first `most` of them.

    `ask` inserts where nothing is kept, and raises Refused, Retry or Stop. `careful`: see sift.
    """
    formed = [index for index, row in enumerate(rows) if is_row(row)]
    bad = [
        Bad(index, "not a row: one line with brackets around it") for index, row in enumerate(rows) if not is_row(row)
    ]
    search = sift(len(formed), careful=careful)
    named: list[Bad] = []
    words: str | None = None
    try:
        first, end = next(search)
        while True:
            try:
                await ask(b"".join([rows[index] for index in formed[first:end]]))
                words = None
            except Refused as error:
                words = str(error)
                named += [Bad(first, words)] if end - first == 1 else []
            if len(bad) + len(named) >= most:
                break
            first, end = search.send(words)
    except StopIteration as found:
        named = found.value
    bad += [Bad(formed[one.index], one.words) for one in named]
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

"""Records taken as columns are those that aiokafka itself returns, and the consumer is at the same position after."""

import gc
import struct
import weakref
from itertools import chain
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from hypothesis import given
from hypothesis import strategies as st

from enricher.stream.column_fetch import MOST_BYTES, FetchedColumns, _ColumnReader
from stage.aiokafka_internals import Answers

SOURCE = TopicPartition("hits.raw", 2)
ATTRIBUTES, CRC = 21, 17
CONTROL = 1 << 5

Batch = tuple[list[bytes | None], int | None, str]
"""Values; the transaction's producer (None: no transaction); what it is: hits, commit or abort."""


def written(batch: Batch, base: int, gap: int) -> tuple[bytes, int]:
    """Return a batch as it lies in Kafka, its records `gap` offsets apart, and the offset behind it."""
    values, producer, what = batch
    control = what != "hits"
    if control:
        values = [b"\0\0\0\0\0\0"]
    builder = DefaultRecordBatchBuilder(2, 0, producer is not None, producer or -1, 0, 0, 1 << 20)
    for number, value in enumerate(values):
        key = struct.pack(">hh", 0, what == "commit") if control else None
        builder.append(number * gap, timestamp=1_700_000_000_000 + base + number, key=key, value=value, headers=[])
    made = builder.build()
    struct.pack_into(">q", made, 0, base)
    if control:
        struct.pack_into(">h", made, ATTRIBUTES, struct.unpack_from(">h", made, ATTRIBUTES)[0] | CONTROL)
        struct.pack_into(">I", made, CRC, calc_crc32c(bytes(made[ATTRIBUTES:])))
    return bytes(made), base + (len(values) - 1) * gap + 1


class Assigned:
    """Replaces the consumer's assignment, with one partition."""

    active = True
    paused = False

    def __init__(self, position: int) -> None:
        self.position = position

    def state_value(self, source: TopicPartition) -> "Assigned":
        return self

    def consumed_to(self, position: int) -> None:
        self.position = position


def answer(data: bytes, begin: int, aborted: list[tuple[int, int]], isolation: int) -> tuple[FetchResult, Assigned]:
    assigned = Assigned(begin)
    records = PartitionRecords(SOURCE, MemoryRecords(data), aborted, begin, None, None, True, isolation)
    return FetchResult(SOURCE, assignment=assigned, partition_records=records, backoff=0), assigned


def in_columns(result: FetchResult) -> FetchResult:
    answers = Answers(_ColumnReader)
    answers[SOURCE] = result
    return answers[SOURCE]


BATCHES = st.lists(
    st.tuples(
        st.lists(st.none() | st.binary(max_size=20), min_size=1, max_size=9),
        st.none() | st.integers(1, 2),
        st.sampled_from(["hits", "hits", "hits", "commit", "abort"]),
    ),
    min_size=1,
    max_size=8,
)


@given(
    batches=BATCHES,
    gap=st.integers(1, 3),
    first=st.integers(0, 4),
    aborted=st.lists(st.tuples(st.integers(1, 2), st.integers(100, 160)), max_size=3),
    isolation=st.sampled_from([READ_COMMITTED, READ_UNCOMMITTED]),
    asked=st.lists(st.none() | st.integers(1, 12), min_size=1, max_size=12),
)
def test_it_takes_what_aiokafka_takes(
    batches: list[Batch],
    gap: int,
    first: int,
    aborted: list[tuple[int, int]],
    isolation: int,
    asked: list[int | None],
) -> None:
    data, offset = b"", 100
    for batch in batches:
        if batch[1] is None and batch[2] != "hits":
            batch = (batch[0], 1, batch[2])
        made, offset = written(batch, offset, gap)
        data += made
    theirs, their_place = answer(data, 100 + first, aborted, isolation)
    ours, our_place = answer(data, 100 + first, aborted, isolation)
    ours = in_columns(ours)
    expected: list[Any] = []
    found: list[tuple[int, int, bytes]] = []
    for most in [*asked, None]:
        if theirs.has_more():
            expected += theirs.getall(most)
        taken = ours.getall(most)
        assert isinstance(taken, FetchedColumns)
        assert most is None or len(taken) <= most
        found += zip(taken.offsets, taken.timestamps, taken.values, strict=True)
    assert found == [(each.offset, each.timestamp, each.value or b"") for each in expected]
    assert our_place.position == their_place.position
    assert not ours.has_more()


def three_batches() -> tuple[list[bytes], int]:
    data, offset = [], 100
    for _ in range(3):
        made, offset = written(([b"a", b"b"], None, "hits"), offset, 1)
        data.append(made)
    return data, offset


def test_nothing_is_taken_behind_a_corrupt_batch() -> None:
    data, _ = three_batches()
    data[1] = data[1][:-2] + b"??"
    result, place = answer(b"".join(data), 100, [], READ_COMMITTED)
    ours = in_columns(result)
    assert ours.getall(2).offsets == [100, 101]
    with pytest.raises(CorruptRecordException):
        ours.getall()
    assert list(ours.getall().offsets) == []
    assert place.position == 102


def test_nothing_is_taken_after_the_partition_is_gone() -> None:
    data, _ = three_batches()
    result, place = answer(b"".join(data), 100, [], READ_COMMITTED)
    ours = in_columns(result)
    assert ours.getall(1).values == [b"a"]
    place.active = False
    assert len(ours.getall()) == 0
    assert not ours.has_more()


def test_nothing_is_taken_when_the_consumer_was_sent_elsewhere() -> None:
    data, _ = three_batches()
    result, place = answer(b"".join(data), 100, [], READ_COMMITTED)
    ours = in_columns(result)
    ours.getall(1)
    place.position = 7
    assert len(ours.getall()) == 0
    assert place.position == 7


def test_what_was_taken_once_is_not_taken_again() -> None:
    data, end = three_batches()
    result, place = answer(b"".join(data), 100, [], READ_COMMITTED)
    ours = in_columns(result)
    parts = [ours.getall(4), ours.getall(4), ours.getall(4)]
    assert list(chain.from_iterable(part.offsets for part in parts)) == list(range(100, end))
    assert place.position == end


def test_large_records_are_taken_few_at_a_time() -> None:
    data, end = [], 0
    for _ in range(20):
        made, end = written(([b"x" * 500_000] * 2, None, "hits"), end, 1)
        data.append(made)
    result, place = answer(b"".join(data), 0, [], READ_COMMITTED)
    ours = in_columns(result)
    first = ours.getall(16_000)
    assert MOST_BYTES <= sum(map(len, first.values)) < MOST_BYTES + 1_000_000
    assert place.position == len(first)
    assert first.offsets + ours.getall(16_000).offsets == list(range(end))


def test_an_answer_that_is_given_up_is_not_kept_alive() -> None:
    data, _ = three_batches()
    for give_up in ("delete", "clear"):
        answers = Answers(_ColumnReader)
        answers[SOURCE], _ = answer(b"".join(data), 100, [], READ_COMMITTED)
        answers[SOURCE].getall(1)
        left = weakref.ref(answers[SOURCE])
        gc.disable()
        try:
            if give_up == "delete":
                del answers[SOURCE]
            else:
                answers.clear()
            assert left() is None, give_up
        finally:
            gc.enable()

"""Batches, slots and pace, with a given clock."""

from heapq import heapify, heappop, heappush

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sink.batch import Batch, Limits, is_row, malformed
from sink.insert_slots import InsertSlots, Pace
from sink.protocol import Intent


class Record:
    def __init__(self, offset: int, value: bytes | None, timestamp: int = 0) -> None:
        self.offset = offset
        self.value = value
        self.timestamp = timestamp


def records(*offsets: int) -> list[Record]:
    return [Record(offset, b"[1]\n", 1000 + offset) for offset in offsets]


def test_rows_make_a_batch_due() -> None:
    batch = Batch(Limits(rows=3, bytes=1000, age_s=1.0))
    batch.add(records(5, 6), now=10.0)
    assert (batch.room(1000), batch.is_full(), batch.is_due(10.5), batch.wait_s(10.5)) == (1, False, False, 0.5)
    batch.add(records(9), now=10.5)
    assert (batch.is_full(), batch.is_due(10.5)) == (True, True)
    assert batch.intent() == Intent(5, 9, 1005)
    assert batch.pack() == b"[1]\n[1]\n[1]\n"


def test_the_oldest_record_need_not_be_the_first() -> None:
    batch = Batch(Limits(rows=9, bytes=1000, age_s=1.0))
    batch.add(records(5, 3, 6), now=10.0)
    batch.add(records(4), now=10.0)
    assert batch.oldest_ms == 1003
    assert batch.intent().at == 1005


def test_bytes_make_a_batch_due() -> None:
    batch = Batch(Limits(rows=100, bytes=8, age_s=1.0))
    batch.add(records(1), now=0.0)
    assert not batch.is_full()
    batch.add(records(2), now=0.0)
    assert batch.is_full()


def test_the_first_rows_age_makes_a_batch_due() -> None:
    batch = Batch(Limits(rows=100, bytes=1000, age_s=1.0))
    batch.add([], now=0.0)
    assert not batch.is_due(100.0)
    batch.add(records(1), now=100.0)
    batch.add(records(2), now=100.9)
    assert not batch.is_due(100.9)
    assert batch.is_due(101.0)


def test_a_record_without_value_is_an_empty_row() -> None:
    batch = Batch(Limits(10, 10, 1.0))
    batch.add([Record(1, None)], now=0.0)
    assert batch.rows == [b""]


@pytest.mark.parametrize(
    ("record", "good"),
    [
        (b'["a"]\n', True),
        (b'["a"]', False),
        (b"", False),
        (b"\n", False),
        (b'["a"]\n["b"]\n', False),
        (b'"a"]\n', False),
        (b'["a\n"]\n', False),
        (b'["a"]\n ', False),
    ],
)
def test_what_is_a_row(record: bytes, good: bool) -> None:
    assert is_row(record) is good


@given(st.lists(st.sampled_from([b"[1]\n", b"[2]", b"", b"x]\n", b"[\n]\n", b"]\n["]), min_size=1, max_size=8))
def test_no_record_changes_what_its_neighbours_mean(rows: list[bytes]) -> None:
    found = malformed(rows, b"".join(rows))
    if found:
        assert found == [index for index, row in enumerate(rows) if not is_row(row)]
    else:
        # Each line is independent of the lines around it.
        lines = b"".join(rows).splitlines(keepends=True)
        assert len(lines) == len(rows)
        assert lines == rows, "taken apart again they are the records they were"
        assert all(line.endswith(b"]\n") for line in lines)


def test_sound_rows_are_not_looked_at_one_by_one() -> None:
    rows = [b"[1]\n"] * 3
    assert malformed(rows, b"".join(rows)) == []


def test_room_follows_the_mean_size_of_the_rows_so_far() -> None:
    batch = Batch(Limits(rows=1000, bytes=10_000, age_s=1.0))
    assert batch.room(5_000) == 5  # nothing known: a thousand bytes each
    batch.add([Record(1, b"[" + b"1" * 97 + b"]\n")], now=0.0)
    assert batch.room(1_000_000) == 99
    assert batch.room(500) == 5
    assert batch.room(0) == 1


def test_a_batch_is_cut_where_memory_ends() -> None:
    batch = Batch(Limits(10, 1000, 1.0))
    batch.add(records(1), now=0.0)
    batch.cut()
    assert batch.is_full()


@given(st.lists(st.sampled_from([b"[1]\n", b'["a"]\n', b"[]\n"]), min_size=1))
def test_packed_rows_come_apart_as_they_were(rows: list[bytes]) -> None:
    batch = Batch(Limits(100, 1000, 1.0))
    for part in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
        batch.add([Record(offset, row) for offset, row in enumerate(part)], now=0.0)
    assert batch.rows == []
    assert batch.unpack().rows == rows, "not packed yet"
    assert batch.pack() == b"".join(rows)
    assert batch.rows == []
    assert batch.pack() == b"".join(rows)
    assert batch.unpack().rows == rows
    assert batch.unpack().rows == rows


def test_what_is_no_row_is_not_packed() -> None:
    batch = Batch(Limits(100, 1000, 1.0))
    for rows in ([b"[1]\n", b"[2]\n"], [b"[3]\n", b"x"], [b"[4]\n"]):
        batch.add([Record(1, row) for row in rows], now=0.0)
    assert batch.pack() is None
    assert batch.unpack().rows == [b"[1]\n", b"[2]\n", b"[3]\n", b"x", b"[4]\n"]
    assert batch.size == 17


def test_under_load_age_starts_one_insert_a_second() -> None:
    pace = Pace(per_s=1.0, now=0.0)
    started, now = [], 0.0
    while now < 20.0:
        if wait := pace.wait_s(now, burst=4):
            now += wait
        else:
            started.append(now)
    assert started[:4] == [0.0] * 4  # saved up in quiet
    assert len(started) == pytest.approx(4 + 19, abs=1)


def test_a_lone_hit_does_not_wait() -> None:
    pace = Pace(per_s=1.0, now=0.0)
    for second in range(0, 100, 10):
        assert pace.wait_s(float(second), burst=4) == 0.0


async def test_no_more_inserts_at_once_than_there_are_slots() -> None:
    now = 0.0
    slots = InsertSlots(2, Pace(1.0, now), lambda: now)
    slots.burst = 4
    assert slots.acquire(full=False) == 0.0
    assert slots.acquire(full=True) == 0.0
    assert slots.acquire(full=True) > 0.0
    slots.release()
    await slots.released(0.01)
    assert slots.acquire(full=True) == 0.0


async def test_full_batches_do_not_wait_for_the_pace() -> None:
    slots = InsertSlots(100, Pace(1.0, 0.0), lambda: 0.0)
    assert [slots.acquire(full=True) for _ in range(10)] == [0.0] * 10
    assert slots.acquire(full=False) > 0.0
    slots.stopping = True
    assert slots.acquire(full=False) == 0.0


@given(
    st.integers(1, 40),
    st.floats(0.2, 5.0),
    st.lists(st.floats(0.0, 1.0), min_size=40, max_size=40),
    st.lists(st.floats(0.0, 0.2), min_size=40, max_size=40),
)
def test_no_partition_waits_longer_for_its_turn_than_was_said(
    partitions: int, most_wait_s: float, firsts: list[float], late: list[float]
) -> None:
    """With any number of batches, each asking a little later than it should: no starvation, no drift."""
    now, age_s = 0.0, 1.0
    slots = InsertSlots(partitions, Pace(1.0, 0.0), lambda: now, most_wait_s)
    slots.share(partitions)
    since = {n: firsts[n] for n in range(partitions)}
    asks = [(firsts[n] + age_s, n) for n in range(partitions)]
    heapify(asks)
    inserted = 0
    while now < 60.0:
        now, n = heappop(asks)
        if wait_s := slots.acquire(full=False, of=n, since=since[n]):
            heappush(asks, (now + max(0.001, wait_s) + late[n] / 10, n))  # the worker waits a millisecond at least
            continue
        slots.release()
        inserted += 1
        slack_s = 0.02 * partitions + 0.02 + 2 / slots.pace.per_s
        assert now - since[n] - age_s <= max(1.0 * partitions, most_wait_s) + slack_s
        assert slots.pace.per_s < 1.01 or now - since[n] - age_s <= most_wait_s + slack_s
        since[n] = now
        heappush(asks, (now + age_s, n))
    assert inserted <= partitions + 61 * slots.pace.per_s


def test_one_that_is_gone_is_not_waited_for() -> None:
    slots = InsertSlots(2, Pace(1.0, 0.0), lambda: 0.0)
    slots.share(1)
    assert slots.acquire(full=False, of="a", since=1.0) == 0.0
    assert slots.acquire(full=False, of="gone", since=1.0) == 1.0
    assert slots.acquire(full=False, of="later", since=2.0) == 2.0
    slots.release_all()
    assert slots.acquire(full=False, of="later", since=2.0) == 1.0

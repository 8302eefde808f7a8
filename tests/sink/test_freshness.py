"""The freshness of a batch, computed from a sample of its rows, is that of all rows."""

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from enricher.contract import Event, encode_row
from sink.freshness import KEPT, MOST, sample, thinned
from sink.metrics import WeightedHistogram

GOLDEN = (Path(__file__).parents[1] / "contracts/event.jsonl").read_bytes().splitlines()


def row(received_ms: int) -> bytes:
    at = f"{received_ms // 1000}.{received_ms % 1000:03d}"
    return encode_row(Event("019aa0b1-c2d3-7e4f-8a9b-acbdcedfe0f1", "shop", "a.b:c-1", "tag", at, at, 1, url='"\\"'))


@given(st.lists(st.integers(0, 10**13), max_size=200).map(sorted))
def test_every_row_is_stood_for_once_by_one_near_it(received: list[int]) -> None:
    found = sample([row(each) for each in received])
    assert sum(rows for _, rows in found) == len(received)
    assert len(found) <= MOST
    first = 0
    for at, rows in found:
        assert received[first] <= round(at * 1000) <= received[first + rows - 1]
        first += rows


@given(st.lists(st.integers(1, 40), max_size=60))
def test_of_a_batch_that_comes_by_and_by_few_rows_stand_for_all(counts: list[int]) -> None:
    found: list[tuple[float, int]] = []
    number = 0
    for count in counts:
        found = thinned(found + sample([row(number + one) for one in range(count)]))
        number += count
    assert sum(rows for _, rows in found) == number
    assert len(found) <= KEPT
    first = 0
    for at, rows in found:
        assert round(at * 1000) == first or rows > 1
        assert first <= round(at * 1000) < first + rows
        first += rows


def test_a_batch_that_grows_for_long_keeps_its_age() -> None:
    """A thousand takes of 50 rows in 50 s, as behind an insert that hangs: nine rows in ten are older than 5 s."""
    found: list[tuple[float, int]] = []
    for take in range(1000):
        found = thinned(found + sample([row(take * 50 + one) for one in range(50)]))
    assert len(found) <= KEPT
    assert max(rows for _, rows in found) <= 50_000 / 16
    older = sum(rows for at, rows in found if at < 45.0)
    assert 0.87 <= older / 50_000 <= 0.93
    assert thinned([(float(at), 1) for at in range(KEPT + 1)])[:2] == [(0.0, 4), (4.0, 4)], "as old as the older"


def test_the_contracts_own_examples_are_read() -> None:
    for record in GOLDEN:
        assert sample([record]) == [(float(json.loads(record)[4]), 1)]


def test_broken_rows_are_left_out() -> None:
    assert sample([b"", b"[]\n", b'["a","b","c","d","soon"]\n', row(5000)]) == [(5.0, 1)]


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(1, 20)), max_size=20))
def test_weights_count_as_so_many_observations(observed: list[tuple[float, int]]) -> None:
    weighted, plain = (WeightedHistogram("x", "x", buckets=(1, 5, 10), registry=None) for _ in range(2))
    for amount, rows in observed:
        weighted.observe_rows(amount, rows)
        for _ in range(rows):
            plain.observe(amount)
    pairs = zip(next(iter(weighted.collect())).samples, next(iter(plain.collect())).samples, strict=True)
    for one, other in pairs:
        assert one.name.endswith("_created") or abs(one.value - other.value) <= 1e-6 * (1 + other.value)

"""Which days are due, and how they are put together."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sink.closed_days import BRIDGE, SHIFT, due, over_until, runs

D = [date(2026, 9, day) for day in range(1, 29)]
days = st.sets(st.sampled_from(D))


@pytest.mark.parametrize(
    ("now", "first_open"),
    [
        ("2026-09-03T00:59:59", date(2026, 9, 1)),
        ("2026-09-03T01:00:00", date(2026, 9, 2)),
        ("2026-09-03T23:59:59", date(2026, 9, 2)),
    ],
)
def test_a_day_is_over_an_hour_after_the_next_one(now: str, first_open: date) -> None:
    assert over_until(datetime.fromisoformat(now).replace(tzinfo=UTC)) == first_open


def test_new_days_and_changed_ones_are_due_and_fresh_changes_wait() -> None:
    closed = dict.fromkeys(D[:5], 1000 << SHIFT)
    changed = {D[1]: 999, D[2]: 1000, D[3]: 5000}
    assert due(closed, changed, [D[5]], D[10], 2000) == ({D[2], D[5], D[6]}, {D[3]})
    assert due(closed, changed, [D[5]], D[6], 2000) == ({D[2], D[5]}, {D[3]}), "the seventh is not over"
    assert due({}, {}, [], D[6], 2000) == (set(), set())


@given(wanted=days, events=st.dictionaries(st.sampled_from(D), st.integers(0, 9)), most=st.integers(1, 30))
def test_runs_hold_every_day_once_and_no_more_events_than_allowed(
    wanted: set[date], events: dict[date, int], most: int
) -> None:
    found = runs(wanted, events, most)
    held = [day for first, last in found for day in D if first <= day <= last]
    assert wanted <= set(held)
    assert len(held) == len(set(held))
    for first, last in found:
        assert {first, last} <= wanted
        assert first == last or sum(events.get(day, 0) for day in D if first <= day <= last) <= most


def test_a_few_days_between_are_closed_again_and_many_are_not() -> None:
    assert runs([D[0], D[14]], {}) == [(D[0], D[14])]
    assert BRIDGE.days == 14
    assert runs([D[0], D[15]], {}) == [(D[0], D[0]), (D[15], D[15])]
    assert runs([D[0], D[2]], {D[0]: 1, D[1]: 9, D[2]: 1}, 10) == [(D[0], D[0]), (D[2], D[2])]

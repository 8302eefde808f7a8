"""Schedules: arrivals follow the rate's integral with any number of senders."""

import itertools
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.traffic.schedule import SHAPES, Schedule, Stretch, arrivals, constant

stretches = st.lists(
    st.builds(
        Stretch,
        seconds=st.floats(0.1, 5),
        from_rate=st.floats(0, 200),
        to_rate=st.floats(0, 200),
    ),
    min_size=1,
    max_size=4,
).map(tuple)


def together(schedule: Schedule, senders: int) -> list[float]:
    return sorted(itertools.chain(*(arrivals(schedule, 1, sender, senders) for sender in range(senders))))


@given(stretches, st.integers(1, 4))
def test_senders_together_make_the_schedule(line: tuple[Stretch, ...], senders: int) -> None:
    alone, shared = together(Schedule(line), 1), together(Schedule(line), senders)
    assert shared == pytest.approx(alone)
    assert abs(len(alone) - Schedule(line).total()) <= 1


@given(stretches)
def test_moments_are_in_order_and_inside(line: tuple[Stretch, ...]) -> None:
    schedule = Schedule(line)
    moments = list(arrivals(schedule, 1))
    assert moments == sorted(moments)
    assert all(0 <= moment <= schedule.duration_s() * (1 + 1e-9) for moment in moments)


@given(stretches)
def test_the_nth_arrival_lies_where_the_integral_is_n(line: tuple[Stretch, ...]) -> None:
    for number, moment in enumerate(arrivals(Schedule(line), 1)):
        passed, left = 0.0, moment
        for stretch in line:
            inside = min(left, stretch.seconds)
            rate = stretch.from_rate + (stretch.to_rate - stretch.from_rate) * inside / stretch.seconds
            passed += inside * (stretch.from_rate + rate) / 2
            left -= inside
            if left <= 0:
                break
        assert passed == pytest.approx(number, abs=1e-3)


@pytest.mark.parametrize("senders", [1, 3])
def test_poisson_gaps_are_exponential(senders: int) -> None:
    moments = together(Schedule(constant(1_000, 20), poisson=True), senders)
    assert len(moments) == pytest.approx(20_000, rel=0.05)
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert statistics.fmean(gaps) == pytest.approx(0.001, rel=0.05)
    assert statistics.pstdev(gaps) == pytest.approx(0.001, rel=0.1)
    below = sum(gap < 0.001 for gap in gaps) / len(gaps)
    assert below == pytest.approx(1 - 1 / math.e, abs=0.02)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_reaches_its_rate_and_lasts_as_long_as_asked(shape: str) -> None:
    schedule = Schedule(SHAPES[shape](900, 9))
    assert schedule.duration_s() == pytest.approx(9)
    assert max(schedule.rate_at(second / 10) for second in range(90)) == pytest.approx(900, rel=0.02)


def test_the_bound_holds_for_each_number_of_senders() -> None:
    for senders in (1, 2, 3):
        assert len(together(Schedule(constant(1_000, 10), at_most=100), senders)) == 100

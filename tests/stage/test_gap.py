"""How many records are gone from a log."""

from hypothesis import given
from hypothesis import strategies as st

from stage.gap import UNKNOWN, lost

OFFSETS = st.integers(0, 2**62)


@given(OFFSETS, OFFSETS, OFFSETS)
def test_what_is_below_the_start_is_lost_and_nothing_else(expected: int, start: int, length: int) -> None:
    end = start + length
    found = lost(expected, start, end)
    if expected < start:
        assert found == start - expected
    elif expected <= end:
        assert found == 0
    else:
        assert found == UNKNOWN

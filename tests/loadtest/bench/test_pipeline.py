"""When does a rate hold: the trend under the saw of the sink's batches."""

from hypothesis import given
from hypothesis import strategies as st

from loadtest.bench.pipeline import growth_per_s


def saw(rate: float, growth: float, period_s: float, seconds: int = 30) -> list[tuple[float, float]]:
    """Return five times a second what waits, when a batch leaves each period and `growth` a second stays behind."""
    return [(n / 5, rate * (n / 5 % period_s) + growth * n / 5) for n in range(5 * seconds)]


@given(st.floats(10, 10_000), st.floats(-1, 1), st.floats(0.3, 2.5))
def test_the_saw_is_no_growth_and_growth_is_seen_under_it(rate: float, share: float, period_s: float) -> None:
    growth = growth_per_s(saw(rate, share * rate, period_s))
    assert abs(growth - share * rate) <= 0.03 * rate


def test_a_few_samples_show_no_trend() -> None:
    assert growth_per_s([(0.0, 0.0), (0.5, 900.0)]) == 0.0

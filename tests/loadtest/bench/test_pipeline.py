"""When does a rate hold: the trend under the saw of the sink's batches."""

from hypothesis import given
from hypothesis import strategies as st

from loadtest.bench.pipeline import growth_per_s


def saw(rate: float, growth: float, seconds: int = 12) -> list[tuple[float, float]]:
    """Return twice a second what waits, when a batch leaves each second and `growth` a second stays behind."""
    return [(n / 2, rate * (n % 2) / 2 + growth * n / 2) for n in range(2 * seconds)]


@given(st.floats(10, 10_000), st.floats(-1, 1))
def test_the_saw_is_no_growth_and_growth_is_seen_under_it(rate: float, share: float) -> None:
    growth = growth_per_s(saw(rate, share * rate))
    assert abs(growth - share * rate) <= 0.13 * abs(share) * rate + 1e-6


def test_a_few_samples_show_no_trend() -> None:
    assert growth_per_s([(0.0, 0.0), (0.5, 900.0)]) == 0.0

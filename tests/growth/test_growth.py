"""Every text step that a hit passes takes linear time: for any filler the cost grows no faster than the text."""

import pytest

from tests.growth.steps import MOST_GROWTH, growths, steps

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("step", steps())
def test_a_step_takes_linear_time(step: str) -> None:
    steep = [each for each in growths(step) if each.factor > MOST_GROWTH]
    again = {each.filler: each for each in growths(step)} if steep else {}  # a busy machine may disturb one of them
    assert [each for each in steep if again[each.filler].factor > MOST_GROWTH] == []


def test_quadratic_work_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(steps(), "quadratic", lambda text: [text[at:].count("x") for at in range(len(text))])
    assert max(each.factor for each in growths("quadratic")) > MOST_GROWTH

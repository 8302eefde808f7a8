"""The report: one page that needs nothing else, escapes what came from outside, and shows what was measured."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.report import html_page, plot, result
from tests.loadtest.report.samples import RESULT, TIMES, Page


def test_the_page_is_well_formed_and_needs_nothing_else() -> None:
    text = html_page.page(RESULT)
    page = Page(text)
    assert page.open == []
    assert page.loads == []
    assert "url(" not in text
    assert "@import" not in text
    assert page.seen.count("svg") == 7
    assert "script" not in page.seen


def test_nothing_from_outside_becomes_markup() -> None:
    text = html_page.page(RESULT)
    for raw in ("<b>&", "<script>alert", "<missing>", "<collector>", "<i>note", "<&>"):
        assert raw not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


@pytest.mark.parametrize(
    ("code", "audited", "word"),
    [
        (result.BROKEN, True, "BROKEN"),
        (result.BOTTLENECK, True, "BOTTLENECK"),
        (0, True, "CLEAN"),
        (0, False, "NOT AUD"),
    ],
)
def test_the_verdict_comes_first(code: int, audited: bool, word: str) -> None:
    one = msgspec.structs.replace(RESULT, exit_code=code, audit=RESULT.audit if audited else None)
    body = html_page.page(one).partition("<body>")[2]
    assert word in body[: body.index("tiles")]


def test_an_empty_run_still_makes_a_page() -> None:
    nothing = result.Times(count=0, mean_ms=0, percentiles_ms=dict.fromkeys(TIMES.percentiles_ms, 0.0))
    empty: dict[str, object] = {
        "seconds": [],
        "samples": [],
        "fresh": [],
        "faults": [],
        "errors": {},
        "audit": None,
        "freshness_s": {},
    }
    one = msgspec.structs.replace(RESULT, latency=nothing, service=nothing, **empty)
    assert Page(html_page.page(one)).open == []


numbers = st.floats(0, 1e12)


@given(st.lists(st.tuples(st.floats(0, 100), numbers), max_size=30), st.booleans())
def test_every_point_lies_inside_the_plot(points: list[tuple[float, float]], log: bool) -> None:
    svg = plot.plot([plot.Series("a", points, 1)], unit="ms", x_high=100, log=log)
    path = re.search(r'class="l1" d="M([^"]*)"', svg)
    for x, y in (pair.split(",") for pair in path[1].split("L")) if path else ():
        assert plot.LEFT - 0.1 <= float(x) <= plot.NARROW - plot.RIGHT + 0.1
        assert plot.TOP - 0.1 <= float(y) <= plot.HEIGHT - plot.BOTTOM + 0.1


@given(numbers, st.floats(1e-3, 1e9))
def test_ticks_are_few_and_round(low: float, span: float) -> None:
    ticks = plot.ticks(low, low + span)
    assert len(ticks) <= 12
    assert ticks == sorted(ticks)


def test_what_was_never_sent_and_what_came_late_is_told() -> None:
    text = html_page.page(msgspec.structs.replace(RESULT, never_sent=1_234, late=56, late_after_s=7, never_fresh=3))
    tiles = text[text.index('<div class="tiles"') : text.index('<div class="plots">')]
    assert re.search(r'class="tile bad"><b>1,234 <small></small></b><span>never sent', tiles)
    assert re.search(r'class="tile bad"><b>56 <small></small></b><span>later than 7 s', tiles)
    assert "never visible 3" in text


def test_seconds_in_which_nothing_was_answered_have_a_latency_all_the_same() -> None:
    """The worst seconds of all: every request was given up. They must not be a gap in the plot."""
    silent = [msgspec.structs.replace(second, answered=0) for second in RESULT.seconds]
    text = html_page.page(msgspec.structs.replace(RESULT, seconds=silent))
    plot_of_latency = text[text.index("Latency over time") : text.index("<h2>Rate")]
    assert len(re.findall(r'<path class="l\d" d="M[^"]*L', plot_of_latency)) == 4


def test_a_line_of_one_point_is_seen() -> None:
    svg = plot.plot([plot.Series("a", [(1.0, 2.0)], 1)], unit="s", x_high=2)
    assert svg.count("<circle") == 1


def test_no_line_crosses_a_label() -> None:
    svg = plot.plot([plot.Series("a", [(0.0, 1.0), (2.0, 2.0)], 1)], unit="s", x_high=2, marks=[(1.0, "kill sink")])
    assert svg.index("kill sink") > svg.index('class="l1"')

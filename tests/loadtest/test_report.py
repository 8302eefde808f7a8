"""The report: one page that needs nothing else, escapes what came from outside, and shows what was measured."""

import re
from html.parser import HTMLParser

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest import plot, report, result
from loadtest.audit import Audit
from loadtest.limit import search
from loadtest.measured import Second
from loadtest.soak import windows
from loadtest.watch import Fresh, Sample

TIMES = result.Times(count=9, mean_ms=1.0, percentiles_ms={f"{p:g}": 1.0 + p / 50 for p in result.PERCENTILES})
RESULT = result.Result(
    run="0badcafe",
    title="<b>& title",
    started_at=1_795_334_400,
    url="http://127.0.0.1:8080",
    profile="shop",
    schedule="constant",
    seed=1,
    lanes=1,
    connections=4,
    duration_s=3,
    requests=30,
    hits=40,
    answers_per_s=10,
    failed=2,
    gave_up=1,
    waited=1,
    errors={"<script>alert(1)</script>": 3},
    latency=TIMES,
    service=TIMES,
    driver_late=TIMES,
    driver_cpu=0.2,
    freshness_s={"p50": 1.0, "p90": 2.0, "p99": 3.0, "max": 4.0},
    never_fresh=0,
    audit=Audit(sent=40, accepted=38, stored=37, missing=1, examples=["lt0badcafe-00-00000001 <missing>"]),
    seconds=[Second(at=n, due=10, sent=10, answered=10, p50_ms=1, p90_ms=2, p99_ms=3, max_ms=9) for n in range(3)],
    samples=[Sample(at=1.0, values={"enricher lag": 5.0, "sink lag": 7.0, "spool bytes": 100.0})],
    fresh=[Fresh(0.5, 1.5)],
    faults=[(1.0, "kill <collector>")],
    notes=["<i>note</i>"],
    machine={"cpu": "x86 <&>"},
    broken=["1 accepted but missing"],
    bottleneck="",
    exit_code=result.BROKEN,
)


class Page(HTMLParser):
    """Collects tags and what a page would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "srcset")]
        if tag not in ("meta", "line", "path", "circle"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_needs_nothing_else() -> None:
    text = report.page(RESULT)
    page = Page(text)
    assert page.open == []
    assert page.loads == []
    assert "url(" not in text
    assert "@import" not in text
    assert page.seen.count("svg") == 7
    assert "script" not in page.seen


def test_nothing_from_outside_becomes_markup() -> None:
    text = report.page(RESULT)
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
    body = report.page(one).partition("<body>")[2]
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
    assert Page(report.page(one)).open == []


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


@given(st.floats(100, 50_000), st.floats(200, 1_000))
def test_the_knee_is_found_between_what_holds_and_what_breaks(knee: float, first: float) -> None:
    tried: list[float] = []

    def holds(rate: float) -> bool:
        tried.append(rate)
        return rate <= knee

    found = search(first, 1e6, holds)
    assert found.holds <= knee < found.breaks
    assert found.holds == 0 or found.breaks / found.holds <= 1.07 or found.holds < first
    assert len(tried) < 30


def test_the_search_ends_where_the_driver_gives_out() -> None:
    found = search(100, 1e6, lambda rate: None if rate > 1_000 else True)
    assert 600 < found.holds <= 1_000
    assert found.breaks == float("inf")


def test_a_soak_is_cut_into_windows() -> None:
    assert windows(100, 30) == [30, 30, 30, 10]
    assert windows(60, 30) == [30, 30]
    assert windows(10, 30) == [10]

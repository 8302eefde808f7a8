"""The report of many runs: all of them are shown, not the last one alone, and nothing from outside becomes markup."""

import re

import msgspec
import pytest

from loadtest.report import overview, result
from loadtest.report.search import Knee, SearchResult, StepOutcome
from tests.loadtest.report.samples import RESULT, Page, search, windows

_PLOT = r"<h2>{}</h2>.*?</section>"


def plotted(page: str, heading: str) -> str:
    found = re.search(_PLOT.format(re.escape(heading)), page, re.DOTALL)
    assert found, heading
    return found[0]


def test_a_search_shows_every_step_over_its_rate_and_the_knee() -> None:
    found = search()
    page = overview.of_search("Load test", found)
    assert Page(page).open == []
    assert Page(page).loads == []
    for heading in ("Latency over rate", "Loss over rate"):
        plot = plotted(page, heading)
        assert plot.count("<circle") == len(found.steps) * plot.count('<path class="l')
        assert plot.count('<line class="mark"') == 2
    assert "holds 1,266/s" in plotted(page, "Latency over rate")
    table = plotted(page, "Steps, as they came")
    assert re.findall(r"<td>([\d,]+)/s</td>", table) == ["500", "750", "1,125", "1,688", "1,406", "1,266"]
    assert table.count("<td>breaks</td>") == 2
    assert "run 00000005" in page, "the details are those of the highest rate that held"


def test_the_points_of_a_search_stand_where_their_rates_are() -> None:
    """They come in another order than their rates: a line in the order of coming would run back and forth."""
    plot = plotted(overview.of_search("Load test", search()), "Loss over rate")
    path = re.search(r'class="l3" d="M([^"]*)"', plot)
    assert path
    across = [float(pair.split(",")[0]) for pair in path[1].split("L")]
    assert across == sorted(across)
    down = [float(pair.split(",")[1]) for pair in path[1].split("L")]
    assert down[-1] < down[0], "the highest rate lost the most"


@pytest.mark.parametrize("outcome", ["driver gave out", "stopped"])
def test_a_search_of_one_step_has_a_page_too(outcome: StepOutcome) -> None:
    one = msgspec.structs.replace(RESULT, exit_code=result.BOTTLENECK, bottleneck="full", audit=None)
    page = overview.of_search("Load test", SearchResult([one], [500], [outcome], Knee(0, float("inf"), 500)))
    assert Page(page).open == []
    assert "BOTTLENECK" in page[: page.index('<div class="plots">')]


def test_a_soak_shows_every_window_over_time() -> None:
    four = windows(4)
    page = overview.of_windows("Soak", four)
    assert Page(page).open == []
    assert Page(page).loads == []
    for heading in ("Latency over the windows", "Rate", "Freshness"):
        plot = plotted(page, heading)
        assert plot.count("<circle") == 4 * plot.count('<path class="l')
    memory = plotted(page, "Memory")
    assert memory.count('<path class="l') == 2, "of the collector and the sink; the enricher was not seen"
    table = plotted(page, "Windows")
    assert re.findall(r"<td>(\d+) s</td>", table) == ["0", "10", "20", "30"]
    assert re.findall(r"<td>(\d+ MB)</td>", table) == ["70 MB", "110 MB", "150 MB", "190 MB"]
    assert table.count("<tr class=bad>") == 1
    assert "Soak: window 4 of 4: 1 accepted but missing" in page[: page.index('<div class="plots">')]


def test_a_soak_without_a_runner_has_no_plot_of_memory() -> None:
    page = overview.of_windows("Soak", [msgspec.structs.replace(one, samples=[]) for one in windows(2)])
    assert "<h2>Memory" not in page


def test_nothing_from_outside_becomes_markup() -> None:
    page = overview.of_windows(
        "<b>&", [msgspec.structs.replace(one, title="<i>t", broken=["<u>w"]) for one in windows(2)]
    )
    for raw in ("<b>&", "<i>t", "<u>w"):
        assert raw not in page

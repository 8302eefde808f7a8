"""The search for the limit: its arithmetic, what ends it, and the whole of it in miniature."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from loadtest import __main__ as command
from loadtest import arguments, limit, run
from loadtest.drive import driver
from loadtest.limit import search
from loadtest.report import result
from loadtest.report.search import SearchResult, StepOutcome
from loadtest.traffic import schedule
from tests.loadtest.faulty import Collector, running, settings
from tests.loadtest.report.samples import RESULT

ROOT = Path(__file__).parents[2]
INFINITE = float("inf")


@given(st.floats(100, 50_000), st.floats(200, 1_000))
def test_the_knee_is_found_between_what_holds_and_what_breaks(knee: float, first: float) -> None:
    tried: list[float] = []

    def attempt(rate: float) -> StepOutcome:
        tried.append(rate)
        return "holds" if rate <= knee else "breaks"

    found = search(first, 1e6, attempt)
    assert found.holds <= knee < found.breaks
    assert found.holds == 0 or found.breaks / found.holds <= 1.07 or found.holds < first
    assert len(tried) < 30


def test_the_search_ends_where_the_driver_gives_out() -> None:
    found = search(100, 1e6, lambda rate: "driver gave out" if rate > 1_000 else "holds")
    assert 600 < found.holds <= 1_000
    assert found.breaks == INFINITE
    assert found.gave_out == pytest.approx(found.holds * limit.FACTOR)


def test_a_driver_that_gives_out_while_narrowing_is_no_target_that_breaks() -> None:
    """Steps 100, 150, 225 break; at 187.5 the driver gives out: nothing is known of the target between 150 and 225."""
    tried: list[float] = []

    def attempt(rate: float) -> StepOutcome:
        tried.append(rate)
        return "breaks" if rate == 225 else "driver gave out" if rate > 150 else "holds"

    found = search(100, 1e6, attempt)
    assert (found.holds, found.breaks, found.gave_out) == (150, 225, 187.5)
    assert tried[-1] == 187.5
    assert "not the target's knee" in str(found)


def test_the_highest_rate_is_tried_and_not_passed() -> None:
    tried: list[float] = []
    found = search(100, 200, lambda rate: tried.append(rate) or "holds")  # type: ignore[func-returns-value]
    assert tried == [100, 150, 200]
    assert (found.holds, found.breaks) == (200, INFINITE)
    assert "not reached" in str(found)


def test_no_ceiling_stands_in_the_way_by_default() -> None:
    """The search finds a target that breaks at a million a second: no default of another command bounds it."""
    given_ = arguments.parser().parse_args(["find-limit"])
    found = search(given_.rate, given_.to_rate, lambda rate: "holds" if rate < 1e6 else "breaks")
    assert found.holds > 900_000
    with pytest.raises(SystemExit):
        arguments.parser().parse_args(["find-limit", "--rate", "1000"])


def made_up(of: Callable[[float], dict[str, object]]) -> Callable[..., result.Result]:
    """Return a replacement of `run.watched`: the result of a run without a run, by its rate."""

    def watched(asked: run.RunSettings, *_: object, **__: object) -> result.Result:
        rate = asked.schedule.rate_at(0)
        plain = {"broken": [], "exit_code": result.CLEAN, "audit": None, "title": asked.title}
        return msgspec.structs.replace(RESULT, **(plain | {"requests": int(rate), "never_sent": 0} | of(rate)))

    return watched


def find(at_most: int = 2**62, within_s: float = 3600, first: float = 100) -> SearchResult:
    bounded = schedule.Schedule(schedule.constant(1, 1), at_most=at_most)
    asked = settings("http://127.0.0.1:1", schedule=bounded)
    return limit.find(asked, None, Console(quiet=True), first=first, step_s=1, within_s=within_s)


def test_ctrl_c_ends_the_search_and_not_only_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "watched", made_up(lambda rate: {"stopped_early": rate > 200}))
    found = find()
    assert found.rates == [100, 150, 225]
    assert found.outcomes == ["holds", "holds", "stopped"]
    assert (found.knee.holds, found.knee.breaks) == (150, INFINITE)
    assert found.best() is found.steps[1]


def test_ctrl_c_between_steps_still_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_hand(rate: float) -> dict[str, object]:
        if rate > 200:
            raise KeyboardInterrupt
        return {}

    monkeypatch.setattr(run, "watched", made_up(by_hand))
    assert find().rates == [100, 150]


def test_ctrl_c_while_a_step_is_told_still_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "watched", made_up(lambda rate: {}))
    console, told = Console(quiet=True), iter([None, KeyboardInterrupt()])

    def show(*_: object, **__: object) -> None:
        if problem := next(told, None):
            raise problem

    monkeypatch.setattr(console, "print", show)
    found = limit.find(settings("http://127.0.0.1:1"), None, console, first=100, step_s=1, within_s=60)
    assert found.rates == [100, 150]
    assert found.knee.holds == 150


def test_a_driver_that_gives_out_while_narrowing_makes_the_exit_code_3(monkeypatch: pytest.MonkeyPatch) -> None:
    def narrow(rate: float) -> dict[str, object]:
        if rate == 225:
            return {"exit_code": result.BROKEN, "broken": ["p99"]}
        return {"exit_code": result.BOTTLENECK, "bottleneck": "full"} if rate > 150 else {}

    monkeypatch.setattr(run, "watched", made_up(narrow))
    found = find()
    assert found.outcomes == ["holds", "holds", "breaks", "driver gave out"]
    assert result.worst_exit_code(found.steps) == result.BOTTLENECK


def test_a_target_that_does_not_even_bear_the_first_rates_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    breaks = {"exit_code": result.BROKEN, "broken": ["p99"]}
    monkeypatch.setattr(run, "watched", made_up(lambda rate: breaks))
    found = find()
    assert found.knee.holds == 0
    assert result.worst_exit_code(found.steps) == result.BROKEN
    assert "not even 12/s" in found.steps[-1].broken[-1]


def test_a_target_that_is_gone_ends_the_search_and_fails_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(rate: float) -> dict[str, object]:
        if rate > 200:
            raise driver.TargetUnreachable("the target is not there")
        return {}

    monkeypatch.setattr(run, "watched", made_up(gone))
    found = find()
    assert found.rates == [100, 150]
    assert result.worst_exit_code(found.steps) == result.BROKEN
    assert "225/s" in found.steps[-1].broken[-1]
    with pytest.raises(driver.TargetUnreachable):
        find(first=300)


def test_bounds_on_requests_and_time_end_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "watched", made_up(lambda rate: {}))
    assert find(at_most=250).rates == [100, 150]
    assert find(within_s=0.5).rates == [100], "the first step is always taken"


def test_the_limit_of_a_collector_that_has_one(tmp_path: Path) -> None:
    """It bears 300 requests a run: a step of half a second at 400/s and at 600/s holds, more does not."""
    collector = Collector()
    collector.most_a_run = 300
    with running(collector) as url:
        steps = ["--from", "400", "--step-seconds", "0.5", "--profile", "pixel", "--connections", "8"]
        limits = ["--max-p99-ms", "60000", "--late-bound-ms", "60000"]
        files = ["--json", str(tmp_path / "l.json"), "--html", str(tmp_path / "l.html")]
        code = command.main(["find-limit", "--url", url, *steps, *limits, *files])
    assert code == result.CLEAN
    done = msgspec.json.decode((tmp_path / "l.json").read_bytes(), type=list[result.Result])
    rates = [round(step.requests / step.duration_s) for step in done]
    assert rates[:3] == [400, 600, 900]
    assert len(rates) == 3 + limit.NARROWINGS
    assert [step.failed > 0 for step in done] == [rate > 600 for rate in rates]
    text = (tmp_path / "l.html").read_text()
    assert "holds 600/s" in text
    assert "limit at 600/s" in text, "the details are those of the highest rate that held"


def test_ctrl_c_ends_the_whole_search_and_reports_it(tmp_path: Path) -> None:
    with running(Collector()) as url:
        argv = [sys.executable, "-m", "loadtest", "find-limit", "--url", url, "--from", "50", "--step-seconds", "1"]
        more = ["--profile", "pixel", "--connections", "4", "--json", str(tmp_path / "l.json"), "--max-p99-ms", "60000"]
        with subprocess.Popen([*argv, *more, "--late-bound-ms", "60000"], cwd=ROOT, stderr=subprocess.PIPE) as search_:
            assert search_.stderr
            first = next(line for line in search_.stderr if b"/s" in line)
            search_.send_signal(signal.SIGINT)
            rest = search_.stderr.read()
            code = search_.wait(60)
    assert b"50/s" in first
    assert b"holds 50/s; where it breaks was not reached" in rest
    assert b"Traceback" not in rest
    assert code == result.CLEAN
    done = msgspec.json.decode((tmp_path / "l.json").read_bytes(), type=list[result.Result])
    assert len(done) <= 2

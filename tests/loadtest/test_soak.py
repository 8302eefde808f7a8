"""The soak: how it is cut, what ends it, and the whole of it in miniature."""

from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from loadtest import __main__ as command
from loadtest import run, soak
from loadtest.drive import driver
from loadtest.report import result
from loadtest.traffic import schedule
from tests.loadtest.faulty import Collector, running, settings

THREE = schedule.Schedule(schedule.constant(100, 1.5))


def test_a_soak_is_cut_into_windows() -> None:
    assert soak.windows(100, 30) == [30, 30, 30, 10]
    assert soak.windows(60, 30) == [30, 30]
    assert soak.windows(10, 30) == [10]


@pytest.mark.system
def test_each_window_is_audited_on_its_own() -> None:
    collector = Collector()
    with running(collector) as url:
        done = soak.run(settings(url, schedule=THREE), collector, Console(quiet=True), 0.5)
    assert [one.requests for one in done] == [50, 50, 50]
    assert all(one.audit and one.audit.stored == one.audit.accepted > 0 for one in done)
    assert all(one.broken == [] for one in done)
    assert len({one.run for one in done}) == 3


@pytest.mark.system
def test_a_broken_window_ends_it() -> None:
    collector = Collector()
    collector.forget_every = 70
    with running(collector) as url:
        asked = settings(url, schedule=THREE, profile="pixel")
        done = soak.run(asked, collector, Console(quiet=True), 0.5)
    assert [one.exit_code == result.BROKEN for one in done] == [False, True]
    assert done[1].audit
    assert done[1].audit.missing == 1


@pytest.mark.system
def test_the_bound_on_requests_is_one_for_all_windows() -> None:
    collector = Collector()
    bounded = schedule.Schedule(schedule.constant(100, 1.5), at_most=70)
    with running(collector) as url:
        done = soak.run(settings(url, schedule=bounded), None, Console(quiet=True), 0.5)
    assert [one.requests for one in done] == [50, 20]


@pytest.mark.system
@pytest.mark.parametrize("ends", [driver.TargetUnreachable("no"), KeyboardInterrupt()])
def test_what_was_measured_is_reported_when_the_target_goes_or_by_ctrl_c(
    ends: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run.watched
    taken: list[run.RunSettings] = []

    def watched(asked: run.RunSettings, store: None, console: Console, senders: driver.Senders) -> result.Result:
        taken.append(asked)
        if len(taken) == 2:
            raise ends
        return whole(asked, store, console, senders=senders)

    monkeypatch.setattr(run, "watched", watched)
    with running(Collector()) as url:
        done = soak.run(settings(url, schedule=THREE), None, Console(quiet=True), 0.5)
    assert len(done) == 1
    gone = isinstance(ends, driver.TargetUnreachable)
    assert [text.startswith("gone when window 2 began") for text in done[0].broken] == [True] * gone
    assert (done[0].exit_code == result.BROKEN) == gone


@pytest.mark.system
def test_the_command_line_end_to_end(tmp_path: Path) -> None:
    with running(Collector()) as url:
        how = ["--rate", "100", "--duration", "2", "--window", "1", "--connections", "4", "--late-bound-ms", "60000"]
        files = ["--json", str(tmp_path / "s.json"), "--html", str(tmp_path / "s.html")]
        code = command.main(["soak", "--url", url, "--profile", "pixel", *how, *files])
    assert code in (result.CLEAN, result.BOTTLENECK)
    done = msgspec.json.decode((tmp_path / "s.json").read_bytes(), type=list[result.Result])
    assert [one.requests for one in done] == [100, 100]
    text = (tmp_path / "s.html").read_text()
    assert "over 2 windows" in text
    assert "window 2 of 2" in text

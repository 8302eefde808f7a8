"""Self-tests: each misbehaviour of a collector is caught, with the right number; a good one is called clean.

Long, because it is a list: the misbehaviours.
"""

import multiprocessing
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from loadtest import __main__ as command
from loadtest import limit, run
from loadtest.check.freshness import Monitor
from loadtest.check.stored_hits import StoreUnavailable
from loadtest.drive import driver
from loadtest.drive.measurements import Measurements
from loadtest.drive.plan import Interval, Plan, Target
from loadtest.report import progress, result
from loadtest.traffic import profiles, schedule
from tests.loadtest.faulty import SCALE, Collector, ran, running, settings

BUSY_MS = 1_500
"""What other work on the machine may add to a latency; drive/test_sender.py checks the arithmetic without a machine."""
RATE, SECONDS = 1_000, 1 * SCALE


THREE_THOUSAND = schedule.Schedule(schedule.constant(2 * RATE, 1.5 * SCALE))


def outcome(collector: Collector, **changes: object) -> result.Result:
    with running(collector) as url:
        return ran(settings(url, **changes), collector)


def test_a_good_collector_is_clean() -> None:
    collector = Collector()
    done = outcome(collector)
    assert done.audit
    assert done.requests == RATE * SECONDS
    assert done.audit.accepted == done.audit.stored == sum(collector.kept.values()) > RATE * SECONDS
    assert done.audit.refused > 0
    assert done.broken == []
    assert done.exit_code in (result.CLEAN, result.BOTTLENECK)  # the second on a machine that does other work too
    assert done.freshness_s.keys() == {"p50", "p90", "p99", "max"}
    assert done.never_fresh == 0
    assert done.latency.count == done.requests
    assert collector.connections > 16  # churn


def test_a_cookie_once_set_comes_back() -> None:
    collector = Collector()
    outcome(collector, profile="campaign-spike")
    ours = {cookie for cookie in collector.cookies if cookie.startswith(b"0000000000000000")}
    assert len(ours) > 20, "no cookie that the collector set came back"


def test_one_in_a_thousand_answered_and_forgotten_is_missing() -> None:
    collector = Collector()
    collector.forget_every = 1_000
    done = outcome(collector, schedule=THREE_THOUSAND)
    assert done.audit
    assert done.audit.missing == collector.forgotten == (done.audit.accepted // 1_000)
    assert collector.forgotten >= 3
    assert done.exit_code == result.BROKEN
    assert f"{collector.forgotten:,} accepted but missing" in done.broken
    assert any("accepted but missing" in example for example in done.audit.examples)


def test_a_collector_that_forgets_everything_is_caught() -> None:
    collector = Collector()
    collector.forget_every = 1
    done = outcome(collector)
    assert done.audit
    assert done.audit.missing == done.audit.accepted > 0
    assert done.exit_code == result.BROKEN


def test_a_doubled_hit_is_seen() -> None:
    collector = Collector()
    collector.double_every = 500
    done = outcome(collector)
    assert done.audit
    assert done.audit.doubled == collector.doubled > 0
    assert done.audit.missing == 0
    assert done.exit_code == result.BROKEN


def test_repeats_below_the_view_are_told_and_forgiven() -> None:
    collector = Collector()
    collector.log_repeats = 7
    done = outcome(collector)
    assert done.audit
    assert done.audit.repeats == 7
    assert done.broken == []


@pytest.mark.parametrize("how", ["the connection is cut", "no answer comes"])
def test_one_in_a_thousand_dropped_is_unanswered_and_may_be_stored(how: str) -> None:
    """Of 3,000 requests three; one in two of them is kept before it is dropped: the numbers are right."""
    collector = Collector()
    collector.cut_every, collector.mute = 1_000, how == "no answer comes"
    limits = result.Thresholds(max_failed_percent=0.09, late_bound_ms=60_000)
    with running(collector) as url:
        target = driver.target_of(url, connections=64, timeout_s=0.5 if collector.mute else 5)
        asked = settings(url, target=target, profile="pixel", schedule=THREE_THOUSAND, limits=limits)
        done = ran(asked, collector)
    dropped = done.requests // 1_000
    assert done.audit
    assert done.audit.unanswered == collector.cut == done.failed == dropped > 0
    assert done.audit.unanswered_stored == collector.cut_kept == (dropped + 1) // 2
    assert done.audit.missing == done.audit.doubled == 0
    assert done.audit.accepted == done.audit.stored == done.requests - dropped
    assert all("failed or were not answered" in text for text in done.broken), (
        "nothing is lost; only the threshold broke"
    )
    assert done.broken or done.bottleneck
    assert sum(count for text, count in done.errors.items() if how_told(collector.mute) in text) == dropped


def how_told(mute: bool) -> str:
    return "timeout" if mute else "no answer"


def test_wrong_refusals_are_counted() -> None:
    collector = Collector()
    collector.refuse_every = 400
    done = outcome(collector, profile="pixel")
    assert done.audit
    assert done.audit.wrongly_refused == RATE * SECONDS // 400
    assert done.exit_code == result.BROKEN
    assert "pixel: 200 refused; bad_event" in done.errors


def test_a_refused_hit_that_is_stored_is_caught() -> None:
    collector = Collector()
    collector.keep_refused = True
    done = outcome(collector)
    assert done.audit
    assert done.audit.refused_but_stored == collector.refused_kept > 0
    assert done.exit_code == result.BROKEN


def test_unavailable_is_a_failure_and_a_threshold() -> None:
    collector = Collector()
    collector.fail_every = 100
    limits = result.Thresholds(max_failed_percent=0.5, late_bound_ms=60_000)
    done = outcome(collector, profile="pixel", limits=limits)
    assert done.failed == RATE * SECONDS // 100
    assert any("failed or were not answered" in text for text in done.broken) or done.bottleneck


def test_a_stall_of_one_second_shows_as_arithmetic_says() -> None:
    """With requests every millisecond, a second's stall delays a thousand of them, by 1,000 ms down to 0.

    So of n requests the share above x ms (x < 1,000) is (1,000 - x) / n: the percentiles follow. A closed loop would
    have seen one slow answer a connection: 16.
    """
    collector = Collector()
    collector.stall = (200, 1.0)
    done = outcome(collector, profile="pixel", schedule=schedule.Schedule(schedule.constant(RATE, 4)))
    total = done.requests
    assert total == 4 * RATE
    for percentile in (75.0, 90.0, 95.0, 99.0):
        expected_ms = max(0.0, 1_000 - total * (1 - percentile / 100))
        # Never earlier than arithmetic says; later by what the machine's other work adds, to the stall and after it.
        assert done.latency.at(percentile) >= expected_ms - 15, percentile
        more_ms = 1_000 * (collector.stalled_s - 1)
        assert done.latency.at(percentile) <= expected_ms + more_ms + BUSY_MS, percentile
    slow_closed = sum(1 for value in (50.0, 75.0, 90.0, 95.0, 99.0) if done.service.at(value) > 900)
    assert slow_closed == 0, "a closed loop's view hides the stall: that is why it is not ours"


def test_two_senders_share_one_schedule() -> None:
    collector = Collector()
    done = outcome(collector, senders=2)
    assert done.requests == RATE * SECONDS
    assert {sender for _, sender, _ in collector.kept} == {0, 1}
    assert done.broken == []


class Impatient(progress.Observer):
    """Presses Ctrl-C once, when some answers are there."""

    def __init__(self) -> None:
        self.pressed = False

    def driving(self, measured: Measurements, watch: Monitor) -> None:
        if not self.pressed and measured.latency.get_total_count() > 100:
            self.pressed = True
            raise KeyboardInterrupt


def test_ctrl_c_still_audits_what_was_sent() -> None:
    collector = Collector()
    collector.forget_every = 50
    with running(collector) as url:
        long = schedule.Schedule(schedule.constant(300, 600))
        done = ran(settings(url, schedule=long), collector, Impatient())
    assert done.stopped_early
    assert done.audit
    assert 100 < done.requests < 300 * 600
    assert done.audit.missing == collector.forgotten > 0
    assert done.exit_code == result.BROKEN


def test_the_bound_on_requests_holds() -> None:
    collector = Collector()
    bounded = schedule.Schedule(schedule.constant(RATE, SECONDS), at_most=123)
    assert outcome(collector, schedule=bounded, senders=2).requests == 123


def test_it_says_when_the_driver_was_the_bottleneck() -> None:
    measured = _measured_late(late_us=8_000)
    assert "late" in measured.bottleneck(5.0)
    assert measured.bottleneck(9.0) == ""
    assert result.exit_code([], [], "late") == result.BOTTLENECK
    assert result.exit_code(["missing"], [], "late") == result.BROKEN
    assert result.exit_code([], ["p99"], "late") == result.BOTTLENECK
    assert result.exit_code([], ["p99"], "") == result.BROKEN
    assert result.exit_code([], [], "") == result.CLEAN


def _measured_late(late_us: int) -> driver.DriveResult:
    plan = Plan(
        target=Target(host="127.0.0.1", port=1),
        surface=profiles.Surface(),
        schedule=schedule.Schedule(schedule.constant(1, 1)),
        run="00000000",
    )
    measured = Measurements(plan.schedule, 1, 0.0)
    cut = Interval()
    cut.until = 0.5
    cut.late.extend([late_us] * 100)
    measured.add(0, cut)
    return driver.DriveResult(plan=plan, started_at=0, totals=[], measured=measured)


@pytest.mark.parametrize("url", ["http://192.0.2.1:8080", "http://[2001:db8::1]/", "https://203.0.113.9"])
def test_a_target_elsewhere_is_refused_unless_it_is_named_as_ones_own(url: str) -> None:
    with pytest.raises(driver.ForeignTarget, match="--i-own-this-target"):
        driver.target_of(url)
    with pytest.raises(driver.ForeignTarget):
        driver.target_of(url, owned="example.org")
    assert driver.target_of(url, owned=urlsplit(url).hostname or "").host in url
    assert command.main(["run", "--url", url]) == 2


def test_the_command_line_end_to_end(tmp_path: Path) -> None:
    collector = Collector()
    with running(collector) as url:
        arguments = ["--rate", "300", "--duration", "1", "--connections", "4", "--late-bound-ms", "60000"]
        files = ["--json", str(tmp_path / "r.json"), "--html", str(tmp_path / "r.html")]
        code = command.main(["run", "--url", url, "--profile", "pixel", *arguments, *files])
    assert code in (result.CLEAN, result.BOTTLENECK)
    again = msgspec.json.decode((tmp_path / "r.json").read_bytes(), type=result.Result)
    assert again.requests == 300
    assert "<svg" in (tmp_path / "r.html").read_text()


def test_a_target_that_is_not_there_is_told_by_its_exit_code(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # taken, and not listening: connections are refused
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        arguments = ["--rate", "20", "--duration", "1", "--timeout", "0.3", "--connections", "4", "--profile", "pixel"]
        assert command.main(["run", "--url", url, *arguments]) == 2
    told = capfd.readouterr().err
    assert "is not there" in told
    assert "Traceback" not in told
    assert "never retrieved" not in told


def test_a_collector_that_falls_silent_cannot_hide_what_was_due() -> None:
    """Of 600 requests, one in two has no answer: the connections hang, and the others wait for one in vain."""
    collector = Collector()
    collector.silent_after = 300
    limits = result.Thresholds(max_failed_percent=40, max_p99_ms=900, late_bound_ms=60_000)
    with running(collector) as url:
        target = driver.target_of(url, connections=8, churn=0, timeout_s=1)
        asked = settings(url, target=target, profile="pixel", limits=limits)
        asked = msgspec.structs.replace(asked, schedule=schedule.Schedule(schedule.constant(600, 1)))
        done = ran(asked, collector)
    assert done.requests + done.never_sent == done.latency.count == 600
    assert done.failed + done.never_sent == 300
    assert done.never_sent > 200, "so many had no connection"
    assert sum(second.failed for second in done.seconds) == 300
    assert done.latency.at(75.0) >= 900, "one in two was given up after a second or more"
    assert sum("50.000 % failed or were not answered" in text or "p99" in text for text in done.broken) == 2


def test_a_collector_that_never_answers_is_broken_whatever_was_demanded() -> None:
    collector = Collector()
    collector.mute, collector.cut_every = True, 1
    with running(collector) as url:
        target = driver.target_of(url, connections=8, churn=0, timeout_s=0.3)
        asked = settings(url, target=target, profile="pixel", schedule=schedule.Schedule(schedule.constant(50, 1)))
        done = ran(asked, collector)
    assert done.broken == ["not one of 50 requests was answered"]
    assert done.exit_code == result.BROKEN


class Unsettled(progress.Observer):
    """Presses Ctrl-C while the pipeline comes to rest."""

    def settling(self, visible: int, accepted: int) -> None:
        raise KeyboardInterrupt


def test_ctrl_c_while_settling_still_audits_what_was_sent() -> None:
    collector = Collector()
    collector.forget_every = 50
    with running(collector) as url:
        done = ran(settings(url), collector, Unsettled())
    assert done.stopped_early
    assert done.audit
    assert done.audit.missing == collector.forgotten > 0
    assert done.audit.stored == done.audit.accepted - done.audit.missing
    assert "stopped by hand while settling" in done.notes[0]


class Gone(Collector):
    """Its storage is away when it comes to the audit."""

    def rows(self, run: str, since: float, *, log: bool) -> Iterable[tuple[int, int]]:
        raise StoreUnavailable("connection refused")


def test_a_run_that_cannot_be_audited_is_told_all_the_same_and_broken() -> None:
    done = outcome(Gone())
    assert done.audit is None
    assert done.broken == ["not audited: connection refused"]
    assert done.exit_code == result.BROKEN
    assert done.requests == done.latency.count == RATE * SECONDS
    limit.outcome_of(done)
    assert done.exit_code == result.BROKEN, "nor does the search for a limit pass over it"


def test_late_ones_are_counted_and_break_a_threshold() -> None:
    collector = Collector()
    collector.show_after_s = 0.6
    few = schedule.Schedule(schedule.constant(100, 1))
    patient = result.Thresholds(late_after_s=60, max_late_percent=0, late_bound_ms=60_000)
    done = outcome(collector, schedule=few, limits=patient, settle_s=1.0)
    assert done.fresh
    assert (done.late, done.broken) == (0, [])
    strict = result.Thresholds(late_after_s=0.5, max_late_percent=10, late_bound_ms=60_000)
    again = Collector()
    again.show_after_s = 0.6
    done = outcome(again, schedule=few, limits=strict, settle_s=1.0)
    followed = len(done.fresh) + done.never_fresh
    assert done.late == followed > 0
    assert done.broken == [f"{followed} of {followed} followed hits were later than 0.5 s: 100.00 %, above 10 %"]
    assert done.exit_code in (result.BROKEN, result.BOTTLENECK)


def test_hits_that_never_show_count_as_slow_ones() -> None:
    """Were only those counted that have become visible, freshness would be best when the worst are lost."""
    collector = Collector()
    collector.show_after_s = 3600
    done = outcome(collector, schedule=schedule.Schedule(schedule.constant(100, 1)), settle_s=1.0)
    assert done.fresh == []
    assert done.never_fresh > 0
    assert done.freshness_s["p50"] > 0.9, "looked for at least while it settled"


def test_the_command_line_knows_late_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collector = Collector()
    collector.show_after_s = 0.6
    monkeypatch.setattr(command, "ClickHouse", lambda url: collector)
    with running(collector) as url:
        arguments = ["--rate", "100", "--duration", "1", "--connections", "4", "--late-bound-ms", "60000"]
        demands = ["--late-after-s", "0.5", "--max-late-percent", "10", "--clickhouse", "http://a", "--settle", "1"]
        file = tmp_path / "r.json"
        code = command.main(["run", "--url", url, "--json", str(file), *arguments, *demands])
    assert code in (result.BROKEN, result.BOTTLENECK)
    again = msgspec.json.decode(file.read_bytes(), type=result.Result)
    assert again.late == len(again.fresh) + again.never_fresh > 0
    assert again.late_after_s == 0.5


@pytest.mark.parametrize("heard", ["nothing", "the plan"])
def test_a_sender_whose_parent_is_gone_before_the_start_ends_without_a_word(heard: str) -> None:
    """So it is when Ctrl-C comes while senders are opening their connections."""
    ours, theirs = multiprocessing.Pipe()
    with running(Collector()) as url:
        plan = Plan(
            target=driver.target_of(url, connections=2),
            surface=profiles.Surface(),
            schedule=schedule.Schedule(schedule.constant(1, 1)),
            run="00000000",
            pool=10,
        )
        argv = [sys.executable, "-m", "loadtest.drive.sender_process", str(theirs.fileno())]
        root = Path(driver.__file__).parents[2]
        with subprocess.Popen(argv, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE, cwd=root) as sender:
            theirs.close()
            if heard == "the plan":
                ours.send((plan, 0))
            ours.close()
            assert sender.communicate(timeout=60)[1] == b""
            assert sender.returncode == 0


def test_one_driver_process_serves_run_after_run_and_a_lost_one_is_replaced() -> None:
    collector = Collector()
    few = schedule.Schedule(schedule.constant(200, 0.2))
    with running(collector) as url, driver.Senders() as senders:
        asked = settings(url, schedule=few)
        first, second = (run.run(asked, collector, progress.Observer(), senders=senders) for _ in range(2))
        ((process, _),) = senders._idle
        assert {first.run, second.run} == {hit[0] for hit in collector.kept}
        assert first.audit
        assert second.audit
        assert first.audit.missing == second.audit.missing == second.audit.unknown == 0
        process.kill()
        process.wait()
        third = run.run(asked, collector, progress.Observer(), senders=senders)
        assert third.requests == 40
        assert senders._idle[0][0] is not process
    assert not senders._idle

"""Self-tests: each misbehaviour of a collector is caught, with the right number; a good one is called clean."""

import os
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from loadtest import __main__ as command
from loadtest import driver, result, run, schedule, traffic
from loadtest.measured import Measured
from loadtest.plan import Plan, Slice, Target
from loadtest.watch import Watch
from tests.loadtest.faulty import Collector, running

SCALE = 10 if os.environ.get("PHAROS_TEST_SCALE") == "full" else 1
RATE, SECONDS = 1_000, 1 * SCALE


THREE_THOUSAND = schedule.Schedule(schedule.constant(RATE, 3 * SCALE))


def order(url: str, **changes: object) -> run.Order:
    """Return a run against `url` that is short, but long enough for each fault to come up."""
    settings: dict[str, object] = {
        "url": url,
        "target": driver.target_of(url, connections=16, churn=0.01, timeout_s=5),
        "surface": traffic.Surface(),
        "schedule": schedule.Schedule(schedule.constant(RATE, SECONDS)),
        "schedule_name": "constant",
        "profile": "shop",
        "admins": (),
        "settle_s": 1.0,
        "pool": 2_000,
        # What is shown here are verdicts, not latencies: the test machine may be as busy as it likes.
        "limits": result.Thresholds(late_bound_ms=60_000),
    }
    return run.Order(**(settings | changes))  # type: ignore[arg-type]


def outcome(collector: Collector, **changes: object) -> result.Result:
    with running(collector) as url:
        return run.run(order(url, **changes), collector, run.News())


def test_a_good_collector_is_clean() -> None:
    collector = Collector()
    done = outcome(collector)
    assert done.audit
    assert done.requests == RATE * SECONDS
    assert done.audit.accepted == done.audit.stored == sum(collector.kept.values()) > RATE * SECONDS
    assert done.audit.refused > 0
    assert done.broken == []
    assert done.exit_code in (result.CLEAN, result.BOTTLENECK)  # the second on a machine that is busy besides
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
    """Of 3,000 requests three; one in two of them is kept before it is dropped: told in the right numbers."""
    collector = Collector()
    collector.cut_every, collector.mute = 1_000, how == "no answer comes"
    limits = result.Thresholds(max_failed_percent=0.09, late_bound_ms=60_000)
    with running(collector) as url:
        target = driver.target_of(url, connections=64, timeout_s=0.5 if collector.mute else 5)
        asked = order(url, target=target, profile="pixel", schedule=THREE_THOUSAND, limits=limits)
        done = run.run(asked, collector, run.News())
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
        # Never earlier than arithmetic says; later by what the machine's other work adds.
        assert done.latency.at(percentile) >= expected_ms - 15, percentile
    assert done.latency.at(75.0) < 500
    slow_closed = sum(1 for value in (50.0, 75.0, 90.0, 95.0, 99.0) if done.service.at(value) > 900)
    assert slow_closed == 0, "a closed loop's view hides the stall: that is why it is not ours"


def test_two_lanes_share_one_schedule() -> None:
    collector = Collector()
    done = outcome(collector, lanes=2)
    assert done.requests == RATE * SECONDS
    assert {lane for lane, _ in collector.kept} == {0, 1}
    assert done.broken == []


class Impatient(run.News):
    """Presses Ctrl-C once, when some answers are there."""

    def __init__(self) -> None:
        self.pressed = False

    def driving(self, measured: Measured, watch: Watch) -> None:
        if not self.pressed and measured.latency.get_total_count() > 100:
            self.pressed = True
            raise KeyboardInterrupt


def test_ctrl_c_still_audits_what_was_sent() -> None:
    collector = Collector()
    collector.forget_every = 50
    with running(collector) as url:
        long = schedule.Schedule(schedule.constant(300, 600))
        done = run.run(order(url, schedule=long), collector, Impatient())
    assert done.stopped_early
    assert done.audit
    assert 100 < done.requests < 300 * 600
    assert done.audit.missing == collector.forgotten > 0
    assert done.exit_code == result.BROKEN


def test_the_bound_on_requests_holds() -> None:
    collector = Collector()
    bounded = schedule.Schedule(schedule.constant(RATE, SECONDS), at_most=123)
    assert outcome(collector, schedule=bounded, lanes=2).requests == 123


def test_it_says_when_the_driver_was_the_bottleneck() -> None:
    measured = _measured_late(late_us=8_000)
    assert "late" in measured.bottleneck(5.0)
    assert measured.bottleneck(9.0) == ""
    assert result.exit_code([], [], "late") == result.BOTTLENECK
    assert result.exit_code(["missing"], [], "late") == result.BROKEN
    assert result.exit_code([], ["p99"], "late") == result.BOTTLENECK
    assert result.exit_code([], ["p99"], "") == result.BROKEN
    assert result.exit_code([], [], "") == result.CLEAN


def _measured_late(late_us: int) -> driver.Drive:
    plan = Plan(
        target=Target(host="127.0.0.1", port=1),
        surface=traffic.Surface(),
        schedule=schedule.Schedule(schedule.constant(1, 1)),
        run="00000000",
    )
    measured = Measured(plan.schedule, 1, 0.0)
    cut = Slice()
    cut.until = 0.5
    cut.late.extend([late_us] * 100)
    measured.add(0, cut)
    return driver.Drive(plan=plan, started_at=0, books=[], measured=measured)


@pytest.mark.parametrize("url", ["http://192.0.2.1:8080", "http://[2001:db8::1]/", "https://203.0.113.9"])
def test_a_target_elsewhere_is_refused_unless_it_is_named_as_ones_own(url: str) -> None:
    with pytest.raises(driver.NotYours, match="--i-own-this-target"):
        driver.target_of(url)
    with pytest.raises(driver.NotYours):
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

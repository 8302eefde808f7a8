"""How much the target takes: the rate steps up until p99 or loss breaks, then the knee is narrowed down."""

import time
from collections.abc import Callable
from typing import Final

import msgspec
from rich.console import Console

from loadtest import run as running
from loadtest.check.stored_hits import Store
from loadtest.drive import driver
from loadtest.report import result
from loadtest.report.search import Knee, SearchResult, StepOutcome
from loadtest.traffic import schedule

P99_MS: Final = 50.0
"""What counts as broken where the command line names no --max-p99-ms."""
FAILED_PERCENT: Final = 0.1
FACTOR: Final = 1.5
NARROWINGS: Final = 3
HIGHEST: Final = 10_000_000.0
"""Where the search ends when nothing else ends it, requests/s."""


def search(first: float, highest: float, attempt: Callable[[float], StepOutcome]) -> Knee:
    """Return the knee between rates that hold and rates that break. Pure but for `attempt`.

    Rates grow by FACTOR from `first` to `highest`, which is tried too; then the gap is halved NARROWINGS times. It ends
    at once where the driver gives out: what a driver cannot send, no target has refused. So it does when stopped.
    """
    good, bad, narrowed = 0.0, float("inf"), 0
    rate = min(first, highest)
    while True:
        match attempt(rate):
            case "holds":
                good = rate
            case "breaks":
                bad = rate
            case "driver gave out":
                return Knee(good, bad, rate)
            case "stopped":
                return Knee(good, bad)
        if bad == float("inf"):
            if rate >= highest:
                return Knee(good, bad)
            rate = min(rate * FACTOR, highest)
        else:
            if narrowed == NARROWINGS:
                return Knee(good, bad)
            narrowed += 1
            rate = (good + bad) / 2


def reached(rates: list[float], outcomes: list[StepOutcome]) -> Knee:
    """Return what is known of the knee after these steps."""
    told = list(zip(rates, outcomes, strict=True))
    return Knee(
        max((rate for rate, outcome in told if outcome == "holds"), default=0.0),
        min((rate for rate, outcome in told if outcome == "breaks"), default=float("inf")),
    )


def find(
    settings: running.RunSettings,
    store: Store | None,
    console: Console,
    *,
    first: float,
    highest: float = HIGHEST,
    step_s: float,
    within_s: float,
) -> SearchResult:
    """Search, print each step and the knee, and return what was found.

    No step begins that could not end `within_s`, or once the schedule's `at_most` requests were due. Ctrl-C ends the
    step and the search; what was found by then is returned.

    Raises:
        TargetUnreachable: the target was not there when the first step began.
        KeyboardInterrupt: before there was anything to report.
    """
    limits = settings.limits
    strict = msgspec.structs.replace(
        limits,
        max_p99_ms=P99_MS if limits.max_p99_ms is None else limits.max_p99_ms,
        max_failed_percent=FAILED_PERCENT if limits.max_failed_percent is None else limits.max_failed_percent,
    )
    steps: list[result.Result] = []
    rates: list[float] = []
    outcomes: list[StepOutcome] = []
    end = time.monotonic() + within_s
    senders = driver.Senders()

    def attempt(rate: float) -> StepOutcome:
        left = settings.schedule.at_most - sum(step.requests + step.never_sent for step in steps)
        if left <= 0 or (steps and time.monotonic() + step_s > end):
            console.print("the search has reached its bound on time or requests", highlight=False)
            return "stopped"
        step = msgspec.structs.replace(
            settings,
            schedule=msgspec.structs.replace(
                settings.schedule, stretches=schedule.constant(rate, step_s), at_most=left
            ),
            limits=strict,
            schedule_name=f"constant {rate:,.0f}/s for {step_s:g} s",
            title=f"{settings.title}: limit at {rate:,.0f}/s",
        )
        try:
            done = running.watched(step, store, console, senders=senders)
        except driver.TargetUnreachable as gone:
            if not steps:
                raise
            result.fail(steps[-1], f"gone when the step at {rate:,.0f}/s began: {gone}")
            return "stopped"
        outcome = outcome_of(done)
        steps.append(done)
        rates.append(rate)
        outcomes.append(outcome)
        why = "; ".join(done.broken) or done.bottleneck
        failed = done.failed + done.never_sent
        console.print(
            f"{rate:>9,.0f}/s  {outcome:<16} p99 {done.latency.at(99):8.2f} ms  failed {failed:,}  {why}",
            highlight=False,
        )
        return outcome

    try:
        knee = search(first, highest, attempt)
    except KeyboardInterrupt:  # between two steps
        if not outcomes:
            raise
        del steps[len(outcomes) :], rates[len(outcomes) :]
        knee = reached(rates, outcomes)
    finally:
        senders.close()
    if outcomes[-1] == "breaks" and not knee.holds:
        result.fail(steps[-1], f"not even {min(rates):,.0f}/s held: this is no limit, but a fault")
    console.print(str(knee), style="bold", highlight=False)
    return SearchResult(steps, rates, outcomes, knee)


def outcome_of(step: result.Result) -> StepOutcome:
    """Return what became of a step, and leave it the exit code that it has as a part of the search.

    Breaking is what the search is for: only what must not be fails it, and a driver that gave out says so.
    """
    outcome: StepOutcome = "holds" if step.exit_code == result.CLEAN else "breaks"
    if step.exit_code == result.BOTTLENECK:
        outcome = "driver gave out"
    if step.stopped_early:
        outcome = "stopped"
    unaudited = [why for why in step.broken if why.startswith(running.NOT_AUDITED)]
    if unaudited:
        outcome = "stopped"  # it says nothing of the rate
    step.exit_code = result.exit_code(step.audit.faults() if step.audit else unaudited, [], step.bottleneck)
    return outcome

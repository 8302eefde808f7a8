"""How much the target takes: the rate steps up until p99 or loss breaks, then the knee is narrowed down."""

from collections.abc import Callable

import msgspec
from rich.console import Console

from loadtest import progress, result, schedule
from loadtest import run as running
from loadtest.store import Store

P99_MS = 50.0
"""What counts as broken where the command line names no --max-p99-ms."""
FAILED_PERCENT = 0.1
FACTOR = 1.5
NARROWINGS = 3


class Knee(msgspec.Struct, frozen=True):
    """What was found, requests/s."""

    holds: float
    """The highest rate that held; 0 when not even the first did."""
    breaks: float
    """The lowest rate that broke; infinite when the driver gave out first."""


def search(first: float, highest: float, holds: Callable[[float], bool | None]) -> Knee:
    """Return the knee between rates that hold and rates that break. Pure but for `holds`.

    `holds(rate)` is True, False, or None when the driver, not the target, gave out. Rates grow by FACTOR up to
    `highest`; then the gap is halved NARROWINGS times.
    """
    good, bad = 0.0, float("inf")
    rate = first
    while bad == float("inf") and rate <= highest:
        verdict = holds(rate)
        if verdict is None:
            return Knee(good, bad)
        if verdict:
            good = rate
            rate *= FACTOR
        else:
            bad = rate
    if bad < float("inf"):
        for _ in range(NARROWINGS):
            middle = (good + bad) / 2
            if holds(middle):
                good = middle
            else:
                bad = middle
    return Knee(good, bad)


def find(
    order: running.Order, store: Store | None, console: Console, first: float, step_s: float
) -> list[result.Result]:
    """Search, print each step and the knee, and return the steps' results, the last that held at the end."""
    limits = order.limits
    p99_ms = limits.max_p99_ms if limits.max_p99_ms is not None else P99_MS
    percent = limits.max_failed_percent if limits.max_failed_percent is not None else FAILED_PERCENT
    strict = result.Thresholds(
        max_p99_ms=p99_ms,
        max_failed_percent=percent,
        max_freshness_s=limits.max_freshness_s,
        late_bound_ms=limits.late_bound_ms,
    )
    steps: list[result.Result] = []

    def holds(rate: float) -> bool | None:
        stretches = schedule.constant(rate, step_s)
        step = msgspec.structs.replace(
            order,
            limits=strict,
            schedule=msgspec.structs.replace(order.schedule, stretches=stretches),
            schedule_name=f"constant {rate:,.0f}/s for {step_s:g} s",
            title=f"{order.title}: limit at {rate:,.0f}/s",
        )
        screen = progress.Screen(console)
        try:
            done = running.run(step, store, screen)
        finally:
            screen.close()
        steps.append(done)
        verdict = None if done.exit_code == result.BOTTLENECK else done.exit_code == result.CLEAN
        word = {None: "driver gave out", True: "holds", False: "breaks"}[verdict]
        why = "; ".join(done.broken) or done.bottleneck
        console.print(
            f"{rate:>9,.0f}/s  {word:<16} p99 {done.latency.at(99):8.2f} ms  failed {done.failed:,}  {why}",
            highlight=False,
        )
        return verdict

    knee = search(first, order.schedule.rate_at(0) if order.schedule.rate_at(0) > first else 1e6, holds)
    if knee.breaks < float("inf"):
        console.print(f"knee: holds {knee.holds:,.0f}/s, breaks at {knee.breaks:,.0f}/s", style="bold", highlight=False)
    else:
        console.print(f"holds {knee.holds:,.0f}/s; where it breaks was not reached", style="bold", highlight=False)
    # Breaking is what the search is for: only lost or doubled hits make it fail, and a driver that gave out says so.
    for step in steps:
        audited = step.audit.faults() if step.audit else []
        step.exit_code = result.exit_code(audited, [], step.bottleneck)
    held = [step for step in steps if not step.broken]
    return [step for step in steps if step not in held[-1:]] + held[-1:]

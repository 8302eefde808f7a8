"""For hours: window after window, each audited on its own, so that memory stays flat and a leak shows as drift."""

import msgspec
from rich.console import Console

from loadtest import run as running
from loadtest.check.stored_hits import Store
from loadtest.drive import driver
from loadtest.report import result
from loadtest.traffic import schedule


def windows(duration_s: float, window_s: float) -> list[float]:
    """Return the lengths of the windows that make up the duration, the last one perhaps shorter."""
    whole, rest = divmod(duration_s, window_s)
    return [window_s] * int(whole) + ([rest] if rest > 0.5 else [])


def run(settings: running.RunSettings, store: Store | None, console: Console, window_s: float) -> list[result.Result]:
    """Run the windows, print a line each, and return their results.

    Stops early where one is broken, where the target is gone, at the bound on requests, or by Ctrl-C.

    Raises:
        TargetUnreachable: the target was not there when the first window began.
        KeyboardInterrupt: before there was anything to report.
    """
    done: list[result.Result] = []
    rate = settings.schedule.rate_at(0)
    lengths = windows(settings.schedule.duration_s(), window_s)
    senders = driver.Senders()
    try:
        for number, length in enumerate(lengths):
            left = settings.schedule.at_most - sum(one.requests + one.never_sent for one in done)
            if left <= 0:
                break
            part = msgspec.structs.replace(
                settings,
                schedule=msgspec.structs.replace(
                    settings.schedule, stretches=schedule.constant(rate, length), at_most=left
                ),
                seed=settings.seed + number,
                title=f"{settings.title}: window {number + 1} of {len(lengths)}",
            )
            try:
                one = running.watched(part, store, console, senders=senders)
            except driver.TargetUnreachable as gone:
                if not done:
                    raise
                result.fail(done[-1], f"gone when window {number + 1} began: {gone}")
                break
            done.append(one)
            lost = f"{one.audit.missing:,} missing, {one.audit.doubled:,} doubled" if one.audit else "not audited"
            console.print(
                f"window {number + 1:>4}/{len(lengths)}  {one.answers_per_s:,.0f}/s  p99 {one.latency.at(99):.2f} ms  "
                f"failed {one.failed + one.never_sent:,}  {lost}  {'; '.join(one.broken) or one.bottleneck}",
                highlight=False,
            )
            if one.exit_code == result.BROKEN or one.stopped_early:
                break
    except KeyboardInterrupt:  # between two windows, or before anything of one was sent
        if not done:
            raise
    finally:
        senders.close()
    first, last = done[0].latency.at(99), done[-1].latency.at(99)
    console.print(f"p99 went from {first:.2f} to {last:.2f} ms over {len(done)} windows", style="bold", highlight=False)
    return done

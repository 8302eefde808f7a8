"""What a run comes to: figures for people and programs, and the exit code. Pure."""

from collections.abc import Sequence
from typing import Final

import msgspec
from hdrh.histogram import HdrHistogram

from loadtest.check.audit import Audit
from loadtest.check.freshness import FollowedHit, Sample
from loadtest.drive.driver import LATE_BOUND_MS, DriveResult
from loadtest.drive.measurements import Second
from loadtest.drive.verdict import FAILED, UNANSWERED, WRONGLY_ACCEPTED, WRONGLY_REFUSED

CLEAN: Final = 0
BROKEN: Final = 1
"""Something accepted is missing or doubled, a verdict was wrong, or a threshold is broken."""
BOTTLENECK: Final = 3
"""The driver, not the server, was what limited; its latencies say nothing about the server."""

PERCENTILES: Final = (10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.9, 99.95, 99.99, 99.999, 100.0)


LATE_AFTER_S: Final = 30.0
"""A followed hit that becomes visible later than this is a late one: six times the sink's objective of 5 s."""


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line demands; None demands nothing."""

    max_p99_ms: float | None = None
    max_failed_percent: float | None = None
    """Of hits: without an answer, never sent, or answered 5xx."""
    max_freshness_s: float | None = None
    """99th percentile."""
    late_after_s: float = LATE_AFTER_S
    max_late_percent: float | None = None
    """Of the hits followed: visible later than `late_after_s`."""
    late_bound_ms: float = LATE_BOUND_MS


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """A distribution, milliseconds."""

    count: int
    mean_ms: float
    percentiles_ms: dict[str, float]

    def at(self, percentile: float) -> float:
        """Return one of PERCENTILES."""
        return self.percentiles_ms[f"{percentile:g}"]


class Result(msgspec.Struct, kw_only=True):
    """A run, as `--json` writes it and `--html` draws it."""

    run: str
    title: str
    started_at: float
    """Seconds since the epoch."""
    url: str
    profile: str
    schedule: str
    seed: int
    senders: int
    connections: int
    duration_s: float
    requests: int
    hits: int
    answers_per_s: float
    """Over the schedule's duration."""
    failed: int
    """Hits answered 5xx, or not at all."""
    never_sent: int
    """Requests whose moment passed the timeout before any connection was free: never sent."""
    waited: int
    """Requests that had to wait for a connection."""
    errors: dict[str, int]
    latency: Times
    """From the scheduled moment to the answer; without one, until the request was given up."""
    service: Times
    """From sending to the answer: what a closed-loop tool would report."""
    driver_late: Times
    driver_cpu: float
    """Share of a core, busiest process."""
    freshness_s: dict[str, float]
    """Percentiles of the time from the scheduled moment until `pharos.events` shows a hit; empty without ClickHouse.

    A hit that never became visible counts with the time for which it was followed.
    """
    never_fresh: int
    """Followed hits that never became visible."""
    late: int
    """Followed hits later than `late_after_s`, those among them that never became visible."""
    late_after_s: float
    audit: Audit | None
    seconds: list[Second]
    samples: list[Sample]
    fresh: list[FollowedHit]
    faults: list[tuple[float, str]]
    """Injected faults: seconds from the start, what."""
    notes: list[str]
    machine: dict[str, str]
    broken: list[str]
    """Why the exit code is 1."""
    bottleneck: str
    exit_code: int
    stopped_early: bool = False


def times(of: HdrHistogram) -> Times:
    """Return a histogram's figures."""
    count = of.get_total_count()
    return Times(
        count=count,
        mean_ms=of.get_mean_value() / 1000 if count else 0.0,
        percentiles_ms={f"{p:g}": (of.get_value_at_percentile(p) / 1000 if count else 0.0) for p in PERCENTILES},
    )


def freshness(fresh: list[FollowedHit]) -> dict[str, float]:
    """Return percentiles in seconds, by name; empty without any."""
    ordered = sorted(hit.after_s for hit in fresh)
    if not ordered:
        return {}
    return {f"p{p:g}": ordered[min(len(ordered) - 1, int(len(ordered) * p / 100))] for p in (50, 90, 99)} | {
        "max": ordered[-1]
    }


def late(followed: list[FollowedHit], after_s: float) -> int:
    """Return how many of the hits took longer than `after_s`."""
    return sum(hit.after_s > after_s for hit in followed)


def broken(
    drive: DriveResult, audit: Audit | None, followed: list[FollowedHit], limits: Thresholds
) -> tuple[list[str], list[str]]:
    """Return (what is wrong in any run; which thresholds are broken), in words."""
    over = []
    p99_ms = drive.measured.latency.get_value_at_percentile(99) / 1000
    if limits.max_p99_ms is not None and p99_ms > limits.max_p99_ms:
        over.append(f"p99 {p99_ms:.1f} ms is above {limits.max_p99_ms:g} ms")
    # A request that was never sent counts as one hit, although it could have carried more.
    bad = drive.count(FAILED) + drive.count(UNANSWERED) + drive.never_sent()
    percent = 100 * bad / max(1, drive.hits() + drive.never_sent())
    if limits.max_failed_percent is not None and percent > limits.max_failed_percent:
        over.append(f"{percent:.3f} % failed or were not answered, above {limits.max_failed_percent:g} %")
    fresh_s = freshness(followed).get("p99", float("inf"))
    if limits.max_freshness_s is not None and fresh_s > limits.max_freshness_s:
        over.append(f"freshness p99 {fresh_s:.1f} s is above {limits.max_freshness_s:g} s")
    if limits.max_late_percent is not None:
        count = late(followed, limits.late_after_s)
        percent = 100 * count / len(followed) if followed else 100.0
        if percent > limits.max_late_percent:
            told = f"{count:,} of {len(followed):,} followed hits were later than {limits.late_after_s:g} s"
            over.append(f"{told}: {percent:.2f} %, above {limits.max_late_percent:g} %")
    silent = [] if drive.answers() or not drive.due() else [f"not one of {drive.due():,} requests was answered"]
    if audit:
        return silent + audit.faults(), over
    wrong = {"wrongly refused": drive.count(WRONGLY_REFUSED), "wrongly accepted": drive.count(WRONGLY_ACCEPTED)}
    return silent + [f"{count:,} {name}" for name, count in wrong.items() if count], over


def exit_code(faults: list[str], over: list[str], bottleneck: str) -> int:
    """Return the code: what must not be counts always; a threshold only where the driver can be trusted."""
    if faults:
        return BROKEN
    if bottleneck:
        return BOTTLENECK
    return BROKEN if over else CLEAN


def worst_exit_code(results: Sequence[Result]) -> int:
    """Return the worst of several runs: broken before bottleneck before clean."""
    codes = {one.exit_code for one in results}
    return BROKEN if BROKEN in codes else max(codes, default=CLEAN)


def fail(result: Result, why: str) -> None:
    """Let a finished result say that something must not be which came to light after it."""
    result.broken.append(why)
    result.exit_code = BROKEN


def of(
    drive: DriveResult,
    *,
    title: str,
    url: str,
    schedule: str,
    limits: Thresholds,
    audit: Audit | None,
    samples: list[Sample],
    fresh: list[FollowedHit],
    never_fresh: list[FollowedHit],
    faults: list[tuple[float, str]],
    not_done: list[str],
    notes: list[str],
    machine: dict[str, str],
    stopped_early: bool,
) -> Result:
    """Return the result of a drive and of all that was measured meanwhile.

    `never_fresh` are the followed hits that never became visible, each with how long it was looked for; `not_done` says
    what was asked for and could not be done, such as a fault or the audit.
    """
    plan, measured = drive.plan, drive.measured
    followed = [*fresh, *never_fresh]
    found, over = broken(drive, audit, followed, limits)
    bottleneck = drive.bottleneck(limits.late_bound_ms)
    lasted = min(plan.schedule.duration_s(), len(measured.seconds)) or 1
    return Result(
        run=plan.run,
        title=title,
        started_at=drive.started_at,
        url=url,
        profile=plan.profile,
        schedule=schedule,
        seed=plan.seed,
        senders=plan.senders,
        connections=plan.target.connections * plan.senders,
        duration_s=plan.schedule.duration_s(),
        requests=drive.requests(),
        hits=drive.hits(),
        answers_per_s=drive.answers() / lasted,
        failed=drive.count(FAILED) + drive.count(UNANSWERED),
        never_sent=drive.never_sent(),
        waited=sum(totals.waited for totals in drive.totals),
        errors=dict(drive.errors().most_common(20)),
        latency=times(measured.latency),
        service=times(measured.service),
        driver_late=times(measured.late),
        driver_cpu=measured.busiest_sender()[0],
        freshness_s=freshness(followed),
        never_fresh=len(never_fresh),
        late=late(followed, limits.late_after_s),
        late_after_s=limits.late_after_s,
        audit=audit,
        seconds=measured.seconds,
        samples=samples,
        fresh=fresh,
        faults=faults,
        notes=notes,
        machine=machine,
        broken=found + over + not_done,
        bottleneck=bottleneck,
        exit_code=exit_code(found + not_done, over, bottleneck),
        stopped_early=stopped_early,
    )

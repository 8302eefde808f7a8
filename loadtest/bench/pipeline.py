"""The whole way from a request to a row: the highest rate at which nothing piles up, and what each part costs a hit.

Everything runs on this machine, driver included: broker, ClickHouse, three compiled stages. The requests are the mix.
Rates step up until one does not hold, then the gap is halved twice; a rate holds when what is accepted but not yet
stored does not grow. CPU is read from the operating system at the highest rate that held.
"""

import secrets
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from loadtest.bench import native
from loadtest.bench.collector_process import worker
from loadtest.bench.frame import Bench, Contestant, Figures, Options
from loadtest.check import local_system
from loadtest.check.faults import find
from loadtest.check.freshness import scrape
from loadtest.check.processes import cpu_s, wait_until
from loadtest.drive import driver
from loadtest.drive.plan import Plan
from loadtest.drive.verdict import ACCEPTED
from loadtest.traffic import profiles, schedule

PARTS: Final = {
    "collector": "-m collector",
    "enricher": "-m enricher",
    "sink": "-m sink",
    "broker": "-m deploy.local.broker",
    "clickhouse": "-m deploy.local.clickhouse",
}
FACTOR: Final = 1.5
"""Of one rate to the next, until one does not hold."""
HALVINGS: Final = 2
"""Of the gap between the rate that held and the one that did not."""
GROWTH: Final = 0.04
"""What is not stored may grow by this share of the rate, and the rate still holds."""
SOON_S: Final = 1.0
"""Hits that wait at best for no longer than this are the sink's batch and not a queue, however many they become."""
SAMPLE_S: Final = 0.2
ENOUGH: Final = 5
"""Samples of a third below which there is no trend to be seen: the miniature's."""


class Step(msgspec.Struct, frozen=True):
    """One rate that was tried."""

    hits_per_s: float
    growth_per_s: float
    """By how much accepted but not stored hits grew each second."""
    held: bool
    cpu_us: dict[str, float]
    """A hit, by part."""
    behind_s: float
    """Accepted but not stored, median, in seconds of the rate."""


def growth_per_s(samples: Sequence[tuple[float, float]]) -> float:
    """Return by how much the mean of (moment, value) climbs a second, from the middle third to the last.

    Means over many seconds, because the sink stores in batches: what waits goes up and down like a saw, whose troughs
    are seldom seen. The first third is the pipeline filling. Too few samples for three thirds give 0.
    """
    third = len(samples) // 3
    if third < ENOUGH:
        return 0.0
    middle, last = samples[third : 2 * third], samples[2 * third :]
    apart = statistics.fmean(moment for moment, _ in last) - statistics.fmean(moment for moment, _ in middle)
    return (statistics.fmean(value for _, value in last) - statistics.fmean(value for _, value in middle)) / apart


def behind(system: local_system.System) -> float | None:
    """Return how many accepted hits are not stored; None while the collector does not answer."""
    found: dict[str, float] = {}
    for admin in system.admins:
        found |= scrape(admin)
    accepted, rows = found.get("pharos_collector_hits_total"), found.get("pharos_sink_rows_total", 0.0)
    return None if accepted is None else accepted - rows


def drive_at(
    system: local_system.System,
    rate: float,
    seconds: float,
    pids: Mapping[str, Sequence[int]],
    look: Callable[[], None] = lambda: None,
) -> Step:
    """Send the mix at `rate`, wait until all is stored; `pids` are each part's processes, `look` runs with each sample.

    Raises:
        NotReady: it was not stored within two minutes.
    """
    target = driver.target_of(system.url, connections=64, churn=0.01, timeout_s=10)
    plan = Plan(
        target=target,
        surface=profiles.Surface(host=f"{target.host}:{target.port}", token=system.token, link_code=system.link),
        schedule=schedule.Schedule(schedule.constant(rate, seconds), poisson=True),
        profile="mix",
        run=secrets.token_hex(4),
        seed=int(rate),
        pool=20_000,
    )
    samples: list[tuple[float, float]] = []
    over = threading.Event()
    before = {part: sum(map(cpu_s, ids)) for part, ids in pids.items()}

    def sample() -> None:
        start = time.monotonic()
        while not over.wait(SAMPLE_S):
            waiting = behind(system)
            if waiting is not None:
                samples.append((time.monotonic() - start, waiting))
            look()

    watcher = threading.Thread(target=sample, daemon=True)
    watcher.start()
    try:
        drive = driver.drive(plan)
        in_time = time.perf_counter() - drive.measured.start <= 1.1 * seconds + 1
    finally:
        over.set()
        watcher.join()
    wait_until(lambda: (behind(system) or 0) <= 0, "every accepted hit stored", 120, every_s=0.2)
    cpu = {part: sum(map(cpu_s, ids)) - before[part] for part, ids in pids.items()}
    cpu["driver"] = sum(totals.cpu_s for totals in drive.totals)
    hits = max(1, drive.hits())
    growth = growth_per_s(samples)
    soon = min((value for _, value in samples[2 * len(samples) // 3 :]), default=0.0) <= SOON_S * rate
    return Step(
        hits_per_s=hits / seconds,
        growth_per_s=growth,
        held=(growth <= GROWTH * rate or soon) and in_time and drive.count(ACCEPTED) == hits and not drive.lost_senders,
        cpu_us={part: s * 1e6 / hits for part, s in cpu.items()},
        behind_s=statistics.median([value for _, value in samples] or [0.0]) / rate,
    )


def pids_of(system: local_system.System, parts: Mapping[str, str] = PARTS) -> dict[str, list[int]]:
    """Return the processes of the runner's programs, by part."""
    return {part: [process.pid for process in find(system.pid, words)] for part, words in parts.items()}


def _search(system: local_system.System, first: float, seconds: float, most_steps: int) -> Figures:
    """Step up until a rate does not hold, then halve the gap; return the figures of the highest rate that held."""
    best: Step | None = None
    held, broke, rate, halvings = 0.0, float("inf"), first, 0
    too_much = 0.0
    for _ in range(most_steps):
        step = drive_at(system, rate, seconds, pids_of(system))
        print(f"pipeline: {rate:,.0f} hits/s {'held' if step.held else 'did not hold'}", file=sys.stderr)
        if step.held:
            best, held = step, rate
        else:
            broke, too_much = rate, step.hits_per_s
        if broke == float("inf"):
            rate *= FACTOR
        elif not held:
            rate /= FACTOR
        elif halvings == HALVINGS:
            break
        else:
            halvings += 1
            rate = (held + broke) / 2
    if best is None and most_steps > 1:
        raise RuntimeError(f"not even {broke:,.0f} requests/s held")
    best = best or step  # one step only, the miniature's, shows the form
    return {
        "sustained_hits_per_s": best.hits_per_s,
        "did_not_hold_hits_per_s": too_much,
        "behind_s": best.behind_s,
        **{f"{part}_cpu_us_per_hit": us for part, us in best.cpu_us.items()},
        "cpu_us_per_hit": sum(us for part, us in best.cpu_us.items() if part != "driver"),
    }


@contextmanager
def prepare(options: Options) -> Iterator[Bench]:
    """Compile the stages, start a system of our own, search in rounds, drain it."""
    first = options.scaled(6_000.0, 100.0)
    seconds = options.scaled(30, 2)
    steps = options.scaled(40, 1)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        code = native.compiled(folder / "native")
        with local_system.own(folder, code=code) as (system, _):
            for words in ("-m collector", "-m enricher"):
                native.check(worker(find(system.pid, words)[0].pid), code)
            yield Bench(
                title="Pipeline: request to row, everything on this machine",
                contestants=(Contestant("pharos", lambda: _search(system, first, seconds, steps)),),
                facts={
                    "requests": "the mix, all different, Poisson arrivals",
                    "parts": "1 collector worker, 1 enricher, 1 sink, embedded broker and ClickHouse, 1 driver process",
                    "stages": "compiled (deploy.native)",
                    "did_not_hold": "the lowest rate that was too much; 0: none was tried that was",
                    "holds": f"accepted but not stored grows by less than {GROWTH:.0%} of the rate, or is under 1 s",
                },
            )

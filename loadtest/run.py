"""One run from start to verdict: drive, watch, break things on purpose, wait until all is at rest, audit."""

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from loadtest.bench.frame import machine_facts
from loadtest.check import audit as auditing
from loadtest.check import verdict
from loadtest.check.faults import Faults
from loadtest.check.freshness import Watch
from loadtest.check.stored_hits import Store, StoreAway
from loadtest.drive import driver
from loadtest.drive.measurements import Measured
from loadtest.drive.plan import Plan, Target
from loadtest.report import result
from loadtest.traffic.profiles import Surface
from loadtest.traffic.schedule import Schedule

NOT_AUDITED: Final = "not audited"
"""How the reason begins why a result without an audit is broken."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for."""

    title: str = "Load test"
    url: str
    target: Target
    surface: Surface
    schedule: Schedule
    schedule_name: str
    profile: str
    seed: int = 1
    lanes: int = 1
    limits: result.Thresholds = result.Thresholds()
    admins: tuple[str, ...] = ()
    """Addresses of the stages' admin ports, such as "http://127.0.0.1:9100"."""
    pid: int = 0
    """The runner's, where it is known: memory is read from its descendants."""
    pool: int = 20_000
    """Different requests of a lane, at most."""
    settle_s: float = 60.0
    """How long the pipeline behind the collector may bring nothing new before the audit calls the rest missing."""


class News:
    """Who follows a run; every method may be left as it is."""

    def driving(self, measured: Measured, watch: Watch) -> None:
        """Ten times a second while it drives."""

    def settling(self, visible: int, accepted: int) -> None:
        """Whenever more events have become visible after the last answer."""


def new_run() -> str:
    """Return a run's name: 8 random hex digits."""
    return secrets.token_hex(4)


def run(
    order: Order, store: Store | None, news: News, faults: Faults | None = None, run_id: Callable[[], str] = new_run
) -> result.Result:
    """Do it, and return what it came to.

    Without a store nothing is audited: `audit` is null. It is null, too, where the store does not answer at the end;
    the result is then broken.
    """
    plan = Plan(
        target=order.target,
        surface=order.surface,
        schedule=order.schedule,
        profile=order.profile,
        seed=order.seed,
        run=run_id(),
        lanes=order.lanes,
        drain_s=order.target.timeout_s + 2,
        pool=order.pool,
    )
    watch = Watch(plan.run, store, order.admins, order.pid)

    def tell(measured: Measured) -> None:
        watch.follow(measured)
        if faults:
            faults.begin(measured.start)
        news.driving(measured, watch)

    try:
        drive = driver.drive(plan, tell)
    finally:
        if faults:
            faults.finish()
    audit, stopped = None, drive.stopped_early
    not_done = [f"fault not injected: {text}" for text in faults.failed] if faults else []
    if store:
        accepted = drive.count(verdict.ACCEPTED)
        began, settled_s = time.monotonic(), None
        try:
            settled_s = auditing.settle(
                store,
                plan.run,
                drive.started_at,
                accepted,
                quiet_s=order.settle_s,
                at_most_s=10 * order.settle_s,
                tell=lambda visible: news.settling(visible, accepted),
            )
            watch.stop(wait_s=min(3.0, order.settle_s))
        except KeyboardInterrupt:
            # Enough of waiting, but not of the verdict.
            stopped = True
            watch.stop()
            if settled_s is None:
                settled_s = time.monotonic() - began
                watch.notes.insert(0, "stopped by hand while settling: what is missing may have been on its way")
        try:
            audit = auditing.compare(
                plan.run,
                [book.outcomes for book in drive.books],
                store.rows(plan.run, drive.started_at, log=False),
                store.rows(plan.run, drive.started_at, log=True),
                drive.measured.moment_of,
            )
            audit.settled_s = settled_s
        except StoreAway as problem:  # an hour's run is not thrown away for it
            not_done.append(f"{NOT_AUDITED}: {problem}")
    else:
        watch.stop()
    return result.of(
        drive,
        title=order.title,
        url=order.url,
        schedule=order.schedule_name,
        limits=order.limits,
        audit=audit,
        samples=watch.samples,
        fresh=watch.fresh,
        never_fresh=watch.unseen() if store else [],
        faults=faults.done if faults else [],
        not_done=not_done,
        notes=watch.notes[:20],
        machine=machine_facts(),
        stopped_early=stopped,
    )


def exit_code(results: Sequence[result.Result]) -> int:
    """Return the worst of several runs: broken before bottleneck before clean."""
    codes = {one.exit_code for one in results}
    return result.BROKEN if result.BROKEN in codes else max(codes, default=result.CLEAN)

"""One run from start to verdict: drive, monitor, break things on purpose, wait until all is at rest, audit."""

import secrets
import time
from collections.abc import Callable
from typing import Final

import msgspec
from rich.console import Console

from loadtest.check import audit as auditing
from loadtest.check.faults import FaultInjector
from loadtest.check.freshness import Monitor
from loadtest.check.stored_hits import Store, StoreUnavailable
from loadtest.drive import driver, verdict
from loadtest.drive.measurements import Measurements
from loadtest.drive.plan import Plan, Target
from loadtest.report import machine, progress, result
from loadtest.traffic.profiles import Surface
from loadtest.traffic.schedule import Schedule

NOT_AUDITED: Final = "not audited"
"""How the reason begins why a result without an audit is broken."""


class RunSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for."""

    title: str = "Load test"
    url: str
    target: Target
    surface: Surface
    schedule: Schedule
    schedule_name: str
    profile: str
    seed: int = 1
    senders: int = 1
    limits: result.Thresholds = result.Thresholds()
    admins: tuple[str, ...] = ()
    """Addresses of the stages' admin ports, such as "http://127.0.0.1:9100"."""
    pid: int = 0
    """The runner's, where it is known: memory is read from its descendants."""
    pool: int = 20_000
    """Different requests of a sender, at most."""
    settle_s: float = 60.0
    """How long the pipeline behind the collector may bring nothing new before the audit calls the rest missing."""


def new_run() -> str:
    """Return a run's name: 8 random hex digits."""
    return secrets.token_hex(4)


def run(
    settings: RunSettings,
    store: Store | None,
    observer: progress.Observer,
    faults: FaultInjector | None = None,
    run_id: Callable[[], str] = new_run,
    senders: driver.Senders | None = None,
) -> result.Result:
    """Do a run and return its result.

    `senders` are driver processes that serve other runs too; without them the run has its own. Without a store nothing
    is audited, and `audit` is null. So it is where the store does not answer at the end; the result is then broken.
    """
    plan = Plan(
        target=settings.target,
        surface=settings.surface,
        schedule=settings.schedule,
        profile=settings.profile,
        seed=settings.seed,
        run=run_id(),
        senders=settings.senders,
        drain_s=settings.target.timeout_s + 2,
        pool=settings.pool,
    )
    monitor = Monitor(plan.run, store, settings.admins, settings.pid)

    def tell(measured: Measurements) -> None:
        monitor.follow(measured)
        if faults:
            faults.begin(measured.start)
        observer.driving(measured, monitor)

    try:
        drive = driver.drive(plan, tell, senders)
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
                quiet_s=settings.settle_s,
                at_most_s=10 * settings.settle_s,
                tell=lambda visible: observer.settling(visible, accepted),
            )
            monitor.stop(wait_s=min(3.0, settings.settle_s))
        except KeyboardInterrupt:
            # Enough of waiting, but not of the verdict.
            stopped = True
            monitor.stop()
            if settled_s is None:
                settled_s = time.monotonic() - began
                monitor.notes.insert(0, "stopped by hand while settling: what is missing may have been on its way")
        try:
            audit = auditing.compare(
                plan.run,
                [totals.outcomes for totals in drive.totals],
                store.rows(plan.run, drive.started_at, log=False),
                store.rows(plan.run, drive.started_at, log=True),
                drive.measured.moment_of,
            )
            audit.settled_s = settled_s
        except StoreUnavailable as problem:  # an hour's run is not thrown away for it
            not_done.append(f"{NOT_AUDITED}: {problem}")
    else:
        monitor.stop()
    return result.of(
        drive,
        title=settings.title,
        url=settings.url,
        schedule=settings.schedule_name,
        limits=settings.limits,
        audit=audit,
        samples=monitor.samples,
        fresh=monitor.fresh,
        never_fresh=monitor.unseen() if store else [],
        faults=faults.done if faults else [],
        not_done=not_done,
        notes=monitor.notes[:20],
        machine=machine.facts(),
        stopped_early=stopped,
    )


def watched(
    settings: RunSettings,
    store: Store | None,
    console: Console,
    faults: FaultInjector | None = None,
    senders: driver.Senders | None = None,
) -> result.Result:
    """Do a run with a progress bar on the console, which is gone when the run is over."""
    screen = progress.Screen(console)
    try:
        return run(settings, store, screen, faults, senders=senders)
    finally:
        screen.close()

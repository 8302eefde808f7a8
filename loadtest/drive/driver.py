"""The driver: several senders as processes of their own on one schedule, their totals put together, hard bounds on all.

It stops by itself. The schedule bounds requests and time, the drain bounds waiting, and a sender that has not
reported when both are over is ended. Only loopback is driven, unless the caller names the target as its own.
"""

import contextlib
import ipaddress
import socket
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from typing import Final, cast
from urllib.parse import urlsplit

import msgspec

from loadtest.drive.measurements import Measurements
from loadtest.drive.plan import Interval, Plan, Target, Totals
from loadtest.drive.senders import Senders as Senders

LATE_BOUND_MS: Final = 5.0
"""Above this 99th percentile of its own lateness the driver, not the server, is what was measured."""
FULL: Final = 0.92
"""Above this share of the time running, or waiting for a core, a sender has nothing left."""


class ForeignTarget(ValueError):
    """The target is not loopback, and the command line does not name it as the operator's own."""


class TargetUnreachable(RuntimeError):
    """No connection to the target could be opened, so that nothing was sent."""


class DriveResult(msgspec.Struct, kw_only=True):
    """A whole run, as driven."""

    plan: Plan
    started_at: float
    """Wall clock, seconds since the epoch."""
    totals: list[Totals]
    measured: Measurements
    stopped_early: bool = False
    lost_senders: int = 0

    def count(self, outcome: int) -> int:
        """Return how many hits had this outcome."""
        return sum(totals.outcomes.count(outcome) for totals in self.totals)

    def hits(self) -> int:
        """Return how many hits were sent."""
        return sum(len(totals.outcomes) for totals in self.totals)

    def requests(self) -> int:
        """Return how many requests were sent."""
        return sum(totals.requests for totals in self.totals)

    def due(self) -> int:
        """Return how many requests were due: those sent, and those whose moment passed without a connection."""
        return self.requests() + self.never_sent()

    def answers(self) -> int:
        """Return how many answers came."""
        return sum(totals.answers for totals in self.totals)

    def never_sent(self) -> int:
        """Return how many requests were never sent."""
        return sum(totals.never_sent for totals in self.totals)

    def errors(self) -> Counter[str]:
        """Return what went wrong, by its text."""
        return sum((Counter(totals.errors) for totals in self.totals), Counter())

    def bottleneck(self, late_bound_ms: float = LATE_BOUND_MS) -> str:
        """Return why the driver's figures cannot be trusted as the server's; empty when they can."""
        late_ms = self.measured.late.get_value_at_percentile(99) / 1000
        if self.lost_senders:
            return f"{self.lost_senders} driver process(es) died"
        busy, starved = self.measured.busiest_sender()
        use = f"its busiest process ran {busy:.0%} of the time and waited for a core {starved:.0%}"
        if late_ms > late_bound_ms:
            return (
                f"the driver itself was late: p99 {late_ms:.1f} ms behind its schedule (bound {late_bound_ms:g}); {use}"
            )
        if busy + starved > FULL:
            return f"the driver itself was full: {use}; use more --senders, or give it cores of its own"
        return ""


def target_of(
    url: str, *, owned: str = "", connections: int = 128, churn: float = 0.01, timeout_s: float = 10
) -> Target:
    """Return the target of a URL.

    Raises:
        ForeignTarget: its host has an address that is not loopback, and `owned` is not that very host.
        ValueError: not an http or https URL with a host.
        OSError: the host does not resolve.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"not an http:// or https:// address: {url!r}")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    addresses = {info[4][0] for info in socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)}
    if (
        not all(ipaddress.ip_address(str(a).partition("%")[0]).is_loopback for a in addresses)
        and owned != parts.hostname
    ):
        raise ForeignTarget(
            f"{parts.hostname} is not this machine. Load that its owner has not asked for is an attack; "
            f"if it is yours, say so: --i-own-this-target {parts.hostname}"
        )
    return Target(
        host=parts.hostname,
        port=port,
        tls=parts.scheme == "https",
        connections=connections,
        churn=churn,
        timeout_s=timeout_s,
    )


def drive(
    plan: Plan, tell: Callable[[Measurements], None] = lambda measured: None, senders: Senders | None = None
) -> DriveResult:
    """Drive the plan to its end and return what was measured; `tell` is called with the state about ten times a second.

    Without `senders` the run has processes of its own. Ctrl-C stops sending and returns what was sent so far, marked
    `stopped_early`.

    Raises:
        TargetUnreachable: no sender could open a connection.
        RuntimeError: a sender died, or did not become ready within 60 s.
    """
    own = senders or Senders()
    with contextlib.nullcontext() if senders else own, own.at_work(plan) as pipes:
        ready_by = time.perf_counter() + 60
        refusals: list[str] = []
        for pipe in pipes:
            if not pipe.poll(max(0, ready_by - time.perf_counter())):
                raise RuntimeError("a driver process did not become ready within 60 s")
            try:
                refusals.append(pipe.recv())
            except (EOFError, OSError):
                raise RuntimeError("a driver process died before it began") from None
        if all(refusals):
            raise TargetUnreachable(f"the target {plan.target.host}:{plan.target.port} is not there: {refusals[0]}")
        start = time.perf_counter() + 0.05
        started_at = time.time() + 0.05
        for pipe in pipes:
            pipe.send(start)
        measured = Measurements(plan.schedule, plan.senders, start)
        totals, lost, stopped = _collect(pipes, plan, measured, tell)
        return DriveResult(
            plan=plan, started_at=started_at, totals=totals, measured=measured, stopped_early=stopped, lost_senders=lost
        )


def _collect(
    pipes: list[Pipe], plan: Plan, measured: Measurements, tell: Callable[[Measurements], None]
) -> tuple[list[Totals], int, bool]:
    """Return the totals by sender, how many senders were lost, and whether it was stopped by hand.

    Takes the pipes of the lost ones out of the list.
    """
    index = {pipe: number for number, pipe in enumerate(pipes)}
    totals: dict[int, Totals] = {}
    open_pipes, stopped = set(pipes), False
    deadline = measured.start + plan.schedule.duration_s() + plan.drain_s + 20
    while open_pipes:
        try:
            for pipe in cast("list[Pipe]", wait(list(open_pipes), timeout=0.5)):
                try:
                    message = pipe.recv()
                except (EOFError, OSError):
                    open_pipes.discard(pipe)
                    continue
                if isinstance(message, Totals):
                    totals[index[pipe]] = message
                    open_pipes.discard(pipe)
                elif isinstance(message, Interval):
                    measured.add(index[pipe], message)
            tell(measured)
            if time.perf_counter() > deadline:
                break
        except KeyboardInterrupt:
            if stopped:
                raise
            stopped = True
            deadline = min(deadline, time.perf_counter() + plan.drain_s + 5)
            for pipe in open_pipes:
                pipe.send("stop")
    lost = [pipe for number, pipe in enumerate(pipes) if number not in totals]
    empty = Totals(
        outcomes=b"", errors={"driver process lost": 1}, requests=0, answers=0, waited=0, never_sent=0, cpu_s=0
    )
    of_senders = [totals.get(number, empty) for number in range(len(pipes))]
    for pipe in lost:
        pipes.remove(pipe)
    return of_senders, len(lost), stopped

"""What goes to a sender's process, and what comes back at its end."""

from array import array

import msgspec

from loadtest.traffic.profiles import Surface
from loadtest.traffic.schedule import Schedule


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where to, and how."""

    host: str
    port: int
    tls: bool = False
    connections: int = 128
    """Of one sender, all open from the start."""
    churn: float = 0.01
    """Share of answers after which the connection is closed and another one opened."""
    timeout_s: float = 10.0
    """An answer later than this counts as none."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """All that a run needs to know."""

    target: Target
    surface: Surface
    schedule: Schedule
    profile: str = "shop"
    seed: int = 1
    run: str
    """8 hex digits, new for every run: part of every id."""
    senders: int = 1
    drain_s: float = 12.0
    """How long answers are awaited after the last moment."""
    probes_per_s: float = 20.0
    """Hits a second that are followed until they are visible."""
    pool: int = 20_000
    """Shots of a sender, at most, sent round and round with new ids."""


class Interval:
    """What a sender counted in a tenth of a second; times in whole microseconds."""

    def __init__(self) -> None:
        self.latencies = array("I")
        """From the scheduled moment to the whole answer."""
        self.missed = array("I")
        """From the scheduled moment until it was given up, of requests without an answer, and of those never sent."""
        self.service = array("I")
        """From sending to the whole answer: what a closed-loop tool would report."""
        self.late = array("I")
        """How far behind its schedule the driver itself was, where a connection was free."""
        self.probes: list[tuple[int, float]] = []
        """Some accepted hits: number, scheduled moment on the clock."""
        self.failed = 0
        """Requests without an answer or never sent, and answers 5xx."""
        self.until = 0.0
        """When it ended, on the clock."""
        self.numbers = self.requests = self.waiting = self.alive = 0
        """As of its end: ids given out, requests sent, moments that wait for a connection, connections."""
        self.cpu_s = 0.0
        """CPU time of the sender's process so far."""
        self.starved_s = 0.0
        """How long it was ready to run, but had no core, so far (Linux)."""


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What a sender hands in at its end."""

    outcomes: bytes
    """One byte a hit, by its number: see verdict.py."""
    errors: dict[str, int]
    requests: int
    answers: int
    waited: int
    never_sent: int
    """Moments that came and were never served."""
    cpu_s: float
    """CPU time of the process between start and end."""

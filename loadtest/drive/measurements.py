"""What a run measures as it goes: one HDR histogram for each kind of time, and a line of seconds. Pure.

Times are whole microseconds; histograms keep three significant digits up to ten minutes. What got no answer counts
among the latencies with the time until it was given up: left out, p99 would look best when the worst are missing.
"""

from collections import Counter
from collections.abc import Iterable
from statistics import fmean

import msgspec
from hdrh.histogram import HdrHistogram

from loadtest.drive.plan import Interval
from loadtest.traffic.schedule import Schedule

HIGHEST_US = 600_000_000


def histogram() -> HdrHistogram:
    """Return an empty histogram."""
    return HdrHistogram(1, HIGHEST_US, 3)


def record(into: HdrHistogram, values: Iterable[int]) -> None:
    """Add microseconds to a histogram; what is above its range counts as its highest."""
    for value, count in Counter(values).items():
        into.record_value(min(max(value, 1), HIGHEST_US), count)


class Second(msgspec.Struct, kw_only=True):
    """One second of the run."""

    at: int
    """Seconds from the start."""
    due: float
    """Rate of the schedule, requests/s."""
    sent: int = 0
    answered: int = 0
    failed: int = 0
    p50_ms: float = 0.0
    p90_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0
    waiting: int = 0
    """Moments that waited for a connection at the second's end."""
    connections: int = 0
    driver_cpu: float = 0.0
    """Of the busiest sender, share of a core."""
    driver_starved: float = 0.0
    """Share of the second in which a sender was ready to run, but had no core."""


class Measurements:
    """Grows while the senders report."""

    def __init__(self, schedule: Schedule, senders: int, start: float) -> None:
        self.schedule, self.start = schedule, start
        self.latency, self.service, self.late = histogram(), histogram(), histogram()
        self.seconds: list[Second] = []
        self.probes: list[tuple[int, int, float]] = []
        """Sender, number and scheduled moment of hits that are followed; the monitor takes them out."""
        self.marks: list[list[tuple[float, int]]] = [[] for _ in range(senders)]
        """For each sender: (seconds from the start, ids given out by then)."""
        self._window = histogram()
        self._sent = [0] * senders
        self._last: list[Interval | None] = [None] * senders
        self._cpu: list[tuple[float, float, float]] = [(start, 0.0, 0.0)] * senders
        self._shares: list[list[tuple[float, float]]] = [[] for _ in range(senders)]

    def add(self, sender: int, cut: Interval) -> None:
        """Take in a sender's slice."""
        elapsed = cut.until - self.start
        while len(self.seconds) <= max(0, int(elapsed)):
            self._next_second()
        now = self.seconds[-1]
        for times in (cut.latencies, cut.missed):
            record(self.latency, times)
            record(self._window, times)
        record(self.service, cut.service)
        record(self.late, cut.late)
        now.answered += len(cut.latencies)
        now.failed += cut.failed
        now.sent += cut.requests - self._sent[sender]
        self._sent[sender] = cut.requests
        self._last[sender] = cut
        now.waiting = sum(last.waiting for last in self._last if last)
        now.connections = sum(last.alive for last in self._last if last)
        since, cpu_s, starved_s = self._cpu[sender]
        if cut.until - since >= 0.9:
            if cpu_s:  # the first cut only sets where the counting begins
                shares = ((cut.cpu_s - cpu_s) / (cut.until - since), (cut.starved_s - starved_s) / (cut.until - since))
                self._shares[sender].append(shares)
                now.driver_cpu = max(now.driver_cpu, shares[0])
                now.driver_starved = max(now.driver_starved, shares[1])
            self._cpu[sender] = (cut.until, cut.cpu_s, cut.starved_s)
        self.marks[sender].append((elapsed, cut.numbers))
        self.probes.extend((sender, number, at) for number, at in cut.probes)
        if self._window.get_total_count():
            now.p50_ms, now.p90_ms, now.p99_ms = (self._window.get_value_at_percentile(p) / 1000 for p in (50, 90, 99))
            now.max_ms = self._window.get_max_value() / 1000

    def _next_second(self) -> None:
        at = len(self.seconds)
        self._window = histogram()
        self.seconds.append(Second(at=at, due=self.schedule.rate_at(at + 0.5)))

    def busiest_sender(self) -> tuple[float, float]:
        """Return the busiest sender's mean shares of the time: running, and waiting for a core."""
        means = [(fmean(s[0] for s in shares), fmean(s[1] for s in shares)) for shares in self._shares if shares]
        return max(means, key=sum, default=(0.0, 0.0))

    def moment_of(self, sender: int, number: int) -> float:
        """Return about when (seconds from the start, to a tenth) a sender's hit was sent."""
        return next((elapsed for elapsed, numbers in self.marks[sender] if numbers > number), float("inf"))

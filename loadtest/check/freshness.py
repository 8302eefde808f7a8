"""What happens behind the collector while a run goes on: each stage's own metrics, and how fresh the events are.

A thread of its own. Freshness follows some hits a second from their scheduled moment until `pharos.events` shows them;
it asks ClickHouse as often as that costs little: four times as long between two questions as one takes, at most 2 s.
Where more hits are outstanding than fit into a question, they take turns: lost ones must not hide the others.
"""

import threading
import time
import urllib.request
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from loadtest.check.faults import find
from loadtest.check.processes import rss_bytes
from loadtest.check.stored_hits import Store, StoreUnavailable
from loadtest.drive.measurements import Measurements
from loadtest.traffic.request_template import hit_id

WATCHED: Final = {
    "spool bytes": "pharos_collector_spool_bytes",
    "enricher lag": "pharos_enricher_lag_records",
    "sink lag": "pharos_sink_lag_records",
    "accepted": "pharos_collector_hits_total",
    "forwarded": "pharos_collector_forwarded_hits_total",
    "enriched": "pharos_enricher_hits_total",
    "rows": "pharos_sink_rows_total",
}
"""What the report calls it: the metric's name. Samples of one metric are summed."""

STAGES: Final = {"collector": "-m collector", "enricher": "-m enricher", "sink": "-m sink"}
"""By name, what the stage's command line contains."""

ASKED: Final = 200
"""Hits asked for in one question: as many as fit into a URL."""


class Sample(msgspec.Struct, kw_only=True):
    """The stages at one moment."""

    at: float
    """Seconds from the start."""
    values: dict[str, float]
    """By the names of WATCHED, and "collector bytes" and so on, resident memory, where the runner is known.

    A stage that did not answer is left out.
    """


class FollowedHit(msgspec.Struct, frozen=True):
    """One hit that was followed."""

    at: float
    """Scheduled moment, seconds from the start."""
    after_s: float
    """How long until it was visible."""


def scrape(url: str, within_s: float = 2.0) -> dict[str, float]:
    """Return the sums of an admin port's metrics by sample name; `{}` when it does not answer.

    Counters are summed over their labels, except refusals and dead letters: see `_counts`.
    """
    try:
        with urllib.request.urlopen(f"{url}/metrics", timeout=within_s) as response:  # noqa: S310 - an admin port's address
            text = response.read().decode()
    except OSError:
        return {}
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if _counts(sample.name, sample.labels):
                sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return sums


def memory(root: int) -> dict[str, float]:
    """Return each stage's resident bytes among the descendants of `root`, as "collector bytes"; 0 knows of none."""
    found = {stage: find(root, words) for stage, words in STAGES.items()} if root else {}
    return {
        f"{stage} bytes": float(sum(rss_bytes(process.pid) for process in processes))
        for stage, processes in found.items()
        if processes
    }


def _counts(name: str, labels: Mapping[str, str]) -> bool:
    wanted = {"pharos_collector_hits_total": "accepted", "pharos_enricher_hits_total": "enriched"}.get(name)
    return wanted is None or labels.get("result") == wanted


class Monitor:
    """Collects Samples and FollowedHits until it is stopped."""

    def __init__(self, run: str, store: Store | None, admins: tuple[str, ...], pid: int = 0) -> None:
        self.run, self.store, self.admins, self.pid = run, store, admins, pid
        self.samples: list[Sample] = []
        self.fresh: list[FollowedHit] = []
        self.outstanding: OrderedDict[str, float] = OrderedDict()
        self.notes: list[str] = []
        self._measured: Measurements | None = None
        self._since = time.time() - 60
        self._ended: float | None = None
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._scrape, daemon=True),
            threading.Thread(target=self._follow, daemon=True),
        ]

    def follow(self, measured: Measurements) -> None:
        """Take over the probes that the senders have reported; starts the threads at the first call."""
        if self._measured is None:
            self._measured = measured
            for thread in self._threads:
                thread.start()
        probes, measured.probes = measured.probes, []
        for sender, number, at in probes:
            self.outstanding[hit_id(self.run, sender, number)] = at - measured.start

    def stop(self, wait_s: float = 0.0) -> None:
        """Stop, once nothing is outstanding or `wait_s` are over."""
        deadline = time.monotonic() + wait_s
        while self.store and self.outstanding and time.monotonic() < deadline:
            time.sleep(0.1)
        self._stop.set()
        self._ended = self.elapsed()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(10)

    def unseen(self) -> list[FollowedHit]:
        """Return the followed hits that are not visible, each with how long it has been looked for."""
        now = self.elapsed() if self._ended is None else self._ended
        return [FollowedHit(at, now - at) for at in self.outstanding.values()]

    def elapsed(self) -> float:
        """Return seconds from the start of the run."""
        return time.perf_counter() - self._measured.start if self._measured else 0.0

    def _scrape(self) -> None:
        while not self._stop.wait(1.0):
            found: dict[str, float] = {}
            for admin in self.admins:
                found |= scrape(admin)
            values = {name: found[metric] for name, metric in WATCHED.items() if metric in found} | memory(self.pid)
            if values:
                self.samples.append(Sample(at=self.elapsed(), values=values))

    def _follow(self) -> None:
        if self.store is None:
            return
        pause = 0.1
        while not self._stop.wait(pause):
            pause = self.ask(self.store)

    def ask(self, store: Store) -> float:
        """Ask once after outstanding hits, those first that have not been asked for longest; return the next pause."""
        ids = list(self.outstanding)[:ASKED]
        if not ids:
            return 0.1
        before = time.perf_counter()
        try:
            seen = store.visible(ids, self._since)
        except StoreUnavailable as problem:  # perhaps on purpose: noted, and asked again
            self.notes.append(f"{self.elapsed():.0f} s: ClickHouse: {problem}")
            return 1.0
        now = self.elapsed()
        for identifier in ids:
            if identifier in seen:
                at = self.outstanding.pop(identifier)
                self.fresh.append(FollowedHit(at, now - at))
            else:
                self.outstanding.move_to_end(identifier)
        return min(2.0, max(0.1, 4 * (time.perf_counter() - before)))

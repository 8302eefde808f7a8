"""Every metric of the collector, with what to do when it moves; counted as plain numbers, added up over the workers.

Rule: a worker counts in a Tally, a dictionary and an addition; the supervisor adds the workers' tallies up and puts
them into Prometheus' text form. A worker's count outlives it: what it had told last stays in the sum. Over 250 lines
with the metrics' texts.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

PREFIX: Final = "pharos_collector_"

MOST_SITES: Final = 200
"""Sites that are shown by name: the first of `sites.toml`, in its order. The rest is OTHER_SITES, so that the time
series stay as many whatever the file holds."""
OTHER_SITES: Final = "_other"
"""No site can be called so: a key begins with a letter or digit."""

SECONDS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0
)  # fmt: skip
"""Upper bounds of the histograms' buckets."""


class Declared(NamedTuple):
    """One metric."""

    kind: Literal["counter", "gauge", "gauge_max", "histogram"]
    """`gauge_max`: of the workers' values the highest counts; all others add up. `histogram`: of seconds."""
    labels: tuple[str, ...]
    help: str
    begin: tuple[str, ...] = ()
    """Values of the one label that are shown from the start, at 0: a series that is born at 1 has no increase."""


METRICS: Final[Mapping[str, Declared]] = {
    "hits_total": Declared(
        "counter",
        ("site", "result"),
        "Hits by result: accepted, or the refusal's reason. Refusals rise: look at the site's snippet. `site` is one "
        "of the first 200 of sites.toml, `_other` for the rest, empty where it was none of ours.",
    ),
    "address_faults_total": Declared(
        "counter",
        ("why",),
        "Address headers not believed. untrusted: name your proxies in TRUSTED_PROXIES; broken: look at the CDN.",
        ("untrusted", "broken"),
    ),
    "files_stale": Declared(
        "gauge_max", (), "1: sites.toml or links.toml is broken, the old one in force. Read the log."
    ),
    "salt_alone": Declared(
        "gauge_max", (), "1: the salt's folder cannot be used, cookieless ids differ between workers. Read the log."
    ),
    "salt_fingerprint": Declared(
        "gauge_max",
        (),
        "32 bits made of today's salt, one way; 0: none used. Hosts show different values: they do not share the salt.",
    ),
    "answer_seconds": Declared(
        "histogram",
        ("lane",),
        "From a request's reading to its answer's writing, the spool's write (under fsync always: and sync) between. "
        "Fast lane: of a turn's answers all count as its first, so that none is shown too fast; full lane: each by "
        "itself, its body's arrival included. Slower: the disk, or too few workers.",
    ),
    "requests_total": Declared(
        "counter",
        ("lane",),
        "Requests by lane: fast or full. Few fast ones though pixels come: something in front rewrites requests.",
        ("fast", "full"),
    ),
    "request_errors_total": Declared(
        "counter",
        ("status",),
        "Requests answered by a protocol error. They rise: a broken client or a scanner; nothing is lost.",
        ("400", "408", "413", "414", "431"),
    ),
    "connections": Declared("gauge", (), "Open connections. Near the bound: add workers, or raise CONNECTIONS."),
    "connections_refused_total": Declared(
        "counter", (), "Connections closed at once, over the bound. It moves: add workers, or raise CONNECTIONS."
    ),
    "spool_bytes": Declared("gauge", (), "Unsent bytes on disk. It grows: Kafka is away or slow."),
    "spool_limit_bytes": Declared(
        "gauge", (), "PHAROS_COLLECTOR_SPOOL_BYTES: what the spool may take. Hits that find no room are answered 503."
    ),
    "spool_acknowledged_bytes_total": Declared(
        "counter",
        (),
        "Bytes of the spool that its mark has passed: Kafka has them. It stands, spool_bytes grows: Kafka is away.",
    ),
    "spool_disk_bytes": Declared("gauge", (), "All bytes of the spool on disk, with acknowledged ones that are kept."),
    "spool_oldest_seconds": Declared(
        "gauge_max", (), "Age of the oldest segment with unsent hits. It grows: Kafka is away."
    ),
    "spool_refused_total": Declared(
        "counter",
        ("why",),
        "Hits answered 503. full: Kafka away too long, or bound too low; floor: disk nearly full; else the disk's.",
        ("full", "floor", "fsync", "oversized", "EIO", "ENOSPC", "EDQUOT", "EROFS"),
    ),
    "spool_damaged_bytes_total": Declared(
        "counter", (), "Bytes that were no record, set aside in the spool's damage folders. Look at the disk."
    ),
    "spool_damage_dropped_bytes_total": Declared(
        "counter", (), "Bytes that the damage folders had no room for, the oldest first. Look at the disk, empty them."
    ),
    "spool_torn_bytes_total": Declared(
        "counter", (), "Bytes cut from half-written tails at start, after a crash. Nobody was answered for them."
    ),
    "fsync_failures_total": Declared("counter", (), "fsync failed. Replace the disk."),
    "forwarded_hits_total": Declared("counter", (), "Hits that Kafka has acknowledged, repeats counted."),
    "forwarded_batches_total": Declared("counter", (), "Batches that Kafka has acknowledged."),
    "kafka_seconds": Declared(
        "histogram",
        ("step",),
        "Kafka's latency; produce: from a batch's sending to all replicas' acknowledgement. Rising: look at Kafka.",
    ),
    "oversized_hits_total": Declared(
        "counter", (), "Hits that the topic refused as too large, set aside. Raise the topic's max.message.bytes."
    ),
    "producers_total": Declared(
        "counter",
        ("why",),
        "Kafka producers built, by what ended the one before. They rise: look at Kafka.",
        ("first", "forgot", "KafkaConnectionError", "KafkaTimeoutError", "TimeoutError"),
    ),
    "replays_total": Declared("counter", (), "Times that kept hits were sent again, the broker having lost them."),
    "kafka_up": Declared("gauge", (), "Workers whose producer stands. Under the number of workers: look at Kafka."),
    "worker_memory_bytes": Declared("gauge_max", (), "Resident memory of the largest worker."),
    "cpu_seconds_total": Declared("counter", (), "Processor time of the workers."),
    "workers": Declared("gauge", (), "Running workers. Fewer than WORKERS: read the log."),
    "worker_deaths_total": Declared("counter", (), "Workers that died and were replaced. It moves: read the log."),
}

Key = tuple[str, ...]
"""A metric's name and its labels' values. A histogram's has one more at its end: a bucket's index, or `sum`."""


class Histogram:
    """Seconds, by bucket; made by a Tally."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts: Final = [0] * (len(SECONDS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float, by: int = 1) -> None:
        """Count `by` things that took so long."""
        self.counts[bisect_left(SECONDS, seconds)] += by
        self.sum += seconds * by


class Tally:
    """A worker's counts."""

    def __init__(self) -> None:
        self.values: Final[dict[Key, float]] = {}
        self.histograms: Final[dict[Key, Histogram]] = {}
        self._named: Final[dict[str, None]] = {}

    def name_sites(self, sites: Iterable[str]) -> None:
        """Show these by name, in this order while there are free places; a site that has one keeps it."""
        for site in sites:
            self._shown(site)
            self.values.setdefault(("hits_total", site, "accepted"), 0)

    def _shown(self, site: str) -> str:
        if site and site not in self._named:
            if len(self._named) >= MOST_SITES:
                return OTHER_SITES
            self._named[site] = None
        return site

    def histogram(self, name: str, *labels: str) -> Histogram:
        """Return the histogram to observe in; the same for the same labels."""
        return self.histograms.setdefault((name, *labels), Histogram())

    def add(self, name: str, *labels: str, by: float = 1) -> None:
        """Count."""
        key = (name, *labels)
        self.values[key] = self.values.get(key, 0) + by

    def set(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge."""
        self.values[name, *labels] = value

    def snapshot(self) -> list[tuple[Key, float]]:
        """Return what was counted so far."""
        told: list[tuple[Key, float]] = []
        others: dict[Key, float] = {}
        for key, value in self.values.items():
            if key[0] == "hits_total" and self._shown(key[1]) == OTHER_SITES:
                key = (key[0], OTHER_SITES, key[2])
                others[key] = others.get(key, 0) + value
            else:
                told.append((key, value))
        told += others.items()
        for key, histogram in self.histograms.items():
            told += [((*key, str(at)), count) for at, count in enumerate(histogram.counts) if count]
            told.append(((*key, "sum"), histogram.sum))
        return told


WAITING_FOR_KAFKA: Final = "waiting for Kafka"


class Report(msgspec.Struct, frozen=True, array_like=True):
    """What a worker tells the supervisor, a JSON line each."""

    not_ready: str
    """Why traffic should stay away; empty: it may come."""
    tally: list[tuple[Key, float]]
    met_kafka: bool = False
    """Its producer has stood at least once."""


Snapshot = Iterable[tuple[Key, float]]


def total(tallies: Iterable[Snapshot], gone: Iterable[Snapshot] = ()) -> dict[Key, float]:
    """Add up living workers' values, and of those that are gone what was counted."""
    sums: dict[Key, float] = {}
    for tally in tallies:
        for key, value in tally:
            before = sums.get(key)
            if before is None:
                sums[key] = value
            else:
                sums[key] = max(before, value) if METRICS[key[0]].kind == "gauge_max" else before + value
    for tally in gone:
        for key, value in tally:
            if METRICS[key[0]].kind in ("counter", "histogram"):
                sums[key] = sums.get(key, 0) + value
    return sums


class _Sums(Collector):
    def __init__(self, sums: Mapping[Key, float]) -> None:
        self._sums = sums

    def collect(self) -> Iterable[Metric]:
        for name, declared in METRICS.items():
            family: CounterMetricFamily | GaugeMetricFamily
            if declared.kind == "histogram":
                yield self._histogram(name, declared)
                continue
            if declared.kind == "counter":
                family = CounterMetricFamily(PREFIX + name, declared.help, labels=declared.labels)
            else:
                family = GaugeMetricFamily(PREFIX + name, declared.help, labels=declared.labels)
            found = [(key[1:], value) for key, value in self._sums.items() if key[0] == name]
            there = {labels for labels, _ in found}
            begun = [(value,) for value in declared.begin] if declared.labels else [()]
            found += [(labels, 0) for labels in begun if labels not in there]
            for labels, value in sorted(found):
                family.add_metric(labels, value)
            yield family

    def _histogram(self, name: str, declared: Declared) -> HistogramMetricFamily:
        family = HistogramMetricFamily(PREFIX + name, declared.help, labels=declared.labels)
        for labels in sorted({key[1:-1] for key in self._sums if key[0] == name}):
            count = 0.0
            buckets = []
            for at, bound in enumerate((*SECONDS, float("inf"))):
                count += self._sums.get((name, *labels, str(at)), 0)
                buckets.append(("+Inf" if bound == float("inf") else repr(bound), count))
            family.add_metric(labels, buckets, self._sums.get((name, *labels, "sum"), 0))
        return family


def text(sums: Mapping[Key, float]) -> bytes:
    """Return Prometheus' text form."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Sums(sums))
    return generate_latest(registry)

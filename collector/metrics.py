"""Every metric of the collector, with the action to take when it changes; counted as numbers, summed over the workers.

A worker counts in a Tally: a dictionary and an addition. The supervisor sums the workers' tallies and returns them in
Prometheus' text format. A worker's last reported counts stay in the sum after its end. Over 250 lines with the texts of
the metrics.
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
"""Number of sites shown by name: the first of `sites.toml`, in its order. All others are OTHER_SITES, which bounds the
number of time series."""
OTHER_SITES: Final = "_other"
"""Not a possible site key: keys begin with a letter or digit."""

DROPPABLE: Final = ("url", "referrer", "value")
"""Fields that the collector drops from an event that it accepts."""

SECONDS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0
)  # fmt: skip
"""Upper bounds of the histograms' buckets."""


class Declared(NamedTuple):
    """One metric."""

    kind: Literal["counter", "gauge", "gauge_max", "histogram"]
    """`gauge_max`: the highest value of all workers; the other kinds are summed. `histogram`: of seconds."""
    labels: tuple[str, ...]
    help: str
    begin: tuple[str, ...] = ()
    """Values of the one label that are shown from the start, as 0: a series that begins at 1 shows no increase."""


METRICS: Final[Mapping[str, Declared]] = {
    "hits_total": Declared(
        "counter",
        ("site", "result"),
        "Hits by result: accepted, or the refusal's reason. Refusals rise: look at the site's snippet. `site` is one "
        "of the first 200 of sites.toml, `_other` for the rest, empty for an unknown site.",
    ),
    "address_faults_total": Declared(
        "counter",
        ("why",),
        "Address headers not trusted. untrusted: name your proxies in TRUSTED_PROXIES; broken: look at the CDN.",
        ("untrusted", "broken"),
    ),
    "dropped_fields_total": Declared(
        "counter",
        ("site", "field"),
        "Fields that accepted events are stored without: a value of a bad form, or over the site's max_value. It "
        "rises: look at the site's snippet, or raise max_value. `site` as in hits_total.",
    ),
    "files_stale": Declared(
        "gauge_max", (), "1: sites.toml or links.toml is broken, the last good files apply. Read the log."
    ),
    "salt_alone": Declared(
        "gauge_max", (), "1: the salt's folder cannot be used, cookieless ids differ between workers. Read the log."
    ),
    "salt_fingerprint": Declared(
        "gauge_max",
        (),
        "32 bits of a hash of today's salt; 0: no salt used. Hosts show different values: they do not share the salt.",
    ),
    "answer_seconds": Declared(
        "histogram",
        ("path",),
        "From a request's reading to its answer's writing, the spool's write (under fsync always: and sync) between. "
        "Fast path: of a turn's answers all count as its first, so that none is shown too fast; full path: each by "
        "itself, its body's arrival included. Slower: the disk, or too few workers.",
    ),
    "requests_total": Declared(
        "counter",
        ("path",),
        "Requests by path: fast (answered by the connection) or full (by aiohttp). Few fast ones: something in front "
        "rewrites requests, or senders compress their posts.",
        ("fast", "full"),
    ),
    "request_errors_total": Declared(
        "counter",
        ("status",),
        "Requests answered with a protocol error. They rise: a broken client or a scanner; nothing is lost.",
        ("400", "408", "413", "414", "431"),
    ),
    "connections": Declared("gauge", (), "Open connections. Near the bound: add workers, or raise CONNECTIONS."),
    "connections_refused_total": Declared(
        "counter", (), "Connections closed at once, over the bound. It rises: add workers, or raise CONNECTIONS."
    ),
    "spool_bytes": Declared("gauge", (), "Unsent bytes on disk. It grows: Kafka is unreachable or slow."),
    "spool_limit_bytes": Declared(
        "gauge", (), "PHAROS_COLLECTOR_SPOOL_BYTES: the bound of the spool. Hits without room are answered 503."
    ),
    "spool_acknowledged_bytes_total": Declared(
        "counter",
        (),
        "Bytes of the spool that Kafka has acknowledged. It does not grow but spool_bytes does: Kafka is unreachable.",
    ),
    "spool_disk_bytes": Declared("gauge", (), "All bytes of the spool on disk, kept acknowledged ones included."),
    "spool_oldest_seconds": Declared(
        "gauge_max", (), "Age of the oldest segment with unsent hits. It grows: Kafka is unreachable."
    ),
    "spool_refused_total": Declared(
        "counter",
        ("why",),
        "Hits answered 503. full: Kafka unreachable too long, or bound too low; floor: disk nearly full; else the "
        "disk's error.",
        ("full", "floor", "fsync", "oversized", "EIO", "ENOSPC", "EDQUOT", "EROFS"),
    ),
    "spool_damaged_bytes_total": Declared(
        "counter", (), "Bytes that were no record, kept in the spool's damage folders. Look at the disk."
    ),
    "spool_damage_dropped_bytes_total": Declared(
        "counter", (), "Bytes deleted from full damage folders, the oldest first. Look at the disk, empty the folders."
    ),
    "spool_torn_bytes_total": Declared(
        "counter",
        (),
        "Bytes cut from half-written tails at start, after a crash. Their hits were never answered.",
    ),
    "fsync_failures_total": Declared("counter", (), "fsync failed. Replace the disk."),
    "forwarded_hits_total": Declared("counter", (), "Hits that Kafka has acknowledged, repeats included."),
    "forwarded_batches_total": Declared("counter", (), "Batches that Kafka has acknowledged."),
    "kafka_seconds": Declared(
        "histogram",
        ("step",),
        "Kafka's latency; produce: from sending a batch to the acknowledgement of all replicas. Rising: look at Kafka.",
    ),
    "oversized_hits_total": Declared(
        "counter",
        (),
        "Hits that the topic refused as too large, set aside. Raise the topic's max.message.bytes.",
    ),
    "producers_total": Declared(
        "counter",
        ("why",),
        "Kafka producers started, by the failure that ended the one before. They rise: look at Kafka.",
        ("first", "forgot", "KafkaConnectionError", "KafkaTimeoutError", "TimeoutError"),
    ),
    "replays_total": Declared("counter", (), "Times that kept hits were sent again because the broker had lost them."),
    "kafka_up": Declared("gauge", (), "Workers with a connected producer. Under the number of workers: look at Kafka."),
    "worker_memory_bytes": Declared("gauge_max", (), "Resident memory of the largest worker."),
    "cpu_seconds_total": Declared("counter", (), "Processor time of the workers."),
    "workers": Declared("gauge", (), "Running workers. Fewer than WORKERS: read the log."),
    "worker_deaths_total": Declared("counter", (), "Workers that died and were replaced. It rises: read the log."),
}

Key = tuple[str, ...]
"""A metric's name and its labels' values. A histogram's key ends with a bucket's index, or `sum`."""


class Histogram:
    """Seconds, by bucket; made by a Tally."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts: Final = [0] * (len(SECONDS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float, by: int = 1) -> None:
        """Count `by` events of this duration."""
        self.counts[bisect_left(SECONDS, seconds)] += by
        self.sum += seconds * by


class Tally:
    """A worker's counts."""

    def __init__(self) -> None:
        self.values: Final[dict[Key, float]] = {}
        self.histograms: Final[dict[Key, Histogram]] = {}
        self._named: Final[dict[str, None]] = {}

    def name_sites(self, sites: Iterable[str]) -> None:
        """Show these sites by name, in this order, up to MOST_SITES; a site that is shown by name stays so."""
        for site in sites:
            self._shown(site)
            self.values.setdefault(("hits_total", site, "accepted"), 0)
            for field in DROPPABLE:
                self.values.setdefault(("dropped_fields_total", site, field), 0)

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
        """Return the counts so far."""
        shown: list[tuple[Key, float]] = []
        others: dict[Key, float] = {}
        for key, value in self.values.items():
            if METRICS[key[0]].labels[:1] == ("site",) and self._shown(key[1]) == OTHER_SITES:
                key = (key[0], OTHER_SITES, *key[2:])
                others[key] = others.get(key, 0) + value
            else:
                shown.append((key, value))
        shown += others.items()
        for key, histogram in self.histograms.items():
            shown += [((*key, str(at)), count) for at, count in enumerate(histogram.counts) if count]
            shown.append(((*key, "sum"), histogram.sum))
        return shown


WAITING_FOR_KAFKA: Final = "waiting for Kafka"


RefusedEntry = tuple[str, str, str, str, int, int, int]
"""The fields of `policy.refused_hits.RefusedHit`."""


class Report(msgspec.Struct, frozen=True, array_like=True):
    """A worker's state, sent to the supervisor as a JSON line."""

    not_ready: str
    """Why load balancers should send no traffic; empty: they may."""
    tally: list[tuple[Key, float]]
    met_kafka: bool = False
    """Its producer was connected at least once."""
    refused: list[RefusedEntry] | None = None
    """The last refusals, oldest first; None unless the supervisor asks."""


Snapshot = Iterable[tuple[Key, float]]


def total(tallies: Iterable[Snapshot], gone: Iterable[Snapshot] = ()) -> dict[Key, float]:
    """Sum the values of running workers, and the counters of ended ones."""
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
    """Return Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Sums(sums))
    return generate_latest(registry)

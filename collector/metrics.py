"""Every metric of the collector, with what to do when it moves; counted as plain numbers, added up over the workers.

Rule: a worker counts in a Tally, a dictionary and an addition; the supervisor adds the workers' tallies up and puts
them into Prometheus' text form. A worker's count outlives it: what it had told last stays in the sum.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

PREFIX: Final = "pharos_collector_"


class Declared(NamedTuple):
    """One metric."""

    kind: Literal["counter", "gauge", "gauge_max"]
    """`gauge_max`: of the workers' values the highest counts; all others add up."""
    labels: tuple[str, ...]
    help: str


METRICS: Final[Mapping[str, Declared]] = {
    "hits_total": Declared(
        "counter",
        ("site", "result"),
        "Hits by result: accepted, or the refusal's reason. Refusals rise: look at the site's snippet.",
    ),
    "address_faults_total": Declared(
        "counter",
        ("why",),
        "Address headers not believed. untrusted: name your proxies in TRUSTED_PROXIES; broken: look at the CDN.",
    ),
    "files_stale": Declared(
        "gauge_max", (), "1: sites.toml or links.toml is broken, the old one in force. Read the log."
    ),
    "salt_alone": Declared(
        "gauge_max", (), "1: the salt's folder cannot be used, cookieless ids differ between workers. Read the log."
    ),
    "answers_total": Declared(
        "counter",
        ("within",),
        "Answers by the time from the hit's reading to its answer, the spool's write between: within 0.01, 0.1, 1 s, "
        "or inf. Slower ones rise: the disk (under fsync always), or too few workers.",
    ),
    "requests_total": Declared(
        "counter",
        ("lane",),
        "Requests by lane: fast or full. Few fast ones though pixels come: something in front rewrites requests.",
    ),
    "request_errors_total": Declared(
        "counter",
        ("status",),
        "Requests answered by a protocol error. They rise: a broken client or a scanner; nothing is lost.",
    ),
    "connections": Declared("gauge", (), "Open connections. Near the bound: add workers, or raise CONNECTIONS."),
    "connections_refused_total": Declared(
        "counter", (), "Connections closed at once, over the bound. It moves: add workers, or raise CONNECTIONS."
    ),
    "spool_bytes": Declared("gauge", (), "Unsent bytes on disk. It grows: Kafka is away or slow."),
    "spool_disk_bytes": Declared("gauge", (), "All bytes of the spool on disk, with acknowledged ones that are kept."),
    "spool_oldest_seconds": Declared(
        "gauge_max", (), "Age of the oldest segment with unsent hits. It grows: Kafka is away."
    ),
    "spool_refused_total": Declared(
        "counter",
        ("why",),
        "Hits answered 503. full: Kafka away too long, or bound too low; floor: disk nearly full; else the disk's.",
    ),
    "spool_damaged_bytes_total": Declared(
        "counter", (), "Bytes that were no record, set aside in the spool's damage folders. Look at the disk."
    ),
    "spool_torn_bytes_total": Declared(
        "counter", (), "Bytes cut from half-written tails at start, after a crash. Nobody was answered for them."
    ),
    "fsync_failures_total": Declared("counter", (), "fsync failed. Replace the disk."),
    "forwarded_hits_total": Declared("counter", (), "Hits that Kafka has acknowledged, repeats counted."),
    "forwarded_batches_total": Declared("counter", (), "Batches that Kafka has acknowledged."),
    "forwarded_seconds_total": Declared(
        "counter",
        (),
        "From a batch's sending to Kafka's acknowledgement, added up; by forwarded_batches_total: Kafka's latency.",
    ),
    "oversized_hits_total": Declared(
        "counter", (), "Hits that the topic refused as too large, set aside. Raise the topic's max.message.bytes."
    ),
    "producers_total": Declared(
        "counter", ("why",), "Kafka producers built, by what ended the one before. They rise: look at Kafka."
    ),
    "replays_total": Declared("counter", (), "Times that kept hits were sent again, the broker having lost them."),
    "kafka_up": Declared("gauge", (), "Workers whose producer stands. Under the number of workers: look at Kafka."),
    "worker_memory_bytes": Declared("gauge_max", (), "Resident memory of the largest worker."),
    "cpu_seconds_total": Declared("counter", (), "Processor time of the workers."),
    "workers": Declared("gauge", (), "Running workers. Fewer than WORKERS: read the log."),
    "worker_deaths_total": Declared("counter", (), "Workers that died and were replaced. It moves: read the log."),
}

Key = tuple[str, ...]
"""A metric's name and its labels' values."""


class Tally:
    """A worker's counts."""

    def __init__(self) -> None:
        self.values: Final[dict[Key, float]] = {}

    def add(self, name: str, *labels: str, by: float = 1) -> None:
        """Count."""
        key = (name, *labels)
        self.values[key] = self.values.get(key, 0) + by

    def set(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge."""
        self.values[name, *labels] = value


class Report(msgspec.Struct, frozen=True, array_like=True):
    """What a worker tells the supervisor, a JSON line each."""

    not_ready: str
    """Why traffic should stay away; empty: it may come."""
    tally: list[tuple[Key, float]]


Snapshot = Iterable[tuple[Key, float]]


def total(tallies: Iterable[Snapshot], gone: Iterable[Snapshot] = ()) -> dict[Key, float]:
    """Add up living workers' values, and of those that are gone the counters."""
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
            if METRICS[key[0]].kind == "counter":
                sums[key] = sums.get(key, 0) + value
    return sums


class _Sums(Collector):
    def __init__(self, sums: Mapping[Key, float]) -> None:
        self._sums = sums

    def collect(self) -> Iterable[Metric]:
        for name, declared in METRICS.items():
            family: CounterMetricFamily | GaugeMetricFamily
            if declared.kind == "counter":
                family = CounterMetricFamily(PREFIX + name, declared.help, labels=declared.labels)
            else:
                family = GaugeMetricFamily(PREFIX + name, declared.help, labels=declared.labels)
            found = [(key[1:], value) for key, value in self._sums.items() if key[0] == name]
            if not found and not declared.labels:
                found = [((), 0)]
            for labels, value in sorted(found):
                family.add_metric(labels, value)
            yield family


def text(sums: Mapping[Key, float]) -> bytes:
    """Return Prometheus' text form."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Sums(sums))
    return generate_latest(registry)

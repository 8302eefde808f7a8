"""The metrics of the enricher, each with what to do when it moves."""

import time
from typing import Final, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from enricher.backlog import Backlog
from enricher.contract import DeadReason

KAFKA_FAULTS: Final = (
    "CommitFailedError", "GroupCoordinatorNotAvailableError", "IllegalGenerationError", "InvalidProducerEpoch",
    "KafkaConnectionError", "KafkaTimeoutError", "LeaderNotAvailableError", "NodeNotReadyError",
    "NotLeaderForPartitionError", "OSError", "ProducerFenced", "RebalanceInProgressError", "RequestTimedOutError",
    "Stalled", "TimeoutError", "TopicAuthorizationFailedError", "UnknownTopicOrPartitionError", "other",
)  # fmt: skip
"""What ends a session, all shown from the start at 0: a series that is born at 1 has no increase."""


class Metrics:
    """The stage's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.hits = Counter(
            "pharos_enricher_hits",
            "Hits by result: enriched, or the reason of the dead letter. A rising reason: look at hits.dead.",
            ["result"],
            registry=self._registry,
        )
        for result in ("enriched", *get_args(DeadReason)):
            self.hits.labels(result)
        self.dropped = Counter(
            "pharos_enricher_dropped_fields",
            "Fields that a sender set and that are not usable, by site and field: their columns are empty. Rising: "
            "look at the site's snippet, and at the column `dropped`.",
            ["site", "field"],
            registry=self._registry,
        )
        self.lag = Gauge(
            "pharos_enricher_lag_records",
            "Records of hits.raw not yet taken. Rising: add an enricher, up to one a partition.",
            registry=self._registry,
        )
        self.lag_seconds = Gauge(
            "pharos_enricher_lag_seconds",
            "Age of the oldest hit of hits.raw that is not yet delivered, at most; 0: nothing waits. It grows by "
            "itself while the stage is stuck or cannot ask Kafka. Rising: see /readyz and the log.",
            registry=self._registry,
        )
        self.backlog = Backlog(time.time())
        self.age = Histogram(
            "pharos_enricher_hit_age_seconds",
            "From the collector's receipt to the enriched record's delivery, of a chunk's oldest hit. Rising: see lag.",
            registry=self._registry,
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600),
        )
        self.kafka = Histogram(
            "pharos_enricher_kafka_seconds",
            "Kafka's latency by step: fetch (an idle one waits 0.5 s by itself), produce, commit (with the end of the "
            "transaction). Rising: look at Kafka.",
            ["step"],
            registry=self._registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
        )
        for step in ("fetch", "produce", "commit"):
            self.kafka.labels(step)
        self.kafka_errors = Counter(
            "pharos_enricher_kafka_errors",
            "Errors of Kafka that ended a session, by aiokafka's name of them; `other`: the log has it. Rising: look "
            "at the log and at Kafka.",
            ["why"],
            registry=self._registry,
        )
        for why in KAFKA_FAULTS:
            self.kafka_errors.labels(why)
        self.deliveries = Counter(
            "pharos_enricher_deliveries",
            "Transactions, or batches with their commit. With hits: how large the chunks are.",
            registry=self._registry,
        )
        self.lost_records = Counter(
            "pharos_enricher_lost_records",
            "Records of hits.raw that were gone from Kafka before they were read; 1 for a topic that was created "
            "again. Any: the retention is shorter than the lag. hits.dead and `python -m sink reconcile` say which.",
            registry=self._registry,
        )
        self.restarts = Counter(
            "pharos_enricher_stream_restarts",
            "Times the stream began again at the committed offsets. Rising: look at the log and the broker.",
            registry=self._registry,
        )
        self.exactly_once = Gauge(
            "pharos_enricher_exactly_once",
            "1 under Kafka transactions, 0 at least once. 0 where you expect 1: the broker has no transactions.",
            registry=self._registry,
        )
        self.cached = Gauge(
            "pharos_enricher_cache_entries",
            "Cached results by cache; bounded.",
            ["cache"],
            registry=self._registry,
        )
        self.misses = Counter(
            "pharos_enricher_cache_misses",
            "Results computed, by cache. The hit rate is 1 less these over hits_total: pharos:cache_hits:ratio5m. It "
            "falls: traffic without repetition, CPU rises.",
            ["cache"],
            registry=self._registry,
        )
        self._misses: dict[str, int] = {}

    def kafka_error(self, error: BaseException) -> None:
        """Count what ended a session."""
        why = type(error).__name__
        self.kafka_errors.labels(why if why in KAFKA_FAULTS else "other").inc()

    def remembered(self, cache: str, held: int, misses: int) -> None:
        """Set how many entries a cache holds, and how many results it has computed so far."""
        self.cached.labels(cache).set(held)
        self.misses.labels(cache).inc(max(0, misses - self._misses.get(cache, 0)))
        self._misses[cache] = misses

    def count_dropped(self, fields: dict[tuple[str, str], int]) -> None:
        """Add the fields that were not usable, by site and name, and empty `fields`."""
        for (site, name), count in fields.items():
            self.dropped.labels(site, name).inc(count)
        fields.clear()

    def exposition(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        self.lag_seconds.set(self.backlog.seconds(time.time()))
        return generate_latest(self._registry)

"""Every metric of the sink, each with what to do when it moves."""

from bisect import bisect_left
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY: Final = CollectorRegistry()
"""The sink's own, so that /metrics shows nothing that is not declared here."""


class WeightedHistogram(Histogram):
    """A histogram in which one observation may count for many rows."""

    def observe_rows(self, amount: float, rows: int) -> None:
        """Count `rows` rows of this amount, like `rows` calls of `observe`."""
        self._sum.inc(amount * rows)
        self._buckets[bisect_left(self._upper_bounds, amount)].inc(rows)


ROWS = Counter(
    "pharos_sink_rows", "Rows stored. Flat while the enricher writes: see /readyz and the log.", registry=REGISTRY
)
LAG = Gauge(
    "pharos_sink_lag_records",
    "Records of hits.enriched not yet stored. Rising: ClickHouse is slow or away, or more sinks are needed.",
    ["partition"],
    registry=REGISTRY,
)
LAG_SECONDS = Gauge(
    "pharos_sink_lag_seconds",
    "Age of the oldest record in hand that is not stored. Above 5: ClickHouse does not keep up.",
    ["partition"],
    registry=REGISTRY,
)
INSERTS = Counter(
    "pharos_sink_inserts",
    "Insert attempts by result: stored, retry, refused. Retries: read ClickHouse's words in the log.",
    ["result"],
    registry=REGISTRY,
)
for _result in ("stored", "retry", "refused"):  # a series that is born at 1 has no increase
    INSERTS.labels(_result)
INSERT_SECONDS = Histogram(
    "pharos_sink_insert_seconds",
    "Time of one insert. Above 1 s: too many parts or too little memory in ClickHouse.",
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 120),
    registry=REGISTRY,
)
BATCH_ROWS = Histogram(
    "pharos_sink_batch_rows",
    "Rows an insert. Small ones under load: more partitions than load; raise PHAROS_SINK_BATCH_WAIT_MS.",
    buckets=(1, 10, 100, 1_000, 5_000, 10_000, 25_000, 50_000, 100_000),
    registry=REGISTRY,
)
FRESHNESS = WeightedHistogram(
    "pharos_sink_freshness_seconds",
    "From the collector's receipt of a hit to ClickHouse's acknowledgement of its row, counted in rows. "
    "Of each arrival up to 16 rows are measured, of each insert about 100. Objective: 99 % within 5 s. Above: look at "
    "the lag of each stage.",
    buckets=(0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 30, 60, 300, 3_600, 86_400),
    registry=REGISTRY,
)
KAFKA_SECONDS = Histogram(
    "pharos_sink_kafka_seconds",
    "Kafka's latency by step: fetch (an idle one waits 0.2 s by itself), commit. Rising: look at Kafka.",
    ["step"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=REGISTRY,
)
KAFKA_FAULTS: Final = (
    "GroupCoordinatorNotAvailableError", "IllegalStateError", "KafkaConnectionError", "KafkaTimeoutError",
    "LeaderNotAvailableError", "NodeNotReadyError", "NotLeaderForPartitionError", "RebalanceInProgressError",
    "RequestTimedOutError", "Stalled", "TopicAuthorizationFailedError", "UnknownTopicOrPartitionError", "other",
)  # fmt: skip
KAFKA_ERRORS = Counter(
    "pharos_sink_kafka_errors",
    "Errors of Kafka by aiokafka's name of them; `other`: the log has it. The step is tried again. Rising: look at the "
    "log and at Kafka.",
    ["why"],
    registry=REGISTRY,
)
for _why in KAFKA_FAULTS:
    KAFKA_ERRORS.labels(_why)
DEAD = Counter(
    "pharos_sink_dead",
    "Rows sent to hits.dead. Any: read `detail` there; the schema and the enricher disagree, or a row is broken.",
    ["reason"],
    registry=REGISTRY,
)
DEAD.labels("refused_by_clickhouse")
LOST = Counter(
    "pharos_sink_lost_records",
    "Records of hits.enriched that were gone from Kafka before they were stored; 1 for a topic that was created again. "
    "Any: the retention is shorter than the lag. hits.dead and `python -m sink reconcile` say which.",
    registry=REGISTRY,
)
FENCED = Counter(
    "pharos_sink_fenced",
    "Commits refused because another sink has the partition. Often: the sink stalls longer than the session timeout.",
    registry=REGISTRY,
)
REDONE = Counter(
    "pharos_sink_intents_redone",
    "Intents found at assignment and inserted again. One a crash is normal.",
    registry=REGISTRY,
)
EXACTLY_ONCE = Gauge(
    "pharos_sink_exactly_once",
    "1 with intents, 0 where the broker keeps no commit metadata and a crash may repeat rows.",
    registry=REGISTRY,
)
DAYS_CLOSED = Counter(
    "pharos_sink_days_closed",
    "Days of sites closed, for the first time or again. Many: rows come late, and days are made again: docs/sink.md.",
    registry=REGISTRY,
)
DAYS_DUE = Gauge(
    "pharos_sink_days_due",
    "Days of sites that are over and not closed after the last pass: every question cuts them from events. Rising: "
    "rows come late all the time.",
    registry=REGISTRY,
)
CLOSED_AT = Gauge(
    "pharos_sink_days_closed_timestamp_seconds",
    "When the last pass that closes days ended, or the first began; the greatest of all sinks counts, 0 is none. "
    "Its age is the lag of the closed days. Hours: read the log; questions stay right and become slow.",
    registry=REGISTRY,
)
CLOSING_ERRORS = Counter(
    "pharos_sink_closing_errors",
    "Passes that close days which ended with an error; the next one continues. Rising: the log has ClickHouse's words.",
    registry=REGISTRY,
)
BUFFER_BYTES = Gauge(
    "pharos_sink_buffer_bytes", "Bytes of rows in hand; bounded by PHAROS_SINK_BUFFER_BYTES.", registry=REGISTRY
)


def kafka_error(error: BaseException) -> None:
    """Count an error of Kafka."""
    why = type(error).__name__
    KAFKA_ERRORS.labels(why if why in KAFKA_FAULTS else "other").inc()

"""Every metric of the sink, each with what to do when it moves."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY: Final = CollectorRegistry()
"""The sink's own, so that /metrics shows nothing that is not declared here."""

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
INSERT_SECONDS = Histogram(
    "pharos_sink_insert_seconds",
    "Time of one insert. Above 1 s: too many parts or too little memory in ClickHouse.",
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 120),
    registry=REGISTRY,
)
BATCH_ROWS = Histogram(
    "pharos_sink_batch_rows",
    "Rows an insert. Small ones under load: more partitions than load; lower PHAROS_SINK_INSERTS_PER_S.",
    buckets=(1, 10, 100, 1_000, 5_000, 10_000, 25_000, 50_000, 100_000),
    registry=REGISTRY,
)
DEAD = Counter(
    "pharos_sink_dead",
    "Rows sent to hits.dead. Any: read `detail` there; the schema and the enricher disagree, or a row is broken.",
    ["reason"],
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
BUFFER_BYTES = Gauge(
    "pharos_sink_buffer_bytes", "Bytes of rows in hand; bounded by PHAROS_SINK_BUFFER_BYTES.", registry=REGISTRY
)

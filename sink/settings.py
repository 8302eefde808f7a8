"""What an operator can set of the sink: one frozen struct, read from `PHAROS_SINK_*`, every value with its unit."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

import msgspec

from stage.settings import Count, Port, PositiveSeconds, Ratio, Size, StageSettings, load


class Settings(StageSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The sink's settings; units are in the names."""

    PREFIX: ClassVar[str] = "PHAROS_SINK_"

    clickhouse: Annotated[str, msgspec.Meta(pattern=r"\Ahttps?://", description="an http:// or https:// URL")] = (
        "http://localhost:8123"
    )
    """URL of ClickHouse's HTTP interface; may contain user and password."""
    clickhouse_user: str = ""
    """User; wins over the one in the URL."""
    clickhouse_password: str = ""
    """Password; wins over the one in the URL."""
    clickhouse_ca: str = ""
    """Path of the certificate authorities for an https:// ClickHouse, PEM; empty: the system's."""
    admin_port: Port = 9102
    """Port of `/healthz`, `/readyz` and `/metrics`; 0 takes a free one and logs it."""
    topic_enriched: str = "hits.enriched"
    """Topic to read rows from."""
    topic_dead: str = "hits.dead"
    """Topic for dead letters."""
    group: str = "pharos-sink"
    """Consumer group: its committed offsets are the only state of the sink."""
    table: Annotated[
        str, msgspec.Meta(pattern=r"\A[A-Za-z_][A-Za-z0-9_]*\Z", description="a name of letters, digits and _")
    ] = "event_rows"
    """Table of the database `pharos` to insert into: with several shards a Distributed one, see docs/sink.md."""
    batch_rows: Count = 50_000
    """A batch with this many rows is inserted."""
    batch_bytes: Count = 33_554_432
    """A batch of this size is inserted."""
    batch_age_ms: Count = 1_000
    """A batch is inserted when its first row has waited this long."""
    buffer_bytes: Count = 134_217_728
    """Maximum size of all batches together. A new one is begun only while half of it is free."""
    inserts: Count = 1
    """Concurrent inserts of all partitions. One is enough while ClickHouse keeps up."""
    inserts_per_s: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    """Maximum inserts a second that BATCH_AGE_MS may start; full batches do not wait. Unused ones are saved, one per
    partition."""
    batch_wait_ms: Count = 2_000
    """Maximum wait of a batch for its turn. With many partitions this allows more inserts than INSERTS_PER_S."""
    insert_timeout_s: PositiveSeconds = 120.0
    """After this time without an answer the insert's result is unknown, and it is repeated with its token."""
    drain_s: PositiveSeconds = 20.0
    """After SIGTERM: maximum time for inserts in progress. An insert that does not end is repeated after the start."""
    session_timeout_ms: Count = 10_000
    """Time without a heartbeat after which Kafka gives this sink's partitions to another."""
    dead_ratio: Ratio = 0.5
    """The sink stops when more than this share of rows was refused."""
    dead_least_rows: Count = 1_000
    """Minimum rows for DEAD_RATIO, so that one bad sender at night does not stop the sink."""
    migrate: bool = True
    """Apply outstanding migrations at start; false if the sink's user may only insert."""
    close_every_s: Annotated[float, msgspec.Meta(ge=0)] = 300.0
    """Pause between two passes that close days (docs/sink.md). The sink that has partition 0 does it. 0: none does; run
    `python -m sink close` yourself, for example with a user of its own."""
    retention_days: Size = 0
    """ClickHouse deletes events that are older; 0: never."""
    cluster: Annotated[
        str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_-]*\Z", description="a name of letters, digits, _ and -")
    ] = ""
    """Name of a ClickHouse cluster: creates replicated tables ON CLUSTER. Empty: a single node."""
    shards: Annotated[
        str,
        msgspec.Meta(pattern=r"\A(https?://[^\s,]+(,https?://[^\s,]+)*)?\Z", description="URLs with commas between"),
    ] = ""
    """With several shards: the URL of one server of each, with commas between. Closing days, erasing, loading costs and
    storing time zones go to every one of them. Empty: CLICKHOUSE holds everything."""
    sites: str = ""
    """Path of the collector's sites.toml. The sink stores each site's `time_zone` in `pharos.sites`; `python -m sink
    forward` respects its `gpc`. Empty: every site's zone is UTC, and nothing can be forwarded."""
    forward_destinations: str = ""
    """`python -m sink forward`: path of destinations.toml."""
    forward_group: str = "pharos-forward"
    """Begin of the forwarder's consumer groups; each destination's name is added."""
    forward_admin_port: Port = 9103
    """Port of the forwarder's `/healthz`, `/readyz` and `/metrics`; 0 takes a free one and logs it."""
    topic_forward_dead: str = "forward.dead"
    """Topic for events that a platform refused for good."""

    @property
    def each_shard(self) -> "tuple[Settings, ...]":
        """These settings for a server of each shard."""
        if not self.shards:
            return (self,)
        return tuple(msgspec.structs.replace(self, clickhouse=url) for url in self.shards.split(","))


def read(environ: Mapping[str, str]) -> Settings:
    """Return the settings in `environ`.

    Raises:
        SettingError: an unknown or malformed variable; the message is one line that names it.
    """
    return load(Settings, environ)

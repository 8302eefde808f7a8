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
    """URL of ClickHouse's HTTP interface; may hold user and password."""
    clickhouse_user: str = ""
    """Beats the user in the URL."""
    clickhouse_password: str = ""
    """Beats the password in the URL."""
    clickhouse_ca: str = ""
    """Path of the authorities an https:// ClickHouse's certificate is checked against, PEM; empty: the system's."""
    admin_port: Port = 9102
    topic_enriched: str = "hits.enriched"
    topic_dead: str = "hits.dead"
    group: str = "pharos-sink"
    """Consumer group: its committed offsets are the sink's only memory."""
    table: Annotated[
        str, msgspec.Meta(pattern=r"\A[A-Za-z_][A-Za-z0-9_]*\Z", description="a name of letters, digits and _")
    ] = "event_log"
    """Table of the database pharos to insert into: on several shards a Distributed one, see docs/sink.md."""
    batch_rows: Count = 50_000
    batch_bytes: Count = 33_554_432
    batch_age_ms: Count = 1_000
    """An insert is due when its batch has this many rows, or bytes, or its first row has waited this long."""
    buffer_bytes: Count = 134_217_728
    """What all batches together may hold. New ones are begun only while half of it is free."""
    inserts: Count = 1
    """Inserts in flight at once, over all partitions. One is enough while ClickHouse is faster than the rows come."""
    inserts_per_s: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    """Inserts a second that age alone may start (full batches need not wait); saved up unused, one a partition."""
    batch_wait_ms: Count = 2_000
    """The longest that a batch waits for its turn: with many partitions there are more inserts a second than that."""
    insert_timeout_s: PositiveSeconds = 120.0
    """An insert without an answer for so long is unknown, and is repeated under its token."""
    drain_s: PositiveSeconds = 20.0
    """After SIGTERM: how long inserts in flight may take to end. What does not end is repeated at the next start."""
    session_timeout_ms: Count = 10_000
    """Without a heartbeat for so long, Kafka gives this sink's partitions to another."""
    dead_ratio: Ratio = 0.5
    """The brake: once more than this share of rows was refused, the sink stops."""
    dead_least_rows: Count = 1_000
    """The brake judges no fewer rows than these, so that a single bad sender at night stops nothing."""
    migrate: bool = True
    """Apply outstanding migrations at start; false where the sink's user may only insert."""
    retention_days: Size = 0
    """Events older than this are deleted by ClickHouse; 0 keeps them for ever."""
    cluster: Annotated[
        str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_-]*\Z", description="a name of letters, digits, _ and -")
    ] = ""
    """Name of a ClickHouse cluster: makes replicated tables ON CLUSTER. Empty: a single node."""


def read(environ: Mapping[str, str]) -> Settings:
    """Return the settings in `environ`.

    Raises:
        SettingError: an unknown or malformed variable; the message is one line that names it.
    """
    return load(Settings, environ)

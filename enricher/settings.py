"""The enricher's settings: read once, at start, from `PHAROS_ENRICHER_*`."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import msgspec

from stage.settings import Count, Port, Ratio, Size, StageSettings, load


class Settings(StageSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The enricher's settings; units are in the names."""

    PREFIX: ClassVar[str] = "PHAROS_ENRICHER_"

    group: str = "pharos-enricher"
    """Consumer group; transactional ids begin with it."""
    instance: str = ""
    """`group.instance.id`, this enricher's own name over restarts: one that is back within the session timeout takes
    its partitions again without a rebalance. Empty: a member as any other."""
    topic_raw: str = "hits.raw"
    topic_enriched: str = "hits.enriched"
    topic_dead: str = "hits.dead"
    admin_port: Port = 9101
    delivery: Literal["auto", "exactly_once", "at_least_once"] = "auto"
    """`exactly_once`: Kafka transactions; `auto`: where the broker has them."""
    compression: Literal["none", "lz4", "zstd", "gzip", "snappy"] = "zstd"
    """Of what is produced. aiokafka knows lz4 at level 9 only: 5.3 µs a row, against 1.1 for a smaller zstd."""
    chunk_records: Count = 16_000
    """Most records taken at once, which are one transaction; fewer if they are large (`column_fetch.MOST_BYTES`). New
    user agents of a chunk are read together (`stream/chunk.py`); with 4,000 records a hit costs a twentieth more."""
    batch_bytes: Count = 900_000
    """Most bytes, uncompressed, of one Kafka batch; the broker's `message.max.bytes` bounds it."""
    fetch_bytes: Count = 4_194_304
    """Most bytes fetched ahead of one input partition."""
    linger_ms: Size = 40
    """Pause after a small take, so that little traffic does not become many transactions."""
    session_timeout_ms: Annotated[int, msgspec.Meta(ge=1000)] = 10_000
    """Silence after which the group gives this enricher's partitions to another. Apache Kafka refuses less than its own
    `group.min.session.timeout.ms`: 6,000 unless set."""
    transaction_timeout_ms: Annotated[int, msgspec.Meta(ge=5000)] = 60_000
    """After which the broker aborts a transaction that nobody ends; readers of committed records wait as long."""
    delivery_timeout_ms: Annotated[int, msgspec.Meta(ge=1000)] = 30_000
    """Longest that a chunk may take to be written and committed, or a partition to be opened; then the session ends
    and the next one begins at the committed offsets. Below `transaction_timeout_ms`, when the broker gives up."""
    drain_timeout_ms: Annotated[int, msgspec.Meta(ge=1000)] = 15_000
    """Longest wait for what is under way when the stage is told to stop, or when partitions are taken away. Closing
    takes some 15 s more at most: together less than what the supervisor leaves (45 s in deploy/)."""
    geo_mmdb: str = ""
    """Path of an MMDB file with countries; empty: only the CDN's headers tell."""
    geo_check_s: Count = 30
    """How often the MMDB file is looked at."""
    brake_ratio: Ratio = 0.5
    """Stop when more than this share of a window's hits is dead."""
    brake_window_hits: Count = 1000
    """Hits in the window; fewer never stop the stage."""


def read(environ: Mapping[str, str]) -> Settings:
    """Return the settings in `environ`.

    Raises:
        SettingError: an unknown or malformed variable; the message is one line that names it.
    """
    return load(Settings, environ)

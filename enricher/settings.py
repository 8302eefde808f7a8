"""The enricher's settings: read once, at start, from `PHAROS_ENRICHER_*`."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import msgspec

from stage.settings import Count, Port, Ratio, Size, StageSettings, load


class Settings(StageSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The enricher's settings; units are in the names."""

    PREFIX: ClassVar[str] = "PHAROS_ENRICHER_"

    group: str = "pharos-enricher"
    """Consumer group; transactional ids begin with its name."""
    instance: str = ""
    """Kafka's `group.instance.id`, a name that is the same after a restart: an enricher that returns within the
    session timeout gets its partitions back without a rebalance. Empty: a dynamic member."""
    topic_raw: str = "hits.raw"
    """Topic to read hits from."""
    topic_enriched: str = "hits.enriched"
    """Topic for rows."""
    topic_dead: str = "hits.dead"
    """Topic for dead letters."""
    admin_port: Port = 9101
    """Port of `/healthz`, `/readyz` and `/metrics`; 0 takes a free one and logs it."""
    delivery: Literal["auto", "exactly_once", "at_least_once"] = "auto"
    """`exactly_once`: with Kafka transactions; `auto`: with transactions if the broker has them."""
    compression: Literal["none", "lz4", "zstd", "gzip", "snappy"] = "zstd"
    """Compression of what is produced. aiokafka has lz4 at level 9 only: 5.3 µs a row; zstd needs 1.1 µs."""
    chunk_records: Count = 16_000
    """Maximum records of one chunk, which is one transaction; fewer if they are large. New user agents of a chunk are
    parsed together: with 4,000 records a hit costs a twentieth more."""
    batch_bytes: Count = 900_000
    """Maximum uncompressed size of one Kafka batch; the broker's `message.max.bytes` limits it."""
    fetch_bytes: Count = 4_194_304
    """Maximum size fetched ahead per input partition."""
    linger_ms: Size = 40
    """Pause after a small chunk, so that little traffic does not make many transactions."""
    session_timeout_ms: Annotated[int, msgspec.Meta(ge=1000)] = 10_000
    """Time without a heartbeat after which the group gives this enricher's partitions to another. Apache Kafka refuses
    less than its `group.min.session.timeout.ms` (default 6,000)."""
    transaction_timeout_ms: Annotated[int, msgspec.Meta(ge=5000)] = 60_000
    """Time after which the broker aborts an open transaction; readers of committed records wait until then."""
    delivery_timeout_ms: Annotated[int, msgspec.Meta(ge=1000)] = 30_000
    """Maximum time to write and commit a chunk, or to open a partition; then the session ends and the next one begins
    at the committed offsets. Must be below TRANSACTION_TIMEOUT_MS."""
    drain_timeout_ms: Annotated[int, msgspec.Meta(ge=1000)] = 15_000
    """Maximum wait for chunks in progress at a stop, or when partitions are taken away. Closing takes at most 15 s
    more; the sum must be below the supervisor's stop timeout (45 s in deploy/)."""
    geo_mmdb: str = ""
    """Path of an MMDB file with countries; empty: countries come only from the CDN's headers."""
    sites: str = ""
    """Path of the collector's `sites.toml`, of which each site's `hosts` and `ignored_referrers` are read; empty: a
    referrer is internal only by the page's own domain."""
    geo_check_s: Count = 30
    """How often the MMDB file and `sites.toml` are checked for a change."""
    brake_ratio: Ratio = 0.5
    """The stage stops when more than this share of a window's hits are dead letters."""
    brake_window_hits: Count = 1000
    """Number of hits in the window; fewer hits never stop the stage."""


def read(environ: Mapping[str, str]) -> Settings:
    """Return the settings in `environ`.

    Raises:
        SettingError: an unknown or malformed variable; the message is one line that names it.
    """
    return load(Settings, environ)

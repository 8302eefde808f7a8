"""The enricher's settings: read once, at start, from `PHAROS_ENRICHER_*`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

PREFIX: Final = "PHAROS_ENRICHER_"

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Ratio = Annotated[float, msgspec.Meta(gt=0, le=1)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One field a variable: `kafka` is `PHAROS_ENRICHER_KAFKA`."""

    kafka: str = "localhost:9092"
    """Bootstrap servers, comma-separated."""
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How Kafka is spoken to; `SSL` is TLS."""
    kafka_ca: str = ""
    """Path of the authorities that Kafka's certificate is checked against, PEM; empty: the system's."""
    kafka_certificate: str = ""
    """Path of our own certificate, PEM, where Kafka wants one."""
    kafka_key: str = ""
    """Path of its key; empty: in the same file."""
    kafka_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = "SCRAM-SHA-512"
    """Under SASL: how we say who we are."""
    kafka_user: str = ""
    kafka_password: str = ""
    """Under SASL, but for OAUTHBEARER."""
    kafka_token_path: str = ""
    """OAUTHBEARER: path of the token, read anew at each login."""
    group: str = "pharos-enricher"
    """Consumer group; transactional ids begin with it."""
    instance: str = ""
    """`group.instance.id`, this enricher's own name over restarts: one that is back within the session timeout takes
    its partitions again without a rebalance. Empty: a member as any other."""
    topic_raw: str = "hits.raw"
    topic_enriched: str = "hits.enriched"
    topic_dead: str = "hits.dead"
    admin_host: str = "127.0.0.1"
    admin_port: Port = 9101
    """Health and metrics; 0 takes a free port."""
    log: Literal["auto", "json", "text"] = "auto"
    """Form of the log lines; `auto`: text where stderr is a terminal, else JSON."""
    delivery: Literal["auto", "exactly_once", "at_least_once"] = "auto"
    """`exactly_once`: Kafka transactions; `auto`: where the broker has them."""
    compression: Literal["none", "lz4", "zstd", "gzip", "snappy"] = "zstd"
    """Of what is produced. aiokafka knows lz4 at level 9 only: 5.3 µs a row, against 1.1 for a smaller zstd."""
    chunk_records: Positive = 16_000
    """Most records taken at once, which are one transaction; fewer if they are large (`column_fetch.MOST_BYTES`). New
    user agents of a chunk are read together (`stream/chunk.py`); with 4,000 records a hit costs a twentieth more."""
    batch_bytes: Positive = 900_000
    """Most bytes, uncompressed, of one Kafka batch; the broker's `message.max.bytes` bounds it."""
    fetch_bytes: Positive = 4_194_304
    """Most bytes fetched ahead of one input partition."""
    linger_ms: Annotated[int, msgspec.Meta(ge=0)] = 40
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
    geo_check_s: Positive = 30
    """How often the MMDB file is looked at."""
    brake_ratio: Ratio = 0.5
    """Stop when more than this share of a window's hits is dead."""
    brake_window_hits: Positive = 1000
    """Hits in the window; fewer never stop the stage."""


def read(environ: Mapping[str, str]) -> Settings:
    """Build the settings of the variables that begin with PREFIX.

    Raises:
        ValueError: a variable that no field has, or a malformed value; the message names the variable.
    """
    given = {name.removeprefix(PREFIX).lower(): value for name, value in environ.items() if name.startswith(PREFIX)}
    given = _with_files(given)
    for name in given:
        if name not in Settings.__struct_fields__:
            raise ValueError(f"{PREFIX}{name.upper()}: no such setting")
    try:
        return msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        raise ValueError(f"{PREFIX}{where.rstrip('`').upper()}: {what}") from error


def _with_files(given: Mapping[str, str]) -> dict[str, str]:
    """Replace each `name_file` by `name` with the file's content, without its last line end."""
    found = dict(given)
    for name in given:
        field = name.removesuffix("_file")
        if field == name or field not in Settings.__struct_fields__:
            continue
        variable = f"{PREFIX}{name.upper()}"
        if field in given:
            raise ValueError(f"{variable}: {PREFIX}{field.upper()} is set too")
        try:
            found[field] = Path(found.pop(name)).read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{variable}: {given[name]}: {error}") from None
    return found

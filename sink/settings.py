"""What an operator can set of the sink: one frozen struct, read from `PHAROS_SINK_*`, every value with its unit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

PREFIX: Final = "PHAROS_SINK_"


class WrongSetting(ValueError):
    """A variable that cannot be used; the text names it, in one line."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A field `batch_rows` is the variable `PHAROS_SINK_BATCH_ROWS`."""

    kafka: str = "localhost:9092"
    """Bootstrap servers, with commas between."""
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
    clickhouse: str = "http://localhost:8123"
    """URL of ClickHouse's HTTP interface; may hold user and password."""
    clickhouse_user: str = ""
    """Beats the user in the URL."""
    clickhouse_password: str = ""
    """Beats the password in the URL."""
    clickhouse_ca: str = ""
    """Path of the authorities an https:// ClickHouse's certificate is checked against, PEM; empty: the system's."""
    admin_host: str = "127.0.0.1"
    """Where /healthz, /readyz and /metrics listen."""
    admin_port: int = 9102
    log: Literal["auto", "json", "text"] = "auto"
    """Form of the log lines; `auto`: text where stderr is a terminal, else JSON."""
    topic_enriched: str = "hits.enriched"
    topic_dead: str = "hits.dead"
    group: str = "pharos-sink"
    """Consumer group: its committed offsets are the sink's only memory."""
    table: str = "event_log"
    """Table of the database pharos to insert into: on several shards a Distributed one, see docs/sink.md."""
    batch_rows: int = 50_000
    batch_bytes: int = 33_554_432
    batch_age_ms: int = 1_000
    """An insert is due when its batch has this many rows, or bytes, or its first row has waited this long."""
    buffer_bytes: int = 134_217_728
    """What all batches together may hold. New ones are begun only while half of it is free."""
    inserts: int = 1
    """Inserts in flight at once, over all partitions. One is enough while ClickHouse is faster than the rows come."""
    inserts_per_s: float = 1.0
    """Inserts a second that age alone may start (full batches need not wait); saved up unused, one a partition."""
    batch_wait_ms: int = 2_000
    """The longest that a batch waits for its turn: with many partitions there are more inserts a second than that."""
    insert_timeout_s: float = 120.0
    """An insert without an answer for so long is unknown, and is repeated under its token."""
    drain_s: float = 20.0
    """After SIGTERM: how long inserts in flight may take to end. What does not end is repeated at the next start."""
    session_timeout_ms: int = 10_000
    """Without a heartbeat for so long, Kafka gives this sink's partitions to another."""
    dead_ratio: float = 0.5
    """The brake: once more than this share of rows was refused, the sink stops."""
    dead_least_rows: int = 1_000
    """The brake judges no fewer rows than these, so that a single bad sender at night stops nothing."""
    migrate: bool = True
    """Apply outstanding migrations at start; false where the sink's user may only insert."""
    retention_days: int = 0
    """Events older than this are deleted by ClickHouse; 0 keeps them for ever."""
    cluster: str = ""
    """Name of a ClickHouse cluster: makes replicated tables ON CLUSTER. Empty: a single node."""


_WHOLE: Final = (
    "admin_port",
    "batch_rows",
    "batch_bytes",
    "batch_age_ms",
    "batch_wait_ms",
    "buffer_bytes",
    "inserts",
    "dead_least_rows",
)


def read(environ: Mapping[str, str]) -> Settings:
    """Build the settings from the environment.

    Raises:
        WrongSetting: a `PHAROS_SINK_*` variable is unknown, malformed or out of its range.
    """
    named = {name.removeprefix(PREFIX).lower(): text for name, text in environ.items() if name.startswith(PREFIX)}
    for name in environ:
        if name.startswith(PREFIX) and name != name.upper():
            raise WrongSetting(f"{name} is not a setting of the sink")
    fields = {field.name: field for field in msgspec.structs.fields(Settings)}
    values: dict[str, object] = {}
    for lower, text in _with_files(named).items():
        name = PREFIX + lower.upper()
        field = fields.get(lower)
        if field is None or name.removesuffix("_FILE") not in {known.removesuffix("_FILE") for known in environ}:
            raise WrongSetting(f"{name} is not a setting of the sink")
        try:
            values[field.name] = msgspec.convert(text, field.type, strict=False)
        except msgspec.ValidationError as error:
            raise WrongSetting(f"{name}={text!r}: {error}") from None
    settings = Settings(**values)  # type: ignore[arg-type]
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    for name in _WHOLE:
        low = 0 if name == "admin_port" else 1
        if getattr(settings, name) < low:
            raise WrongSetting(f"{PREFIX}{name.upper()}={getattr(settings, name)}: must be at least {low}")
    if settings.admin_port > 65_535:
        raise WrongSetting(f"{PREFIX}ADMIN_PORT={settings.admin_port}: must be at most 65535")
    if not settings.clickhouse.startswith(("http://", "https://")):
        raise WrongSetting(f"{PREFIX}CLICKHOUSE must be an http:// or https:// URL")
    if not settings.kafka.strip():
        raise WrongSetting(f"{PREFIX}KAFKA is empty")
    if not settings.table.isidentifier():
        raise WrongSetting(f"{PREFIX}TABLE={settings.table!r}: letters, digits and _ only")
    if settings.retention_days < 0:
        raise WrongSetting(f"{PREFIX}RETENTION_DAYS={settings.retention_days}: must be 0 (keep for ever) or more")
    for name in ("inserts_per_s", "insert_timeout_s", "drain_s", "session_timeout_ms"):
        if getattr(settings, name) <= 0:
            raise WrongSetting(f"{PREFIX}{name.upper()}={getattr(settings, name)}: must be more than 0")
    if not 0 < settings.dead_ratio <= 1:
        raise WrongSetting(f"{PREFIX}DEAD_RATIO={settings.dead_ratio}: must be more than 0 and at most 1")
    if settings.cluster and not settings.cluster.replace("_", "").replace("-", "").isalnum():
        raise WrongSetting(f"{PREFIX}CLUSTER={settings.cluster!r}: letters, digits, _ and - only")


def _with_files(given: Mapping[str, str]) -> dict[str, str]:
    """Replace each `name_file` by `name` with the file's content, without its last line end."""
    found = dict(given)
    for name in given:
        field = name.removesuffix("_file")
        if field == name or field not in Settings.__struct_fields__:
            continue
        variable = f"{PREFIX}{name.upper()}"
        if field in given:
            raise WrongSetting(f"{variable}: {PREFIX}{field.upper()} is set too")
        try:
            found[field] = Path(found.pop(name)).read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise WrongSetting(f"{variable}: {given[name]}: {error}") from None
    return found

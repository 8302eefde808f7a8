"""What can be set of `make run`: one frozen struct, read from `PHAROS_LOCAL_*`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec

PREFIX: Final = "PHAROS_LOCAL_"
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]

_HERE: Final = Path(__file__).parent

OURS: Final = {
    "PHAROS_COLLECTOR_KAFKA": "PHAROS_LOCAL_KAFKA",
    "PHAROS_ENRICHER_KAFKA": "PHAROS_LOCAL_KAFKA",
    "PHAROS_SINK_KAFKA": "PHAROS_LOCAL_KAFKA",
    "PHAROS_SINK_CLICKHOUSE": "PHAROS_LOCAL_CLICKHOUSE",
    "PHAROS_SINK_CLICKHOUSE_PASSWORD": "PHAROS_LOCAL_CLICKHOUSE_PASSWORD",
    "PHAROS_COLLECTOR_HOST": "PHAROS_LOCAL_HOST",
    "PHAROS_COLLECTOR_PORT": "PHAROS_LOCAL_COLLECTOR_PORT",
    "PHAROS_COLLECTOR_ADMIN_PORT": "PHAROS_LOCAL_COLLECTOR_ADMIN_PORT",
    "PHAROS_ENRICHER_ADMIN_PORT": "PHAROS_LOCAL_ENRICHER_ADMIN_PORT",
    "PHAROS_SINK_ADMIN_PORT": "PHAROS_LOCAL_SINK_ADMIN_PORT",
    "PHAROS_COLLECTOR_SITES": "PHAROS_LOCAL_SITES",
    "PHAROS_COLLECTOR_SPOOL_DIR": "PHAROS_LOCAL_DIR",
}
"""Settings of the programs that the runner decides, and what to set instead. Any other setting is handed through."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The runner's settings. A port 0 takes a free one."""

    dir: str = "var"
    """Folder of all data: spool, ClickHouse, logs. A second start goes on where the first stopped."""
    host: str = "127.0.0.1"
    """Address that the collector and the demo page listen on; everything else stays on 127.0.0.1."""
    kafka: str = ""
    """Bootstrap servers of a real Kafka, instead of the embedded broker; missing topics are made there."""
    clickhouse: str = ""
    """URL of a real ClickHouse, instead of the embedded one. Example: "http://default:secret@db.example:8123"."""
    clickhouse_password: str = ""
    """Password of the embedded ClickHouse's user `default`; empty: none, and only this machine may ask."""
    analyst_password: str = ""
    """The same for its read-only user `analyst`."""
    sites: str = str(_HERE / "sites.toml")
    """Path of `sites.toml`."""
    partitions: Annotated[int, msgspec.Meta(ge=1, le=256)] = 4
    """Partitions of each topic."""
    spool_keep_s: Annotated[int, msgspec.Meta(ge=0)] = 3600
    """How long the collector keeps hits that the embedded broker has had, to send them again when it forgot them."""
    collector_port: Port = 8080
    page_port: Port = 8088
    """The demo page."""
    kafka_port: Port = 9092
    clickhouse_port: Port = 8123
    collector_admin_port: Port = 9100
    enricher_admin_port: Port = 9101
    sink_admin_port: Port = 9102

    def ports(self) -> dict[str, int]:
        """Return every port that will be listened on, by the name of its field."""
        names = [name for name in self.__struct_fields__ if name.endswith("_port")]
        if self.kafka:
            names.remove("kafka_port")
        if self.clickhouse:
            names.remove("clickhouse_port")
        return {name: getattr(self, name) for name in names}


def variable(field: str) -> str:
    """Return the name of a field's environment variable."""
    return PREFIX + field.upper()


def read(environ: Mapping[str, str]) -> Settings:
    """Return the settings in `environ`.

    Raises:
        ValueError: an unknown or malformed variable, or one that the runner decides; the message names it in one line.
    """
    given = {name.removeprefix(PREFIX).lower(): text for name, text in environ.items() if name.startswith(PREFIX)}
    for name in given:
        if name not in Settings.__struct_fields__:
            raise ValueError(f"{variable(name)}: there is no such setting")
    for name, instead in OURS.items():
        if name in environ:
            raise ValueError(f"{name}: `make run` decides this one; set {instead} instead")
    try:
        settings = msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as problem:
        text, _, where = str(problem).partition(" - at `$.")
        raise ValueError(f"{variable(where.rstrip('`'))}: {text}") from None
    if settings.clickhouse and not settings.clickhouse.startswith(("http://", "https://")):
        raise ValueError(f"{variable('clickhouse')}: must be an http:// or https:// URL")
    if not Path(settings.sites).is_file():
        raise ValueError(f"{variable('sites')}: there is no file {settings.sites}")
    return settings

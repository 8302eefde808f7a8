"""What can be set of `make run`: one frozen struct, read from `PHAROS_LOCAL_*`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Final

import msgspec

from stage import settings
from stage.settings import Port, SettingError, load

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


class Settings(settings.Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The runner's settings. A port 0 takes a free one."""

    PREFIX: ClassVar[str] = "PHAROS_LOCAL_"

    dir: str = "var"
    """Folder of all data, and of keys, token, sites and links. The next start continues with it."""
    host: str = "127.0.0.1"
    """Address of the collector and the demo page; everything else listens on 127.0.0.1."""
    kafka: str = ""
    """Bootstrap servers of a real Kafka, instead of the embedded broker; missing topics are created there."""
    clickhouse: Annotated[str, msgspec.Meta(pattern=r"\A(https?://|\Z)", description="an http:// or https:// URL")] = ""
    """URL of a real ClickHouse, instead of the embedded one. Example: `http://default:secret@db.example:8123`."""
    clickhouse_password: str = ""
    """Password of the embedded ClickHouse's user `default`; empty: none, and only this machine may connect."""
    analyst_password: str = ""
    """Password of its read-only user `analyst`; empty: none, and only this machine may connect."""
    sites: str = ""
    """Path of `sites.toml`; empty: the folder's own, made at the first start with the sites `demo` and `load`."""
    partitions: Annotated[int, msgspec.Meta(ge=1, le=256)] = 4
    """Partitions per topic."""
    spool_keep_s: Annotated[int, msgspec.Meta(ge=0)] = 3600
    """How long the collector keeps acknowledged hits, to send them again if the embedded broker loses them."""
    collector_port: Port = 8080
    """The collector's public port."""
    page_port: Port = 8088
    """Port of the demo page."""
    kafka_port: Port = 9092
    """Port of the embedded broker."""
    clickhouse_port: Port = 8123
    """Port of the embedded ClickHouse."""
    collector_admin_port: Port = 9100
    """The collector's admin port."""
    enricher_admin_port: Port = 9101
    """The enricher's admin port."""
    sink_admin_port: Port = 9102
    """The sink's admin port."""

    def ports(self) -> dict[str, int]:
        """Return every port that will be listened on, by the name of its field."""
        names = [name for name in self.__struct_fields__ if name.endswith("_port")]
        if self.kafka:
            names.remove("kafka_port")
        if self.clickhouse:
            names.remove("clickhouse_port")
        return {name: getattr(self, name) for name in names}


variable = Settings.variable


def read(environ: Mapping[str, str]) -> Settings:
    """Return the settings in `environ`.

    Raises:
        SettingError: an unknown or malformed variable, or one that the runner sets; the message is one line that names
            it.
    """
    for name, instead in OURS.items():
        if name in environ:
            raise SettingError(f"{name}: `make run` sets this one; set {instead} instead")
    chosen = load(Settings, environ)
    if chosen.sites and not Path(chosen.sites).is_file():
        raise SettingError(f"{variable('sites')}: there is no file {chosen.sites}")
    return chosen

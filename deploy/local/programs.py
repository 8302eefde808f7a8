"""The programs behind `make run`: name, command, environment, and the URL that says that it is ready."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit, urlunsplit

import msgspec

from deploy.local import first_start
from deploy.local.settings import Settings

HOST: Final = "127.0.0.1"


class Program(msgspec.Struct, frozen=True):
    """One process to start and keep."""

    name: str
    argv: tuple[str, ...]
    env: dict[str, str]
    """On top of the runner's own environment."""
    ready: str
    """URL that answers 200 when it is ready; empty: the broker, which is asked for its topics."""
    lag: Literal["", "pharos_collector_spool_bytes", "pharos_enricher_lag_records", "pharos_sink_lag_records"] = ""
    """The metric that has to be 0 before the program is stopped: then nothing is left in it."""
    stop_s: float = 30
    """Seconds that it may take to drain."""


class Place(msgspec.Struct, frozen=True):
    """Where everything is, once every port is known."""

    settings: Settings
    folder: Path
    ports: dict[str, int]

    @property
    def kafka(self) -> str:
        """Bootstrap servers."""
        return self.settings.kafka or f"{HOST}:{self.ports['kafka_port']}"

    @property
    def clickhouse(self) -> str:
        """URL of ClickHouse's HTTP interface."""
        return self.settings.clickhouse or f"http://{HOST}:{self.ports['clickhouse_port']}"

    @property
    def clickhouse_bare(self) -> str:
        """The same without user and password."""
        parts = urlsplit(self.clickhouse)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    @property
    def shown_clickhouse(self) -> str:
        """The same as people type it, without a password."""
        parts = urlsplit(self.clickhouse)
        host = (parts.hostname or "").replace(HOST, "localhost")
        return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")

    def url(self, port: str) -> str:
        """Return the base URL of a listener as people type it."""
        host = "localhost" if self.settings.host in (HOST, "0.0.0.0", "::") else self.settings.host  # noqa: S104
        return f"http://{host}:{self.ports[port]}"

    @property
    def sites(self) -> Path:
        """Path of `sites.toml`."""
        return Path(self.settings.sites).resolve() if self.settings.sites else self.folder / first_start.SITES

    def metrics(self) -> dict[str, str]:
        """Return the metrics' URL of each stage."""
        return {
            stage: f"http://{HOST}:{self.ports[f'{stage}_admin_port']}/metrics"
            for stage in ("collector", "enricher", "sink")
        }


def embedded(place: Place) -> list[Program]:
    """Return the embedded parts that nothing replaces: these start first and end last."""
    found = []
    if not place.settings.kafka:
        options = ("--port", str(place.ports["kafka_port"]), "--partitions", str(place.settings.partitions))
        found.append(Program("broker", (sys.executable, "-m", "deploy.local.broker", *options), {}, ""))
    if not place.settings.clickhouse:
        port = place.ports["clickhouse_port"]
        options = ("--port", str(port), "--path", str(place.folder / "clickhouse"))
        env = {
            Settings.variable("clickhouse_password"): place.settings.clickhouse_password,
            Settings.variable("analyst_password"): place.settings.analyst_password,
        }
        command = (sys.executable, "-m", "deploy.local.clickhouse", *options)
        found.append(Program("clickhouse", command, env, f"http://{HOST}:{port}/ping"))
    return found


def stages(place: Place, environ: Mapping[str, str]) -> list[Program]:
    """Return the three programs, in the order in which a hit passes them; `environ` may choose what we leave open."""
    settings = place.settings
    open_to_choice = {
        "PHAROS_COLLECTOR_GRACE_S": "0",  # no load balancer has to look away first
        "PHAROS_COLLECTOR_MAX_EVENT_AGE_H": "768",  # `make demo` sends a month
    }
    if not settings.kafka:
        # Tansu holds a member's joining back for half its session, and waits a session for one that was killed.
        open_to_choice |= {
            "PHAROS_COLLECTOR_SPOOL_KEEP_S": str(settings.spool_keep_s),
            "PHAROS_ENRICHER_SESSION_TIMEOUT_MS": "2000",
            "PHAROS_SINK_SESSION_TIMEOUT_MS": "2000",
        }
    if "PHAROS_COLLECTOR_LINK_KEY" not in environ:
        open_to_choice["PHAROS_COLLECTOR_LINK_KEY_FILE"] = str(place.folder / first_start.LINK_KEY)
    if not settings.sites:
        open_to_choice["PHAROS_COLLECTOR_LINKS"] = str(place.folder / first_start.LINKS)
    env = {name: value for name, value in open_to_choice.items() if name not in environ}
    collector = {
        "PHAROS_COLLECTOR_KAFKA": place.kafka,
        "PHAROS_COLLECTOR_HOST": settings.host,
        "PHAROS_COLLECTOR_PORT": str(place.ports["collector_port"]),
        "PHAROS_COLLECTOR_ADMIN_PORT": str(place.ports["collector_admin_port"]),
        "PHAROS_COLLECTOR_SITES": str(place.sites),
        "PHAROS_COLLECTOR_SPOOL_DIR": str(place.folder / "spool"),
    }
    enricher = {
        "PHAROS_ENRICHER_KAFKA": place.kafka,
        "PHAROS_ENRICHER_SITES": str(place.sites),
        "PHAROS_ENRICHER_ADMIN_PORT": str(place.ports["enricher_admin_port"]),
    }
    sink = {
        "PHAROS_SINK_KAFKA": place.kafka,
        "PHAROS_SINK_ADMIN_PORT": str(place.ports["sink_admin_port"]),
        "PHAROS_SINK_CLICKHOUSE": place.clickhouse,
        "PHAROS_SINK_SITES": str(place.sites),
    }
    if not settings.clickhouse and settings.clickhouse_password:
        sink["PHAROS_SINK_CLICKHOUSE_USER"] = "default"
        sink["PHAROS_SINK_CLICKHOUSE_PASSWORD"] = settings.clickhouse_password
    return [
        _stage(place, "collector", env | collector, "pharos_collector_spool_bytes"),
        _stage(place, "enricher", env | enricher, "pharos_enricher_lag_records"),
        _stage(place, "sink", env | sink, "pharos_sink_lag_records"),
    ]


def _stage(
    place: Place,
    name: str,
    env: dict[str, str],
    lag: Literal["pharos_collector_spool_bytes", "pharos_enricher_lag_records", "pharos_sink_lag_records"],
) -> Program:
    port = place.ports[f"{name}_admin_port"]
    return Program(name, (sys.executable, "-m", name), env, f"http://{HOST}:{port}/readyz", lag)


def groups(environ: Mapping[str, str]) -> list[str]:
    """Return the consumer groups of enricher and sink."""
    return [environ.get(f"PHAROS_{stage}_GROUP", f"pharos-{stage.lower()}") for stage in ("ENRICHER", "SINK")]

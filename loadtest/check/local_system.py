"""The whole of Pharos on this machine, to be loaded: the one that `make run` has started, or one of our own.

One of our own runs `python -m deploy.local` on free ports with a site, a token and a link that the traffic knows.
"""

import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from loadtest.check.processes import Program, answers, free_port, started
from loadtest.check.stored_hits import ClickHouse, StoreUnavailable

TOKEN: Final = "load-test-token"  # noqa: S105 - its digest is in loadtest/sites.toml
LINK: Final = "load-test"
_HERE: Final = Path(__file__).resolve().parents[1]
_ROOT: Final = _HERE.parent
_PORTS: Final = ("COLLECTOR", "PAGE", "KAFKA", "CLICKHOUSE", "COLLECTOR_ADMIN", "ENRICHER_ADMIN", "SINK_ADMIN")


class System(msgspec.Struct, frozen=True, kw_only=True):
    """Where a running system is."""

    url: str
    clickhouse: str
    admins: tuple[str, ...]
    kafka: str = ""
    """Bootstrap servers; empty: unknown."""
    pid: int = 0
    """Process id of the runner, if we started it."""
    folder: str = ""
    """Data and logs of a system that was started for this run."""
    token: str = ""
    link: str = ""
    site: str = ""
    """Key of the site for the load; empty: the usual one."""
    files: str = ""
    """Folder with the `sites.toml` and `links.toml` that `make run` made for itself; empty: none, or unknown."""


def running(environ: Mapping[str, str] = os.environ) -> System | None:
    """Return the system of `make run`, when its three stages are ready on their usual ports, or on those of `environ`.

    Its own site for the load, and its token, are those of its folder: PHAROS_LOCAL_DIR, or `var`.
    """

    def url(name: str, usual: int) -> str:
        return f"http://127.0.0.1:{environ.get(f'PHAROS_LOCAL_{name}_PORT', usual)}"

    usual = (("COLLECTOR_ADMIN", 9100), ("ENRICHER_ADMIN", 9101), ("SINK_ADMIN", 9102))
    admins = tuple(url(name, port) for name, port in usual)
    if not all(answers(f"{admin}/readyz") for admin in admins):
        return None
    found = System(url=url("COLLECTOR", 8080), clickhouse=url("CLICKHOUSE", 8123), admins=admins)
    return with_files(found, Path(environ.get("PHAROS_LOCAL_DIR", "var")))


def with_files(system: System, folder: Path) -> System:
    """Return the system with the token and the site for the load that are in a folder of `make run`."""
    try:
        token = (folder / "token").read_text().strip()
        sites = tomllib.loads((folder / "sites.toml").read_text())["sites"]
        own = "load" if "load" in sites else ""
        has_link = own and LINK in tomllib.loads((folder / "links.toml").read_text())["links"]
    except (OSError, ValueError, KeyError, TypeError):
        return system
    return msgspec.structs.replace(
        system, token=token, site=own, link=LINK if has_link else "", files=str(folder.resolve())
    )


@contextmanager
def own(
    folder: Path,
    *,
    kafka: str = "",
    links: Path = _HERE / "links.toml",
    local: Mapping[str, str] = MappingProxyType({}),
    environ: Mapping[str, str] = os.environ,
    code: Path = _ROOT,
    within_s: float = 240,
) -> Iterator[tuple[System, Program]]:
    """Start a system with its data in `folder`, give it once its stages are ready, and drain it at the end.

    `kafka` names a broker that is there already, instead of the embedded one; `local` has more settings of `make run`,
    by the ends of their names, such as "PARTITIONS". Settings of the stages in `environ`, such
    as PHAROS_COLLECTOR_WORKERS, are used. `code` is a folder with the stages' packages, such as compiled ones.

    Raises:
        NotReady: it did not start, with its last output.
    """
    ports = {name: free_port() for name in _PORTS}
    chosen = {
        **{name: value for name, value in environ.items() if not name.startswith("PHAROS_LOCAL_")},
        **{f"PHAROS_LOCAL_{name}_PORT": str(port) for name, port in ports.items()},
        "PHAROS_LOCAL_DIR": str(folder / "var"),
        "PHAROS_LOCAL_SITES": str(_HERE / "sites.toml"),
        "PHAROS_COLLECTOR_LINKS": str(links),
        "PYTHONPATH": os.pathsep.join([str(code), str(_ROOT)]),
    }
    if kafka:
        chosen["PHAROS_LOCAL_KAFKA"] = kafka
    chosen |= {f"PHAROS_LOCAL_{name}": value for name, value in local.items()}
    admins = tuple(f"http://127.0.0.1:{ports[f'{stage}_ADMIN']}" for stage in ("COLLECTOR", "ENRICHER", "SINK"))
    system = System(
        url=f"http://127.0.0.1:{ports['COLLECTOR']}",
        clickhouse=local.get("CLICKHOUSE", f"http://127.0.0.1:{ports['CLICKHOUSE']}"),
        admins=admins,
        kafka=kafka or f"127.0.0.1:{ports['KAFKA']}",
        token=TOKEN,
        link=LINK,
    )
    argv = [sys.executable, "-m", "deploy.local"]
    with started(
        argv, folder=folder, ready=lambda: _ready(system), environ=chosen, cwd=code, within_s=within_s
    ) as program:
        yield msgspec.structs.replace(system, pid=program.pid), program


def _ready(system: System) -> bool:
    if not all(answers(f"{admin}/readyz") for admin in system.admins):
        return False
    try:
        store = ClickHouse(system.clickhouse)
    except StoreUnavailable:
        return False
    store.close()
    return True

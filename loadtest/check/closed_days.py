"""Makes a benchmark's tables and closes their days as the sink does: its commands over the folder, served by HTTP."""

import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from os import environ
from pathlib import Path

import msgspec

from loadtest.check.ports import free_port
from loadtest.check.processes import Program, answers, started

SIZES = """
SELECT sumIf(data_compressed_bytes, table IN ('closed_sessions', 'closed_touches', 'closed_ids', 'closed_restless'))
    / sumIf(data_compressed_bytes, table = 'event_log')
FROM system.parts WHERE database = 'pharos' AND active
"""


class Closed(msgspec.Struct, frozen=True):
    """What closing all days took."""

    cpu_s: float
    """CPU time of ClickHouse."""
    share: float
    """Size of the closed days on disk, of the size of `event_log`."""


def create(folder: Path) -> None:
    """Create the schema; no other process may have the folder open.

    Raises:
        CalledProcessError: the sink's command failed.
    """
    with _served(folder) as (_, url):
        _sink("migrate", url)


def close_days(folder: Path) -> Closed:
    """Close every day; no other process may have the folder open. What was stored just now counts as settled.

    Raises:
        CalledProcessError: the sink's command failed, or left a day open.
    """
    with _served(folder) as (endpoint, url):
        _ask(url, "TRUNCATE TABLE pharos.late_rows")
        before = endpoint.cpu_s()
        _sink("close", url)
        return Closed(endpoint.cpu_s() - before, float(_ask(url, SIZES)))


@contextmanager
def _served(folder: Path) -> Iterator[tuple[Program, str]]:
    folder.mkdir(exist_ok=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    argv = [sys.executable, "-m", "deploy.local.clickhouse", "--port", str(port), "--path", str(folder)]
    with started(argv, folder=folder.parent, ready=lambda: answers(f"{url}/ping"), within_s=120) as endpoint:
        yield endpoint, url


def _ask(url: str, sql: str) -> str:
    with urllib.request.urlopen(f"{url}/?{urllib.parse.urlencode({'query': sql})}", data=b"") as answer:  # noqa: S310  own address
        return str(answer.read().decode())


def _sink(command: str, url: str) -> None:
    argv = [sys.executable, "-m", "sink", command]
    subprocess.run(argv, env={**environ, "PHAROS_SINK_CLICKHOUSE": url}, check=True, stdout=subprocess.DEVNULL)

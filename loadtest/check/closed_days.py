"""Makes a benchmark's tables and closes their days as the sink does: its commands over the folder, served by HTTP."""

import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import environ
from pathlib import Path

import msgspec

from loadtest.check.ports import free_port
from loadtest.check.processes import Program, answers, started

SIZES = """
SELECT sumIf(data_compressed_bytes, startsWith(table, 'closed_')) / sumIf(data_compressed_bytes, table = 'event_log'),
    sumIf(data_compressed_bytes, NOT startsWith(table, 'closed_') AND table != 'event_log')
        / sumIf(data_compressed_bytes, table = 'event_log')
FROM system.parts WHERE database = 'pharos' AND active
"""
CLOSED_DAYS = "SELECT count() FROM pharos.closed_days FINAL"
# A day is closed with the day before and the day after it.
DAYS = """
SELECT uniqExact(site, arrayJoin([day - 1, day, day + 1]))
FROM (SELECT DISTINCT site, toDate(occurred_at) AS day FROM pharos.event_log)
"""
EVERY_S = 5.0
"""Between two looks at how many days are closed."""


class Closed(msgspec.Struct, frozen=True):
    """What closing all days took."""

    cpu_s: float
    """CPU time of ClickHouse."""
    share: float
    """Size of the closed days on disk, of the size of `event_log`."""
    copies: float
    """The same of all other tables: most of them have a few columns of the events that concern them."""


def create(folder: Path) -> None:
    """Create the schema; no other process may have the folder open.

    Raises:
        CalledProcessError: the sink's command failed.
    """
    with _served(folder) as (_, url):
        subprocess.run(_command("migrate"), env=_environment(url), check=True, stdout=subprocess.DEVNULL)


def close_days(folder: Path, on_day: Callable[[int, int], None] = lambda done, total: None) -> Closed:
    """Close every day; no other process may have the folder open. What was stored just now counts as settled.

    Args:
        folder: of ClickHouse.
        on_day: is called with the number of closed days, and of all, now and then.

    Raises:
        CalledProcessError: the sink's command failed, or left a day open.
    """
    with _served(folder) as (endpoint, url):
        _ask(url, "TRUNCATE TABLE pharos.late_rows")
        total = int(_ask(url, DAYS))
        before = endpoint.cpu_s()
        with subprocess.Popen(_command("close"), env=_environment(url), stdout=subprocess.DEVNULL) as closing:
            while _waits(closing):
                on_day(int(_ask(url, CLOSED_DAYS)), total)
        if closing.returncode:
            raise subprocess.CalledProcessError(closing.returncode, closing.args)
        spent = endpoint.cpu_s() - before
        on_day(total, total)
        share, copies = _ask(url, SIZES).split()
        return Closed(spent, float(share), float(copies))


def _waits(process: "subprocess.Popen[bytes]") -> bool:
    """Wait a little; return whether the process still runs."""
    try:
        process.wait(EVERY_S)
    except subprocess.TimeoutExpired:
        return True
    return False


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


def _command(name: str) -> list[str]:
    return [sys.executable, "-m", "sink", name]


def _environment(url: str) -> dict[str, str]:
    return {**environ, "PHAROS_SINK_CLICKHOUSE": url}

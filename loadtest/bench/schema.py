"""`python -m loadtest.bench.schema`: what `pharos.event_log` costs on disk and in time.

Fills the table with made-up visits inside chDB, merges it, and prints bytes a row by column and the time of the five
commonest questions, asked of `pharos.events`. The visits (visits.sql) are made in SQL from row numbers, so every run
has the same ones: sessions of four events, visitors who come back, few browsers, many pages, a click id on one session
in twelve; kinds and ids of events in the shares of the mix.

    --table FILE.sql  compare another first migration
    --ids             compare ids that begin with a time with random ones: size, and CPU of questions about a short time
    --of URL          compare the same on the events that a ClickHouse has, such as the demo's: size only
"""

import argparse
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import clickhouse_connect
from rich.console import Console
from rich.table import Table

from stage import version

FOLDER: Final = Path(__file__).parents[2] / "sink" / "schema"
EVENTS: Final = FOLDER / "0002_events.sql"
SCHEMA: Final = FOLDER / "0001_event_log.sql"
VISITS: Final = Path(__file__).with_name("visits.sql")
CHUNK: Final = 500_000

QUESTIONS: Final = {
    "events and visitors a day, one site, 30 days": """
        SELECT toDate(occurred_at) AS day, count(), uniq(visitor_id) FROM pharos.events
        WHERE site = 'shop' AND NOT is_bot
          AND occurred_at >= '2026-10-15 00:00:00' AND occurred_at < '2026-11-14 00:00:00'
        GROUP BY day ORDER BY day""",
    "top pages, one site, 7 days": """
        SELECT path, count() AS views, uniq(visitor_id) FROM pharos.events
        WHERE site = 'shop' AND event = 'pageview' AND NOT is_bot
          AND occurred_at >= '2026-11-07 00:00:00' AND occurred_at < '2026-11-14 00:00:00'
        GROUP BY path ORDER BY views DESC LIMIT 20""",
    "conversions and value by channel, one site, 30 days": """
        SELECT channel, source, campaign, countIf(event = 'purchase'), sumIf(value, event = 'purchase')
        FROM pharos.events
        WHERE site = 'shop' AND NOT is_bot
          AND occurred_at >= '2026-10-15 00:00:00' AND occurred_at < '2026-11-14 00:00:00'
        GROUP BY channel, source, campaign""",
    "one visitor's whole history": """
        SELECT occurred_at, event, url, source FROM pharos.events
        WHERE site = 'shop' AND visitor_id = (SELECT any(visitor_id) FROM pharos.event_log WHERE site = 'shop'
          AND toYYYYMM(received_at) = 202610) ORDER BY occurred_at""",
    "the last 30 minutes, one site": """
        SELECT toStartOfMinute(occurred_at) AS minute, event, count() FROM pharos.events
        WHERE site = 'shop' AND occurred_at >= '2026-11-29 12:00:00' AND occurred_at < '2026-11-29 12:30:00'
        GROUP BY minute, event""",
}


_WINDOW: Final = "site = 'shop', since = '2026-10-25', until = '2026-11-24', tz = 'UTC'"
SHORT_QUESTIONS: Final = {
    "`events`, 30 minutes": """
        SELECT event, count() FROM pharos.events WHERE site = 'shop' AND occurred_at >= '2026-11-20 12:00:00'
          AND occurred_at < '2026-11-20 12:30:00' GROUP BY event""",
    "`realtime`": "SELECT * FROM pharos.realtime(site = 'shop', at = '2026-11-20 12:30:00', tz = 'UTC')",
    "one day's pages": """
        SELECT path, count(), uniq(visitor_id) FROM pharos.events WHERE site = 'shop' AND event = 'pageview'
          AND occurred_at >= '2026-11-20 00:00:00' AND occurred_at < '2026-11-21 00:00:00' GROUP BY path""",
    "7 days by channel": """
        SELECT channel, count(), sum(value) FROM pharos.events WHERE site = 'shop'
          AND occurred_at >= '2026-11-14 00:00:00' AND occurred_at < '2026-11-21 00:00:00' GROUP BY channel""",
    "attribution, a month and 30 days before": f"""
        SELECT * FROM pharos.attribution({_WINDOW}, conversion = 'purchase', lookback_days = 30, restart = 0,
          touch_kinds = 'arrival,click', ignore = '', model = 'linear', half_life_days = 7)""",  # noqa: S608
}


def create(client: Any, files: list[Path]) -> None:
    """Make the database again, by these migrations."""
    client.command("DROP DATABASE IF EXISTS pharos")
    client.command("CREATE DATABASE pharos")
    for path in files:
        for statement in re.split(r";[ \t]*\n", path.read_text()):
            if any(line and not line.startswith("--") for line in statement.splitlines()):
                client.command(statement)


def fill(client: Any, rows: int, *, all_random: bool = False) -> float:
    """Insert the visits; return the seconds it took."""
    began = time.monotonic()
    for first in range(0, rows, CHUNK):
        bounds = {"rows": rows, "visitors": max(1, rows // 12), "first": first, "count": min(CHUNK, rows - first)}
        client.command(VISITS.read_text(), parameters={**bounds, "all_random": int(all_random)})
    client.command("OPTIMIZE TABLE pharos.event_log FINAL SETTINGS optimize_throw_if_noop = 0")
    return time.monotonic() - began


def columns(client: Any, rows: int) -> list[tuple[str, str, float, float]]:
    """Return (column, type, compressed bytes a row, raw bytes a row), the largest first."""
    found = client.query(
        "SELECT column, any(type), sum(column_data_compressed_bytes) AS packed, sum(column_data_uncompressed_bytes) "
        "FROM system.parts_columns WHERE database = 'pharos' AND table = 'event_log' AND active "
        "GROUP BY column ORDER BY packed DESC"
    )
    return [(name, kind, packed / rows, raw / rows) for name, kind, packed, raw in found.result_rows]


def times(client: Any, rounds: int) -> dict[str, float]:
    """Return each question's median time in milliseconds."""
    found = {}
    for name, sql in QUESTIONS.items():
        spent = []
        for _ in range(rounds):
            began = time.monotonic()
            client.query(sql)
            spent.append((time.monotonic() - began) * 1000)
        found[name] = statistics.median(spent)
    return found


def cpu_s(client: Any, sql: str, rounds: int) -> float:
    """Return the least CPU time of the question in this process, which is the engine's too, in seconds."""
    spent = []
    for _ in range(rounds):
        began = time.process_time()
        client.query(sql)
        spent.append(time.process_time() - began)
    return min(spent)


def stored_bytes(client: Any, table: str) -> int:
    """Return a table's bytes on disk."""
    sql = "SELECT sum(bytes_on_disk) FROM system.parts WHERE database = 'pharos' AND active AND table = {table:String}"
    return int(client.query(sql, parameters={"table": table}).result_rows[0][0])


def compare_ids(client: Any, rows: int, rounds: int, console: Console) -> None:
    """Print size and questions with random ids only, and with ids that begin with a time where the mix has those."""
    shown = Table("", "random ids", "ids with a time", title_justify="left")
    found: dict[str, list[str]] = {}
    for all_random in (True, False):
        create(client, sorted(FOLDER.glob("*.sql")))
        fill(client, rows, all_random=all_random)
        found.setdefault("table on disk, MB", []).append(f"{stored_bytes(client, 'event_log') / 1e6:.1f}")
        for name, sql in SHORT_QUESTIONS.items():
            found.setdefault(f"{name}, CPU s", []).append(f"{cpu_s(client, sql, rounds):.3f}")
    for name, both in found.items():
        shown.add_row(name, *both)
    console.print(shown)


def compare_sizes(client: Any, console: Console) -> None:
    """Print the size of the stored events, merged, with their own ids and with random ones."""
    sizes = {}
    listed = ", ".join(
        row[0]
        for row in client.query(
            "SELECT name FROM system.columns WHERE database = 'pharos' AND table = 'event_log' "
            "AND default_kind != 'MATERIALIZED' AND name != 'event_id' ORDER BY position"
        ).result_rows
    )
    for name, event_id in (("random", "generateUUIDv4()"), ("own", "event_id")):
        table = f"pharos.bench_{name}_ids"
        client.command(f"CREATE OR REPLACE TABLE {table} AS pharos.event_log")
        try:
            chosen = f"SELECT {event_id}, {listed} FROM pharos.event_log FINAL"  # noqa: S608  names of columns
            client.command(f"INSERT INTO {table} (event_id, {listed}) {chosen}")
            client.command(f"OPTIMIZE TABLE {table} FINAL")
            sizes[name] = stored_bytes(client, f"bench_{name}_ids")
            rows = int(client.query(f"SELECT count() FROM {table}").result_rows[0][0])  # noqa: S608
        finally:
            client.command(f"DROP TABLE {table}")
    own, random = sizes["own"] / 1e6, sizes["random"] / 1e6
    console.print(
        f"{rows:,} events on disk: {random:.2f} MB with random ids, {own:.2f} MB with their own ({own / random:.2f} x)"
    )


def main() -> int:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.bench.schema", description="Measure what pharos.event_log costs on disk and in time."
    )
    version.add_option(parser)
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows to insert (default %(default)s)")
    parser.add_argument("--table", type=Path, default=SCHEMA, help="file with the CREATE TABLE statement")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each query (default %(default)s)")
    parser.add_argument("--ids", action="store_true", help="compare ids that begin with a time with random ones")
    parser.add_argument("--of", metavar="URL", default="", help="compare the sizes of a ClickHouse's events so")
    options = parser.parse_args()
    console = Console(width=120)
    if options.of:
        compare_sizes(clickhouse_connect.get_client(dsn=options.of, autogenerate_session_id=False), console)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        client: Any = clickhouse_connect.get_client(interface="chdb", path=folder)
        if options.ids:
            compare_ids(client, options.rows, options.rounds, console)
        else:
            _show(client, options.table, options.rows, options.rounds, console)
        client.close()
    return 0


def _show(client: Any, schema: Path, rows: int, rounds: int, console: Console) -> None:
    create(client, [schema, EVENTS])
    seconds = fill(client, rows)
    console.print(f"{rows:,} rows of {schema.name}, made and merged in {seconds:.0f} s")
    shown = Table("column", "type", "bytes a row", "raw", title_justify="left")
    found = columns(client, rows)
    for name, kind, packed, raw in found:
        shown.add_row(name, kind, f"{packed:.2f}", f"{raw:.1f}")
    shown.add_row("all", "", f"{sum(one[2] for one in found):.2f}", f"{sum(one[3] for one in found):.1f}")
    console.print(shown)
    asked = Table("question", "ms")
    for name, milliseconds in times(client, rounds).items():
        asked.add_row(name, f"{milliseconds:.0f}")
    console.print(asked)


if __name__ == "__main__":
    sys.exit(main())

"""`python -m sink costs FILE`: load an ad manager's export into `pharos.costs`.

Loading a day again replaces its rows: a later table corrects an earlier one.
"""

import io
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import msgspec
from clickhouse_connect.driver.exceptions import ClickHouseError, Error

from sink import clickhouse
from sink.clickhouse import Connection, Retry, classify
from sink.commands.cost_tables import SOURCES, Cost, CostTableError, Dates, Platform, read, text_of
from sink.settings import Settings


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """What is loaded, as given on the command line."""

    path: Path
    site: str
    platform: Platform
    source: str = ""
    medium: str = ""
    currency: str = ""
    dates: Dates = "auto"


def costs(table: Table) -> list[Cost]:
    """Return the rows of a table.

    Raises:
        CostTableError: it cannot be read; the message names the file and the fix.
    """
    source, medium = SOURCES[table.platform]
    source, medium = table.source or source, table.medium or medium
    if not source:
        raise CostTableError("--platform other needs --source, as the visits have it")
    try:
        content = sys.stdin.buffer.read() if str(table.path) == "-" else table.path.read_bytes()
        return read(
            text_of(content),
            site=table.site,
            source=source,
            medium=medium,
            currency=table.currency,
            dates=table.dates,
        )
    except OSError as error:
        raise CostTableError(f"{table.path}: {error.strerror}") from None
    except CostTableError as error:
        raise CostTableError(f"{table.path}: {error}") from None


async def command(settings: Settings, table: Table, *, dry_run: bool) -> int:
    """Load a table, or with `dry_run` only say what it has; return the exit code: 0, or 2 for a table that is wrong."""
    try:
        rows = costs(table)
    except CostTableError as error:
        print(error, file=sys.stderr)
        return 2
    if not rows:
        print(f"{table.path}: the table has no costs", file=sys.stderr)
        return 2
    if not dry_run:
        async with clickhouse.each_shard(settings) as connections:
            for connection in connections:
                await _insert(connection, rows)
    print(_summary(rows, "would be loaded" if dry_run else "loaded"))
    return 0


async def _insert(connection: Connection, rows: Sequence[Cost]) -> None:
    body = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
    try:
        await connection.raw_insert("pharos.costs", Cost.__struct_fields__, io.BytesIO(body), {}, "JSONEachRow")
    except Error as error:
        raise classify(error.code, str(error)) from error
    except (ClickHouseError, OSError, TimeoutError) as error:
        raise Retry(f"{type(error).__name__}: {error}") from error


def _summary(rows: Sequence[Cost], done: str) -> str:
    sums: dict[str, Decimal] = {}
    for row in rows:
        sums[row.currency] = sums.get(row.currency, Decimal(0)) + row.cost
    money = ", ".join(f"{amount:,.2f} {currency}" for currency, amount in sorted(sums.items()))
    campaigns = len({row.campaign for row in rows})
    first, last = min(row.day for row in rows), max(row.day for row in rows)
    return f"{len(rows):,} rows {done}: {campaigns:,} campaigns, {first} to {last}, {money}"

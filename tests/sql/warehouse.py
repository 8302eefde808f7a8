"""A ClickHouse with our schema, for the tests of the SQL: events in, rows out."""

from collections.abc import Iterable
from dataclasses import asdict, fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

from clickhouse_connect.driver.client import Client

from collector.contract import Kind
from enricher.rules.event_id import version
from sink.clickhouse import CLOSED_DAYS, CLOSED_TABLES, FED_TABLES, TABLE
from sink.migrations import load
from tests.sql.reference import Event

_COLUMNS = [f.name for f in fields(Event) if f.name not in ("late_ms", "authenticated", "gross")]
_FED = (TABLE, *FED_TABLES, "pharos.late_rows", CLOSED_DAYS, *CLOSED_TABLES)
"""Tables that hold rows or parts of rows."""


class Warehouse:
    """Our schema over one client. Times come back as aware datetimes in UTC."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def apply_schema(self, since: int = 1, until: int = 9999) -> None:
        """Apply the migrations of these numbers, in order."""
        self.client.command("CREATE DATABASE IF NOT EXISTS pharos")
        for migration in load():
            if since <= migration.number <= until:
                for statement in migration.statements(""):
                    self.client.command(statement)

    def insert(self, events: Iterable[Event], *, stale: bool = False) -> None:
        """Write events as rows of `event_log`, with the enricher's version; `stale`: with one below every other."""
        rows = []
        for event in events:
            row = asdict(event) | {"value": Decimal(event.value) / 10_000}
            own = 1 if stale else version(cast("Kind", event.kind), round(event.received_at.timestamp() * 1000))
            rows.append([*(row[name] for name in _COLUMNS), event.received_at, own])
        if rows:
            self.client.insert("pharos.event_log", rows, column_names=[*_COLUMNS, "received_at", "version"])

    def empty(self) -> None:
        """Take every row out of every table."""
        for table in _FED:
            self.client.command(f"TRUNCATE TABLE {table}")

    def rows(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        """Run a SELECT with ClickHouse's own parameters; return its rows by name."""
        result = self.client.query(sql, parameters=parameters, tz_mode="aware")
        return [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]


def text(moment: datetime) -> str:
    """Return the moment as ClickHouse reads it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]

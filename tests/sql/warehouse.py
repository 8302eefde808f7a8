"""A ClickHouse with our schema, for the tests of the SQL: events in, rows out."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client

from tests.sql.reference import Event

SCHEMA = Path(__file__).parents[2] / "sink" / "schema"
_COLUMNS = [f.name for f in fields(Event)]


class Warehouse:
    """Our schema over one client. Times come back as aware datetimes in UTC."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def apply_schema(self, since: int = 1, until: int = 9999) -> None:
        """Apply the migrations of these numbers, in order."""
        self.client.command("CREATE DATABASE IF NOT EXISTS pharos")
        for path in sorted(SCHEMA.glob("*.sql")):
            if not since <= int(path.name[:4]) <= until:
                continue
            text = path.read_text().replace("{retention_days}", "3650")
            for statement in re.split(r";[ \t]*\n", text):
                if statement.strip():
                    self.client.command(statement)

    def insert(self, events: Iterable[Event], versions: Sequence[int] = ()) -> None:
        """Write events as rows of `event_log`."""
        rows = []
        for place, event in enumerate(events):
            row = asdict(event) | {"value": Decimal(event.value) / 10_000}
            rows.append([*(row[name] for name in _COLUMNS), event.occurred_at, versions[place] if versions else 1])
        if rows:
            self.client.insert("pharos.event_log", rows, column_names=[*_COLUMNS, "received_at", "version"])

    def rows(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        """Run a SELECT with ClickHouse's own parameters; return its rows by name."""
        result = self.client.query(sql, parameters=parameters, tz_mode="aware")
        return [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]


def text(moment: datetime) -> str:
    """Return the moment as ClickHouse reads it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]

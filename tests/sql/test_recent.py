"""`pharos.recent`: what arrived lately, each stored copy, with ids of every kind."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from tests.sql.harness import stored
from tests.sql.reference import Event
from tests.sql.warehouse import Warehouse


def uuid7(at: datetime) -> UUID:
    """Return an id of version 7 with this time."""
    return UUID(f"{int(at.timestamp() * 1000):012x}7{uuid4().hex[13:16]}8{uuid4().hex[17:]}")


def test_what_arrived_lately(warehouse: Warehouse) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    old, late = now - timedelta(minutes=30), now - timedelta(days=3)
    events = [
        Event(event_id=uuid7(now), occurred_at=now, event="now"),
        Event(event_id=uuid4(), occurred_at=now, event="own_id"),
        Event(event_id=uuid7(late), occurred_at=late, event="late", late_ms=round((now - late).total_seconds() * 1000)),
        Event(event_id=uuid4(), occurred_at=late, event="late_own", late_ms=round((now - late).total_seconds() * 1000)),
        Event(event_id=uuid7(old), occurred_at=old, event="old"),
        Event(event_id=uuid4(), occurred_at=old, event="old_own_id"),
    ]
    site, _ = stored(warehouse, events)
    # `stored` writes some twice
    sql = "SELECT DISTINCT event FROM pharos.recent(site = {site:String}, seconds = 1200) ORDER BY event"
    assert [row["event"] for row in warehouse.rows(sql, site=site)] == ["late", "late_own", "now", "own_id"]
    assert warehouse.rows("SELECT event FROM pharos.recent(site = 'another', seconds = 1200)") == []


@pytest.mark.parametrize("column", ["ip", "user_agent"])
def test_what_analysts_may_not_read_is_not_in_it(warehouse: Warehouse, column: str) -> None:
    described = warehouse.rows("DESCRIBE (SELECT * FROM pharos.recent(site = 'x', seconds = 1))")
    names = {row["name"] for row in described}
    assert column not in names
    assert {"event", "props", "dropped", "visitor_id"} <= names


def test_old_days_are_not_read(warehouse: Warehouse) -> None:
    """The sort key and the partitions leave out what cannot have arrived: the cost does not follow the history."""
    now = datetime.now(UTC).replace(microsecond=0)
    many = [Event(event_id=uuid7(at := now - timedelta(days=20, seconds=n)), occurred_at=at) for n in range(20_000)]
    site, _ = stored(warehouse, [*many, Event(event_id=uuid7(now), occurred_at=now)])
    warehouse.client.command("OPTIMIZE TABLE pharos.event_log FINAL")
    sql = f"SELECT count() AS n FROM pharos.recent(site = '{site}', seconds = 1200)"
    assert warehouse.rows(sql) == [{"n": 1}]
    explained = warehouse.client.query(
        f"EXPLAIN ESTIMATE SELECT event FROM pharos.recent(site = '{site}', seconds = 1200)"
    )
    rows = sum(row[explained.column_names.index("rows")] for row in explained.result_rows)
    assert rows <= 8192 * 2

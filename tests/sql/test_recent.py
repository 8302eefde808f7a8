"""`recent`: copies that came lately. `realtime` and `visitor_events`: each event of half an hour or a visitor, once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from hypothesis import given
from hypothesis import strategies as st

from tests.sql.harness import stored, thorough
from tests.sql.reference import Event
from tests.sql.warehouse import Warehouse, text
from tests.sql.worlds import START, worlds


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


EACH_ONCE = """
SELECT toStartOfMinute(occurred_at) AS minute, count() AS events, countIf(event = 'pageview') AS views,
    uniqExactIf(visitor_id, visitor_id != '') AS visitors
FROM pharos.events
WHERE site = {site:String} AND NOT is_bot AND NOT (event = 'consent' AND consent = 'refused')
    AND occurred_at >= toStartOfMinute(toDateTime64({at:String}, 3, 'UTC')) - 1740
    AND occurred_at <= toDateTime64({at:String}, 3, 'UTC')
GROUP BY minute ORDER BY minute
"""


def _half_hour(warehouse: Warehouse, site: str, at: datetime) -> list[dict[str, Any]]:
    """Return the minutes that are not quiet, which must be those of the events, each once."""
    sql = "SELECT * FROM pharos.realtime(site = {site:String}, at = {at:String}, tz = 'UTC')"
    rows = warehouse.rows(sql, site=site, at=text(at))
    assert len(rows) == 30
    busy = [row for row in rows if row["events"]]
    assert busy == warehouse.rows(EACH_ONCE, site=site, at=text(at))
    return busy


@thorough
@given(events=worlds(), minutes=st.tuples(*(st.sampled_from((0, 0.5, 10, 29, 30, 60, 1440)) for _ in range(2))))
def test_a_half_hour_has_each_event_once(
    warehouse: Warehouse, events: list[Event], minutes: tuple[float, float]
) -> None:
    site, _ = stored(warehouse, events)
    for one in minutes:
        _half_hour(warehouse, site, START + timedelta(minutes=one))


@thorough
@given(events=worlds())
def test_a_window_and_a_visitor_have_the_rows_of_events(warehouse: Warehouse, events: list[Event]) -> None:
    site, _ = stored(warehouse, events)
    rows = warehouse.rows(
        "SELECT * EXCEPT (ip, user_agent) FROM pharos.events WHERE site = {site:String} ORDER BY event_id", site=site
    )
    since, until = START + timedelta(minutes=10), START + timedelta(days=2)
    found = warehouse.rows(
        "SELECT * FROM pharos.events_between(site = {site:String}, since = {since:String}, until = {until:String}, "
        "tz = 'UTC') ORDER BY event_id",
        site=site,
        since=text(since),
        until=text(until),
    )
    assert found == [row for row in rows if since <= row["occurred_at"] < until]
    for visitor in sorted(({event.visitor_id for event in events} | {"stale", "nobody"}) - {""})[:3]:
        assert _of(warehouse, site, visitor) == [row for row in rows if row["visitor_id"] == visitor]


def _of(warehouse: Warehouse, site: str, visitor: str) -> list[dict[str, Any]]:
    sql = "SELECT * FROM pharos.visitor_events(site = {site:String}, visitor = {visitor:String}) ORDER BY event_id"
    return warehouse.rows(sql, site=site, visitor=visitor)


def test_of_an_unknown_site_there_is_no_answer(warehouse: Warehouse) -> None:
    for view in ("realtime(site = 'none', at = 'now', tz = 'UTC')", "visitor_events(site = 'none', visitor = 'a')"):
        with pytest.raises(DatabaseError, match="site: no event of this site is stored"):
            warehouse.rows(f"SELECT * FROM pharos.{view}")


@pytest.mark.parametrize("first", ["tag", "server"])
@pytest.mark.parametrize("bot", ["tag", "server"])
def test_the_servers_copy_says_whether_it_was_a_bot(warehouse: Warehouse, first: str, bot: str) -> None:
    """Either copy may be the one that event_log keeps. Copies of another moment, month or visitor are no events."""
    order = Event(
        event_id=UUID(int=7),
        occurred_at=START,
        event="purchase",
        client_event_id="o1",
        visitor_id="a",
        value=5,
        currency="EUR",
    )
    second = {"tag": "server", "server": "tag"}[first]
    theirs: dict[str, dict[str, Any]] = {"tag": {}, "server": {"user_id": "anna", "value": 7}}
    copies = [
        replace(order, kind=first, is_bot=bot == first, **theirs[first]),
        replace(order, kind=second, is_bot=bot == second, late_ms=1_000, **theirs[second]),
    ]
    moved = [
        replace(order, client_event_id="o2", kind="tag"),
        replace(order, client_event_id="o2", kind="tag", occurred_at=START + timedelta(days=40), late_ms=2_000),
    ]
    site, _ = stored(warehouse, [*copies, *moved])
    rows = warehouse.rows(
        "SELECT * EXCEPT (ip, user_agent) FROM pharos.events "
        "WHERE site = {site:String} AND visitor_id = 'a' ORDER BY event_id",
        site=site,
    )
    assert {row["user_id"] for row in rows} >= {"anna"}
    assert _of(warehouse, site, "a") == rows
    hour = warehouse.rows(
        "SELECT * FROM pharos.events_between(site = {site:String}, since = '2026-09-01', "
        "until = '2026-09-01 01:00:00', tz = 'UTC') WHERE visitor_id = 'a' ORDER BY event_id",
        site=site,
    )
    assert hour == [row for row in rows if row["occurred_at"] == START]
    busy = _half_hour(warehouse, site, START)
    assert sum(row["events"] for row in busy) == (bot == "tag") + _is_kept(moved, warehouse, site)


def _is_kept(moved: list[Event], warehouse: Warehouse, site: str) -> int:
    """Return 1 if of an event's copies the one at START counts, else 0."""
    rows = warehouse.rows(
        "SELECT occurred_at FROM pharos.events WHERE site = {site:String} AND client_event_id = {id:String}",
        site=site,
        id=moved[0].client_event_id,
    )
    assert len(rows) == 1
    return int(rows[0]["occurred_at"] == START)

"""A window's answer is the part of the whole answer that lies in it, however long visitors went on without a pause."""

import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sql.asked import QUESTIONS
from tests.sql.harness import stored, thorough
from tests.sql.reference import Event
from tests.sql.warehouse import Warehouse, text
from tests.sql.worlds import START

VIEWS = {"sessions": "started_at", "touches": "occurred_at"}


def _chain(visitor: str, start_h: float, minutes: list[float], number: int, **first: Any) -> list[Event]:
    """Events of a visitor; `minutes` are the gaps between them. The first and every 60th bring one campaign."""
    at = START + timedelta(hours=start_h)
    events = []
    for place, pause in enumerate([0.0, *minutes]):
        at += timedelta(minutes=pause)
        more: dict[str, Any] = {"utm_campaign": "c", "campaign": "c"}
        event = Event(event_id=UUID(int=number * 10_000 + place), occurred_at=at, visitor_id=visitor, path="/p")
        events.append(replace(event, **(first or more if place == 0 else more if place % 60 == 0 else {})))
    return events


def _in_window(warehouse: Warehouse, site: str, view: str, since: Any, until: Any) -> tuple[Counter[Any], Counter[Any]]:
    whole = warehouse.rows(f"SELECT * FROM pharos.{view} WHERE site = {{site:String}}", site=site)
    asked = f"site = {{site:String}}, since = '{text(since)}', until = '{text(until)}', tz = 'UTC'"
    part = warehouse.rows(f"SELECT * FROM pharos.{view}_between({asked})", site=site)
    expected = [row for row in whole if since <= row[VIEWS[view]] < until]
    return Counter(str(row) for row in part), Counter(str(row) for row in expected)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("pause", [29.0, 30.0])
def test_a_visitor_without_a_pause_for_days(warehouse: Warehouse, view: str, pause: float) -> None:
    """Where the session began is days before the window; a campaign that it has already begins none."""
    site, _ = stored(warehouse, _chain("a", 0, [pause] * 400, 1) + _chain("b", 100, [29] * 3, 2))
    for since_h, until_h in ((87, 88), (87, 190), (0, 1), (193, 194), (-24, 400)):
        since, until = START + timedelta(hours=since_h), START + timedelta(hours=until_h)
        got, expected = _in_window(warehouse, site, view, since, until)
        assert got == expected


@pytest.mark.parametrize("view", VIEWS)
def test_an_engagement_of_twelve_hours_bridges_the_edge(warehouse: Warehouse, view: str) -> None:
    events = _chain("a", 0, [29] * 30, 1)
    last = events[-1].occurred_at
    late = Event(
        event_id=UUID(int=99_999),
        occurred_at=last + timedelta(hours=12, minutes=29),
        visitor_id="a",
        event="engagement",
        props={"ms": str(12 * 3_600_000)},
    )
    after = _chain("a", (late.occurred_at - START) / timedelta(hours=1) + 0.4, [20] * 8, 3)
    site, _ = stored(warehouse, [*events, late, *after])
    for since_h in range(24, 42, 6):
        since = START + timedelta(hours=since_h)
        got, expected = _in_window(warehouse, site, view, since, since + timedelta(hours=30))
        assert got == expected
        got, expected = _in_window(
            warehouse, site, view, START - timedelta(hours=1), START + timedelta(hours=since_h - 23)
        )
        assert got == expected


@thorough
@given(
    minutes=st.lists(st.sampled_from((1.0, 20.0, 29.9, 29.9, 29.9, 30.0)), min_size=80, max_size=120),
    since_h=st.integers(0, 60),
    length_h=st.integers(1, 48),
)
def test_any_window_over_visitors_who_hardly_pause(
    warehouse: Warehouse, minutes: list[float], since_h: int, length_h: int
) -> None:
    site, _ = stored(warehouse, _chain("a", 0, minutes, 1) + _chain("b", 11.5, minutes[::-1], 2))
    since = START + timedelta(hours=since_h)
    for view in VIEWS:
        got, expected = _in_window(warehouse, site, view, since, since + timedelta(hours=length_h))
        assert got == expected


MONTH_OF_EVENTS = """
INSERT INTO pharos.event_log
    (event_id, site, event, kind, received_at, occurred_at, version, visitor_id, path, value, currency)
WITH toDateTime64({start:String}, 3, 'UTC') + toIntervalMillisecond(number * 129600) AS at
SELECT dateTimeToUUIDv7(toDateTime(at)), {site:String}, if(number % 50 = 0, 'purchase', 'pageview'), 'tag', at, at, 1,
    concat('v', toString(number % 3000)), '/p', if(number % 50 = 0, 5, 0), if(number % 50 = 0, 'EUR', '')
FROM numbers(20000)
"""


def test_a_question_reads_its_window_and_not_the_history(warehouse: Warehouse) -> None:
    """Ten more months lie before the window and its lookback: not a hundredth more rows are read, or a few blocks.

    Rare events lie in blocks of 512 rows, of one name each, and a question may touch one that it does not need.
    """
    site = "site with a history"

    def fill(month: int) -> None:
        start = f"{2025 + month // 12}-{month % 12 + 1:02}-01"
        warehouse.client.command(MONTH_OF_EVENTS, parameters={"site": site, "start": start})

    def rows_read(view: str) -> int:
        chosen = (
            {"site": site}
            | QUESTIONS[view]
            | {"before": "2025-12-01", "since": "2025-12-01"}
            | {
                "until": "2025-12-31",
                "at": "2025-12-20",
            }
        )
        given = ", ".join(f"{name} = '{value}'" for name, value in chosen.items())
        answer = warehouse.client.raw_query(f"SELECT * FROM pharos.{view}({given})", fmt="JSON")
        return int(json.loads(answer)["statistics"]["rows_read"])

    warehouse.empty()
    for month in (10, 11):
        fill(month)
    # `retention` looks for the first such event ever, and so at the name of each.
    views = [view for view in QUESTIONS if view != "retention"]
    short = {view: rows_read(view) for view in views}
    assert all(short.values())
    for month in range(10):
        fill(month)
    long = {view: rows_read(view) for view in views}
    assert {view: rows for view, rows in long.items() if rows > 1.01 * short[view] + 4 * 512} == {}


@pytest.mark.parametrize("view", QUESTIONS)
def test_of_a_window_without_events_nothing_is_told(warehouse: Warehouse, view: str) -> None:
    """ClickHouse 26.9 itself ended over some of them: a filter with an empty set, and no row to apply it to."""
    site, _ = stored(warehouse, [])
    asked = QUESTIONS[view] | {"site": site}
    given = ", ".join(f"{name} = '{value}'" for name, value in asked.items())
    for row in warehouse.rows(f"SELECT * FROM pharos.{view}({given})"):
        told = [
            value for name, value in row.items() if name in ("visitors", "views", "conversions", "visits", "events")
        ]
        assert not any(told), row

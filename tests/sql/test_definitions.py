"""The SQL against a second implementation: sessions, touches, conversions, journeys and every model."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sql import reference
from tests.sql.harness import WINDOWS, add_up, stored, thorough
from tests.sql.reference import Event
from tests.sql.warehouse import Warehouse, text
from tests.sql.worlds import START, worlds

MODELS = ("first", "last", "last_non_direct", "linear", "position", "time_decay")


def _ten_thousandths(value: Decimal) -> int:
    return int(value * 10_000)


@thorough
@given(events=worlds())
def test_sessions(warehouse: Warehouse, events: list[Event]) -> None:
    site, events = stored(warehouse, events)
    expected: Counter[tuple[object, ...]] = Counter()
    for session in reference.sessions(events):
        first, last = session.events[0], session.events[-1]
        arrival = session.arrival or first
        paths = [e.path for e in session.events if e.path] or [""]
        expected[
            first.visitor_id,
            first.is_bot,
            first.event_id,
            first.occurred_at,
            last.occurred_at,
            len(session.events),
            (arrival.source, arrival.medium, arrival.campaign, arrival.channel),
            (paths[0], paths[-1]),
            frozenset(session.value.items()),
        ] += 1
    rows = warehouse.rows("SELECT * FROM pharos.sessions WHERE site = {site:String}", site=site)
    assert expected == Counter(
        (
            row["visitor_id"],
            row["is_bot"],
            row["session_id"],
            row["started_at"],
            row["ended_at"],
            row["events"],
            (row["source"], row["medium"], row["campaign"], row["channel"]),
            (row["entry_page"], row["exit_page"]),
            frozenset((currency, _ten_thousandths(value)) for currency, value in row["value"].items()),
        )
        for row in rows
    )


@thorough
@given(events=worlds())
def test_touches_and_conversions(warehouse: Warehouse, events: list[Event]) -> None:
    site, events = stored(warehouse, events)
    rows = warehouse.rows("SELECT * FROM pharos.touches WHERE site = {site:String}", site=site)
    assert Counter(
        (row["event_id"], row["occurred_at"], row["kind"], row["visitor_id"], row["source"], row["channel"])
        for row in rows
    ) == Counter(
        (t.event.event_id, t.event.occurred_at, t.kind, t.event.visitor_id, t.event.source, t.event.channel)
        for t in reference.touches(events)
    )
    person = reference.people(events)
    rows = warehouse.rows("SELECT * FROM pharos.conversions(site = {site:String}, event = 'purchase')", site=site)
    assert Counter(
        (row["event_id"], row["occurred_at"], _ten_thousandths(row["value"]), row["currency"], row["person"])
        for row in rows
    ) == Counter(
        (e.event_id, e.occurred_at, e.value, e.currency, person(e) or f"event {e.event_id}")
        for e in reference.conversions(events, site, "purchase")
    )


@thorough
@given(events=worlds(), window=WINDOWS, lookback=st.sampled_from((0, 1, 5, 30)), restart=st.booleans())
def test_journeys(
    warehouse: Warehouse, events: list[Event], window: tuple[int, int], lookback: int, restart: bool
) -> None:
    site, events = stored(warehouse, events)
    since, until = (START + timedelta(days=day) for day in window)
    rows = warehouse.rows(
        "SELECT event_id, person, touches.event_id AS ids, path FROM pharos.journeys_with(site = {site:String}, "
        "conversion = 'purchase', lookback_days = {lookback:UInt32}, since = {since:String}, until = {until:String}, "
        "restart = {restart:UInt8})",
        site=site,
        lookback=lookback,
        since=text(since),
        until=text(until),
        restart=int(restart),
    )
    assert Counter((row["event_id"], row["person"], tuple(row["ids"]), row["path"]) for row in rows) == Counter(
        (
            journey.conversion.event_id,
            journey.person,
            tuple(t.event.event_id for t in journey.touches),
            " > ".join(t.event.channel for t in journey.touches) or "Unattributed",
        )
        for journey in reference.journeys(events, site, "purchase", lookback, since, until, restart)
    )


@thorough
@given(
    events=worlds(),
    window=WINDOWS,
    model=st.sampled_from(MODELS),
    half_life=st.sampled_from((0.01, 7.0, 365.0)),
    restart=st.booleans(),
)
def test_rule_models(
    warehouse: Warehouse,
    events: list[Event],
    window: tuple[int, int],
    model: str,
    half_life: float,
    restart: bool,
) -> None:
    site, events = stored(warehouse, events)
    since, until = (START + timedelta(days=day) for day in window)
    rows = warehouse.rows(
        "SELECT * FROM pharos.attribution_with(site = {site:String}, conversion = 'purchase', model = {model:String}, "
        "lookback_days = 30, since = {since:String}, until = {until:String}, half_life_days = {half_life:Float64}, "
        "restart = {restart:UInt8})",
        site=site,
        model=model,
        since=text(since),
        until=text(until),
        half_life=half_life,
        restart=int(restart),
    )
    found = reference.journeys(events, site, "purchase", 30, since, until, restart)
    expected = reference.attribution(found, model, half_life)
    _agree(rows, expected)
    add_up(rows, found)


def _agree(rows: list[dict[str, Any]], expected: dict[reference.Row, tuple[Fraction, Fraction]]) -> None:
    """Rows agree to 1e-9, or to the last bit of the total, where that is more; a part of 0 may be missing."""
    given = {(r["channel"], r["source"], r["medium"], r["campaign"], r["currency"]): r for r in rows}
    assert set(given) <= set(expected)
    for row, (conversions, value) in expected.items():
        got = given.get(row, {"conversions": 0.0, "value": 0.0})
        assert got["conversions"] == pytest.approx(float(conversions), abs=1e-9, rel=1e-9)
        total = sum(v for r, (_, v) in expected.items() if r[-1] == row[-1])
        assert got["value"] == pytest.approx(float(value), abs=max(1e-9, float(total) * 2**-51), rel=1e-9)

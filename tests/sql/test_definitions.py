"""The SQL against a second implementation: sessions, touches, conversions, journeys and every model."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from hypothesis import given
from hypothesis import strategies as st

from tests.sql import reference
from tests.sql.harness import WINDOWS, add_up, stored, thorough
from tests.sql.reference import Event
from tests.sql.warehouse import Warehouse, text
from tests.sql.worlds import START, as_enriched, worlds

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
    expected = Counter(
        (
            *(t.event.event_id, t.event.occurred_at, t.kind),
            *(t.event.visitor_id, "" if t.event.visitor_id else t.event.user_id),
            *(t.event.source, t.event.medium, t.event.campaign, t.event.channel),
        )
        for t in reference.touches(events)
    )
    columns = ["event_id", "occurred_at", "kind", "visitor_id", "user_id", "source", "medium", "campaign", "channel"]
    assert Counter(tuple(row[name] for name in columns) for row in rows) == expected
    person = reference.people(events)
    rows = warehouse.rows("SELECT * FROM pharos.conversions(site = {site:String}, event = 'purchase')", site=site)
    bought = Counter(
        (
            *(e.event_id, e.occurred_at, e.kind, e.visitor_id, e.user_id, e.client_event_id),
            *(e.value, e.currency, person(e) or f"event {e.event_id}"),
        )
        for e in reference.conversions(events, site, "purchase")
    )
    columns = ["event_id", "occurred_at", "kind", "visitor_id", "user_id", "client_event_id"]
    assert bought == Counter(
        (*(row[name] for name in columns), _ten_thousandths(row["value"]), row["currency"], row["person"])
        for row in rows
    )


def test_the_browsers_copy_stands_however_long_after(warehouse: Warehouse) -> None:
    """A server tells of the purchase first, a browser in the next month, and both again: one conversion."""
    days = (("server", 0), ("tag", 40), ("tag", 50), ("server", 60))
    copies = [
        Event(
            event_id=UUID(int=number),
            occurred_at=START + timedelta(days=day),
            event="purchase",
            kind=kind,
            client_event_id="o1",
            value=number,
        )
        for number, (kind, day) in enumerate(days)
    ]
    site, _ = stored(warehouse, copies)
    sql = "SELECT occurred_at, kind, value FROM pharos.conversions(site = {site:String}, event = 'purchase')"
    rows = warehouse.rows(sql, site=site)
    assert [(row["occurred_at"], row["kind"], _ten_thousandths(row["value"])) for row in rows] == [
        (START + timedelta(days=40), "tag", 1)
    ]


def test_a_name_in_a_copy_that_does_not_stand_names_nobody(warehouse: Warehouse) -> None:
    """The server's copy goes with the next merge, and its user with it: the answer is the same before and after."""
    browser = Event(
        event_id=UUID(int=1), occurred_at=START, event="purchase", kind="tag", visitor_id="a", client_event_id="o1"
    )
    server = replace(browser, kind="server", user_id="u1")
    site, _ = stored(warehouse, [browser])
    warehouse.insert([as_enriched(server, site)])
    sql = "SELECT person FROM pharos.conversions(site = {site:String}, event = 'purchase')"
    before = warehouse.rows(sql, site=site)
    warehouse.client.command("OPTIMIZE TABLE pharos.event_log FINAL")
    assert before == warehouse.rows(sql, site=site) == [{"person": "visitor a"}]


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


REFUSED = (
    ("attribution_with", {"model": "lineer"}, "model: first, last"),
    ("attribution_with", {"half_life_days": "0"}, "half_life_days: more than 0"),
    ("attribution_with", {"half_life_days": "-7"}, "half_life_days: more than 0"),
    ("attribution_shapley_with", {"by": "referrer"}, "by: channel, source"),
    ("attribution_markov_with", {"by": ""}, "by: channel, source"),
)
_CHOICES = {
    "attribution_with": {"model": "linear", "half_life_days": "7"},
    "attribution_shapley_with": {"by": "medium"},
    "attribution_markov_with": {"by": "campaign"},
}


@pytest.mark.parametrize(("view", "wrong", "says"), REFUSED)
def test_a_choice_that_is_none_is_refused(warehouse: Warehouse, view: str, wrong: dict[str, str], says: str) -> None:
    """An unknown model would otherwise be counted as Shapley's, an unknown `by` as campaigns."""
    bought = Event(event_id=UUID(int=1), occurred_at=START, event="purchase", visitor_id="a", value=1, currency="EUR")
    site, _ = stored(warehouse, [bought])

    def ask(chosen: dict[str, str]) -> list[dict[str, Any]]:
        given = ", ".join(f"{name} = '{value}'" for name, value in chosen.items())
        return warehouse.rows(
            f"SELECT * FROM pharos.{view}(site = {{site:String}}, conversion = 'purchase', lookback_days = 30, "
            f"since = '2026-09-01', until = '2026-09-02', restart = 1, {given})",
            site=site,
        )

    assert len(ask(_CHOICES[view])) == 1
    with pytest.raises(DatabaseError, match=says):
        ask(_CHOICES[view] | wrong)


def _agree(rows: list[dict[str, Any]], expected: dict[reference.Row, tuple[Fraction, Fraction]]) -> None:
    """Rows agree to 1e-9, or to the last bit of the total, where that is more; a part of 0 may be missing."""
    given = {(r["channel"], r["source"], r["medium"], r["campaign"], r["currency"]): r for r in rows}
    assert set(given) <= set(expected)
    for row, (conversions, value) in expected.items():
        got = given.get(row, {"conversions": 0.0, "value": 0.0})
        assert got["conversions"] == pytest.approx(float(conversions), abs=1e-9, rel=1e-9)
        total = sum(v for r, (_, v) in expected.items() if r[-1] == row[-1])
        assert got["value"] == pytest.approx(float(value), abs=max(1e-9, float(total) * 2**-51), rel=1e-9)

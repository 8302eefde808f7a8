"""The SQL against a second implementation: sessions, touches, conversions, journeys and every model.

Long, because it is a list: the definitions.
"""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sql import reference
from tests.sql.asked import QUESTIONS
from tests.sql.harness import WINDOWS, add_up, stored, thorough
from tests.sql.reference import Event
from tests.sql.warehouse import Warehouse, text
from tests.sql.worlds import START, as_enriched, worlds

MODELS = ("first", "last", "last_non_direct", "linear", "position", "time_decay")


def _ten_thousandths(value: Decimal) -> int:
    return int(value * 10_000)


@thorough
@given(events=worlds(), window=WINDOWS)
def test_sessions(warehouse: Warehouse, events: list[Event], window: tuple[int, int]) -> None:
    site, events = stored(warehouse, events)
    expected: Counter[tuple[object, ...]] = Counter()
    for session in reference.sessions(events):
        first, last = session.events[0], session.events[-1]
        arrival = session.arrival
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
    assert expected == _sessions(rows)
    # Those of a window, by the view that reads little more than the window.
    since, until = (START + timedelta(days=day) for day in window)
    rows = warehouse.rows(
        f"SELECT * FROM pharos.sessions_between({ASKED}, tz = 'UTC')", site=site, since=text(since), until=text(until)
    )
    assert _sessions(rows) == Counter({key: n for key, n in expected.items() if since <= key[3] < until})  # type: ignore[operator]


ASKED = "site = {site:String}, since = {since:String}, until = {until:String}"


def _sessions(rows: list[dict[str, Any]]) -> Counter[tuple[object, ...]]:
    return Counter(
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
@given(
    events=worlds(),
    window=WINDOWS,
    goal=st.sampled_from(("purchase", "purchase", "purchase[plan=pro]", "purchase /q*", "pageview /*_1")),
)
def test_touches_and_conversions(warehouse: Warehouse, events: list[Event], window: tuple[int, int], goal: str) -> None:
    site, events = stored(warehouse, events)
    since, until = (START + timedelta(days=day) for day in window)
    times: Any = {"site": site, "since": text(since), "until": text(until)}
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
    rows = warehouse.rows(f"SELECT * FROM pharos.touches_between({ASKED}, tz = 'UTC')", **times)
    assert Counter(tuple(row[name] for name in columns) for row in rows) == Counter(
        {key: n for key, n in expected.items() if since <= key[1] < until}
    )
    person = reference.people(events)
    rows = warehouse.rows(
        f"SELECT * FROM pharos.conversions({ASKED}, tz = 'UTC', event = {{goal:String}})", goal=goal, **times
    )
    bought = Counter(
        (
            *(e.event_id, e.occurred_at, e.kind, e.visitor_id, e.user_id, e.client_event_id),
            *(e.value, e.gross, e.currency, person(e) or f"event {e.event_id}"),
        )
        for e in reference.conversions(events, site, goal)
        if since <= e.occurred_at < until
    )
    columns = ["event_id", "occurred_at", "kind", "visitor_id", "user_id", "client_event_id"]
    assert bought == Counter(
        (
            *(row[name] for name in columns),
            *(_ten_thousandths(row["value"]), _ten_thousandths(row["gross"]), row["currency"], row["person"]),
        )
        for row in rows
    )


def test_the_browsers_copy_has_the_page_and_the_servers_the_money(warehouse: Warehouse) -> None:
    """A server reports the purchase, a browser in the next month, and both again: one event, in any order."""
    days = (("server", 0, 100), ("tag", 40, -999_990_000), ("pixel", 50, 3), ("server", 60, 4))
    site, _ = stored(warehouse, [])
    orders = list(enumerate(permutations(days)))
    for arrival in range(len(days)):  # each copy arrives on its own
        copies = [
            Event(
                event_id=UUID(int=arrival),
                occurred_at=START + timedelta(days=day),
                event="purchase",
                kind=kind,
                client_event_id=f"o{number}",
                visitor_id="" if kind == "server" else f"v{day}",
                user_id="u1" if kind == "server" else "stranger",
                is_bot=kind == "pixel",
                value=value,
                currency="EUR" if kind == "server" else "USD",
            )
            for number, (kind, day, value) in ((number, order[arrival]) for number, order in orders)
        ]
        warehouse.insert([as_enriched(copy, site) for copy in copies])
    sql = "SELECT occurred_at, kind, visitor_id, user_id, value, currency, is_bot FROM pharos.events "
    sql += "WHERE site = {site:String} AND event = 'purchase' AND client_event_id LIKE 'o%'"
    expected = [(START + timedelta(days=40), "tag", "v40", "u1", 100, "EUR", False)] * len(orders)
    for _ in range(2):  # before ClickHouse has merged the copies, and after
        rows = warehouse.rows(sql, site=site)
        assert [tuple({**row, "value": _ten_thousandths(row["value"])}.values()) for row in rows] == expected
        warehouse.client.command("OPTIMIZE TABLE pharos.event_log FINAL")


def test_a_server_that_says_nothing_of_money_leaves_the_browsers(warehouse: Warehouse) -> None:
    browser = Event(
        event_id=UUID(int=1), occurred_at=START, event="signup", visitor_id="a", value=5, client_event_id="s1"
    )
    site, _ = stored(warehouse, [browser, replace(browser, kind="server", visitor_id="", value=0, user_id="u9")])
    sql = "SELECT value, user_id, visitor_id FROM pharos.events WHERE site = {site:String} AND event = 'signup' "
    rows = warehouse.rows(sql + "AND NOT is_bot", site=site)
    assert rows == [{"value": Decimal("0.0005"), "user_id": "u9", "visitor_id": "a"}]


def test_a_refund_whose_copies_name_different_orders_is_of_one(warehouse: Warehouse) -> None:
    """The copy that the collector had first says which, a server's before a page's, whenever they are stored."""
    orders = [
        Event(
            event_id=UUID(int=n), occurred_at=START, event="purchase", client_event_id=f"o{n}", value=9, currency="EUR"
        )
        for n in (1, 2, 3)
    ]
    site, _ = stored(warehouse, orders)
    refund = Event(event_id=UUID(int=9), occurred_at=START, event="refund", client_event_id="r1", currency="EUR")
    left = []
    for order, late_ms, kind in (("o2", 2, "tag"), ("o1", 1, "tag"), ("o2", 4, "server"), ("o3", 3, "server")):
        copy = replace(refund, kind=kind, late_ms=late_ms, value=4, props={"order_id": order})
        warehouse.insert([as_enriched(copy, site)])
        rows = warehouse.rows(
            f"SELECT value FROM pharos.conversions({ASKED}, tz = 'UTC', event = 'purchase') ORDER BY client_event_id",
            **{"site": site, "since": text(START), "until": text(START + timedelta(days=1))},
        )
        left.append([_ten_thousandths(row["value"]) for row in rows])
    assert left == [[9, 5, 9], [5, 9, 9], [9, 5, 9], [9, 9, 5]]


def test_two_copies_do_not_name_a_visitor_together(warehouse: Warehouse) -> None:
    """A stranger may guess an order's id: his visitor must not become the user of the server's copy."""
    browser = Event(
        event_id=UUID(int=1), occurred_at=START, event="purchase", kind="tag", visitor_id="a", client_event_id="o1"
    )
    server = replace(browser, kind="server", visitor_id="", user_id="u1")
    site, _ = stored(warehouse, [browser])
    warehouse.insert([as_enriched(server, site)])
    sql = f"SELECT person, user_id FROM pharos.conversions({ASKED}, tz = 'UTC', event = 'purchase')"
    times: Any = {"site": site, "since": text(START), "until": text(START + timedelta(days=1))}
    before = warehouse.rows(sql, **times)
    warehouse.client.command("OPTIMIZE TABLE pharos.event_log FINAL")
    assert before == warehouse.rows(sql, **times) == [{"person": "visitor a", "user_id": "u1"}]


def test_the_first_user_that_a_visitor_named_counts_whenever_it_is_stored(warehouse: Warehouse) -> None:
    later = Event(
        event_id=UUID(int=1), occurred_at=START + timedelta(hours=1), event="signup", visitor_id="a", user_id="u2"
    )
    site, _ = stored(warehouse, [later])
    earlier = replace(later, event_id=UUID(int=2), occurred_at=START, user_id="u1")
    warehouse.insert([as_enriched(earlier, site)])
    sql = "SELECT visitor_id, user_id FROM pharos.people WHERE site = {site:String}"
    for _ in range(2):  # before ClickHouse has merged the two, and after
        assert warehouse.rows(sql, site=site) == [{"visitor_id": "a", "user_id": "u1"}]
        warehouse.client.command("OPTIMIZE TABLE pharos.identities FINAL")


@thorough
@given(
    events=worlds(),
    window=WINDOWS,
    lookback=st.sampled_from((0, 1, 5, 30)),
    restart=st.booleans(),
    kinds=st.sampled_from((reference.KINDS, ("arrival", "click"), ("open",))),
    ignore=st.sampled_from(((), ("google",), ("(direct)", "letter"))),
)
def test_journeys(
    warehouse: Warehouse,
    events: list[Event],
    window: tuple[int, int],
    lookback: int,
    restart: bool,
    kinds: tuple[str, ...],
    ignore: tuple[str, ...],
) -> None:
    site, events = stored(warehouse, events)
    since, until = (START + timedelta(days=day) for day in window)
    rows = warehouse.rows(
        f"SELECT event_id, person, touches.event_id AS ids, path FROM pharos.journeys({ASKED}, tz = 'UTC', "
        "conversion = 'purchase', lookback_days = {lookback:UInt32}, restart = {restart:UInt8}, "
        "touch_kinds = {kinds:String}, ignore = {ignore:String})",
        kinds=", ".join(kinds),
        ignore=", ".join(ignore),
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
        for journey in reference.journeys(events, site, "purchase", lookback, since, until, restart, kinds, ignore)
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
        f"SELECT * FROM pharos.attribution({ASKED}, tz = 'UTC', conversion = 'purchase', model = {{model:String}}, "
        "lookback_days = 30, half_life_days = {half_life:Float64}, restart = {restart:UInt8}, "
        f"touch_kinds = '{','.join(reference.KINDS)}', ignore = '')",
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


def _ask(warehouse: Warehouse, view: str, chosen: dict[str, str]) -> list[dict[str, Any]]:
    given = ", ".join(f"{name} = '{value}'" for name, value in chosen.items())
    return warehouse.rows(f"SELECT * FROM pharos.{view}({given})")


def _agree(rows: list[dict[str, Any]], expected: dict[reference.Row, tuple[Fraction, Fraction, Fraction]]) -> None:
    """Rows agree to 1e-9, or to the last bit of the total, where that is more; a part of 0 may be missing."""
    given = {(r["channel"], r["source"], r["medium"], r["campaign"], r["currency"]): r for r in rows}
    assert set(given) <= set(expected)
    for row, (conversions, value, gross) in expected.items():
        got = given.get(row, {"conversions": 0.0, "value": 0.0, "gross": 0.0})
        assert got["conversions"] == pytest.approx(float(conversions), abs=1e-9, rel=1e-9)
        for column, amount, place in (("value", value, 1), ("gross", gross, 2)):
            total = sum(abs(own[place]) for r, own in expected.items() if r[-1] == row[-1])
            assert got[column] == pytest.approx(float(amount), abs=max(1e-9, float(total) * 2**-50), rel=1e-9)


HUGE = 10**18 - 1
"""The largest value that the collector accepts, in ten-thousandths."""


def test_any_values_add_up(warehouse: Warehouse) -> None:
    """A thousand of the largest values, the smallest ones, and a currency whose values cancel each other."""
    values = [("EUR", HUGE)] * 1000 + [("USD", -HUGE)] * 1000 + [("JPY", HUGE), ("JPY", -HUGE)] * 500 + [("CHF", 0)]
    events = [
        Event(
            event_id=UUID(int=number),
            occurred_at=START + timedelta(seconds=number),
            event="purchase",
            visitor_id=f"v{number % 7}",
            value=value,
            currency=currency,
        )
        for number, (currency, value) in enumerate(values)
    ]
    site, _ = stored(warehouse, events)
    chosen = {"site": site, "until": "2026-09-03"}
    sums = {"EUR": 1000 * HUGE / 10_000, "USD": -1000 * HUGE / 10_000, "JPY": 0.0, "CHF": 0.0}
    for view in ("attribution", "attribution_shapley", "attribution_markov"):
        rows = _ask(warehouse, view, QUESTIONS[view] | chosen)
        for currency, total in sums.items():
            own = [row for row in rows if row["currency"] == currency]
            assert sum(row["value"] for row in own) == pytest.approx(
                total, rel=1e-15, abs=1000 * HUGE / 10_000 * 2**-50
            )
            assert all(row["value"] == row["value"] for row in own), "no NaN"
    for model in (*MODELS, "shapley"):
        rows = _ask(warehouse, "attribution", QUESTIONS["attribution"] | chosen | {"model": model})
        assert sum(row["conversions"] for row in rows) == len(events)
        assert all(row["value"] == row["value"] for row in rows), "no NaN"
    rows = _ask(warehouse, "sessions_between", {**QUESTIONS["sessions_between"], **chosen})
    euros = sum((row["value"].get("EUR", Decimal(0)) for row in rows), Decimal(0))
    assert euros == Decimal(HUGE) * 1000 / 10_000
    rows = warehouse.rows(
        "SELECT sum(value) AS total FROM pharos.events WHERE site = {site:String} AND currency = 'EUR'", site=site
    )
    assert rows == [{"total": Decimal(HUGE) * 1000 / 10_000}]

"""Visits, touches, landing pages and persons in full, against loops in Python."""

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sql import reference
from tests.sql.harness import WINDOWS, stored, thorough
from tests.sql.reference import Event, Session
from tests.sql.warehouse import Warehouse, text
from tests.sql.worlds import START, worlds

ASKED = "site = {site:String}, since = {since:String}, until = {until:String}, tz = 'UTC'"
DAY = timedelta(days=1)


def _times(site: str, window: tuple[int, int]) -> tuple[datetime, datetime, dict[str, Any]]:
    since, until = (START + timedelta(days=day) for day in window)
    return since, until, {"site": site, "since": text(since), "until": text(until)}


def _money(value: dict[str, Any]) -> dict[str, int]:
    return {currency: int(amount * 10_000) for currency, amount in value.items() if amount}


@thorough
@given(events=worlds(), window=WINDOWS)
def test_touch_details(warehouse: Warehouse, events: list[Event], window: tuple[int, int]) -> None:
    site, events = stored(warehouse, events)
    since, until, times = _times(site, window)
    person = reference.people(events)
    expected = Counter(
        (
            *(
                person(e),
                e.visitor_id,
                e.occurred_at,
                e.event_id,
                touch.kind,
                e.channel,
                e.source,
                e.medium,
                e.campaign,
            ),
            *(e.utm_content, e.utm_term, e.link_code, e.path, e.device, e.country),
        )
        for touch in reference.touches(events)
        for e in [touch.event]
        if since <= e.occurred_at < until
    )
    rows = warehouse.rows(f"SELECT * FROM pharos.touch_details({ASKED})", **times)
    assert Counter(tuple(row.values()) for row in rows) == expected


@thorough
@given(events=worlds(), window=WINDOWS)
def test_visit_details(warehouse: Warehouse, events: list[Event], window: tuple[int, int]) -> None:
    """The rows of `sessions_between`, each with what its own first event says."""
    site, events = stored(warehouse, events)
    since, until, times = _times(site, window)
    expected = Counter(
        (a.event_id, a.occurred_at, a.is_bot, a.utm_content, a.utm_term, a.link_code, a.device, a.country)
        for a in (session.arrival for session in reference.sessions(events))
        if since <= a.occurred_at < until
    )
    columns = "session_id, started_at, is_bot, content, term, link_code, device, country"
    rows = warehouse.rows(f"SELECT {columns} FROM pharos.visit_details({ASKED})", **times)
    assert Counter(tuple(row.values()) for row in rows) == expected
    own = warehouse.rows(
        f"SELECT * EXCEPT (content, term, link_code, device, country) FROM pharos.visit_details({ASKED})", **times
    )
    between = warehouse.rows(f"SELECT * FROM pharos.sessions_between({ASKED})", **times)
    assert Counter(map(repr, own)) == Counter(map(repr, between))


def _engaged_ms(event: Event) -> int:
    return round((event.occurred_at - event.began) / timedelta(milliseconds=1))


def _session(session: Session, goals: list[str], until: datetime) -> tuple[object, ...]:
    own = [e for e in session.events if e.occurred_at < until + DAY]
    views = sum(e.event == "pageview" for e in own)
    engaged_s = sum(map(_engaged_ms, own)) / 1000
    met = [goal for goal in goals if any(reference.meets(e, goal) for e in own)]
    paths = [e.path for e in session.events if e.path] or [""]
    a = session.arrival
    return (
        *(
            a.visitor_id,
            a.event_id,
            a.occurred_at,
            session.events[-1].occurred_at,
            len(session.events),
            views,
            engaged_s,
        ),
        *(views <= 1 and engaged_s < 10 and not met, tuple(met), paths[0], paths[-1]),
        *(a.channel, a.source, a.medium, a.campaign, a.utm_content, a.utm_term, a.link_code, a.device, a.country),
        tuple(sorted((currency, amount) for currency, amount in session.value.items() if amount)),
    )


COLUMNS = (
    *("visitor_id", "session_id", "started_at", "ended_at", "events", "views", "engaged_s", "bounce", "goals"),
    *("landing_page", "exit_page", "channel", "source", "medium", "campaign", "content", "term", "link_code", "device"),
    *("country", "value"),
)


@thorough
@given(
    events=worlds(),
    window=WINDOWS,
    goals=st.sampled_from(([], ["purchase"], ["pageview /q*", "purchase[plan=pro]", "signup"])),
    history=st.sampled_from((0, 1, 40)),
)
def test_session_details(
    warehouse: Warehouse, events: list[Event], window: tuple[int, int], goals: list[str], history: int
) -> None:
    site, events = stored(warehouse, events)
    since, until, times = _times(site, window)
    person = reference.people(events)
    before: dict[str, list[datetime]] = defaultdict(list)
    expected: Counter[tuple[Any, ...]] = Counter()
    of_people = [s for s in reference.sessions(events) if not s.arrival.is_bot]
    for session in sorted(of_people, key=lambda s: s.arrival.key):
        who, at = person(session.arrival), session.arrival.occurred_at
        if since - history * DAY <= at < until:
            if at >= since:
                days = (at - before[who][-1]) / DAY if before[who] else None
                expected[*_session(session, goals, until), who, len(before[who]) + 1, days] += 1
            before[who].append(at)
    rows = warehouse.rows(
        f"SELECT * FROM pharos.session_details({ASKED}, goals = {{goals:String}}, history_days = {{history:UInt32}})",
        **times,
        goals=", ".join(goals),
        history=history,
    )
    got = Counter(
        (
            *(tuple(v) if isinstance(v := row[name], list) else v for name in COLUMNS if name != "value"),
            tuple(sorted(_money(row["value"]).items())),
            *(row["person"], row["number"], row["days_since_last"]),
        )
        for row in rows
    )
    assert Counter(key[:-1] for key in got.elements()) == Counter(key[:-1] for key in expected.elements())
    waits = [[key[-1] or 0 for key in found.elements()] for found in (got, expected)]
    assert sorted(map(float, waits[0])) == pytest.approx(sorted(map(float, waits[1])))


@thorough
@given(events=worlds(), window=WINDOWS, goal=st.sampled_from(("purchase", "pageview /q*")))
def test_landing_pages(warehouse: Warehouse, events: list[Event], window: tuple[int, int], goal: str) -> None:
    site, events = stored(warehouse, events)
    since, until, times = _times(site, window)
    by_page: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for session in reference.sessions(events):
        if not session.arrival.is_bot and since <= session.arrival.occurred_at < until:
            own_row: dict[str, Any] = dict(zip(COLUMNS, _session(session, [goal], until), strict=True))
            by_page[own_row["landing_page"]].append(own_row)
    rows = warehouse.rows(
        f"SELECT * FROM pharos.landing_pages({ASKED}, conversion = {{goal:String}})", **times, goal=goal
    )
    assert {row["landing_page"] for row in rows} == set(by_page)
    for row in rows:
        own = by_page[row["landing_page"]]
        visits, bounces, converted = len(own), sum(bool(s["bounce"]) for s in own), sum(bool(s["goals"]) for s in own)
        value: Counter[str] = Counter()
        for s in own:
            value.update(dict(s["value"]))
        assert (row["visits"], row["visitors"]) == (visits, len({s["visitor_id"] for s in own}))
        assert (row["bounces"], row["bounce_rate"]) == (bounces, bounces / visits)
        assert (row["converted"], row["conversion_rate"]) == (converted, converted / visits)
        assert row["views_per_visit"] == pytest.approx(sum(s["views"] for s in own) / visits)
        assert row["engaged_s_per_visit"] == pytest.approx(sum(s["engaged_s"] for s in own) / visits)
        assert _money(row["value"]) == {currency: amount for currency, amount in value.items() if amount}


@thorough
@given(events=worlds(), window=WINDOWS)
def test_persons(warehouse: Warehouse, events: list[Event], window: tuple[int, int]) -> None:
    site, events = stored(warehouse, events)
    since, until, times = _times(site, window)
    person = reference.people(events)
    seen: dict[str, list[Event]] = defaultdict(list)
    for e in reference.standing(events):
        shown = not e.is_bot and e.kind != "open" and not reference.is_suppression(e)
        if shown and person(e) and since <= e.occurred_at < until:
            seen[person(e)].append(e)
    touched: dict[str, list[reference.Touch]] = defaultdict(list)
    for touch in sorted(reference.touches(events), key=lambda t: t.event.key):
        if touch.kind != "open" and since <= touch.event.occurred_at < until:
            touched[person(touch.event)].append(touch)
    bought: dict[str, list[Event]] = defaultdict(list)
    for e in reference.conversions(events, site, "purchase"):
        if since <= e.occurred_at < until:
            bought[person(e)].append(e)
    expected = {}
    for who, own in seen.items():
        value: Counter[str] = Counter()
        for e in bought[who]:
            value[e.currency] += e.value
        first = touched[who][0].event if touched[who] else None
        expected[who] = (
            len({e.visitor_id for e in own if e.visitor_id}),
            *(min(e.occurred_at for e in own), max(e.occurred_at for e in own)),
            sum(t.kind == "arrival" for t in touched[who]),
            (first.channel, first.source, first.medium, first.campaign) if first else ("", "", "", ""),
            *(len(bought[who]), min((e.occurred_at for e in bought[who]), default=None)),
            max((e.occurred_at for e in bought[who]), default=None),
            {currency: amount for currency, amount in value.items() if amount},
        )
    rows = warehouse.rows(f"SELECT * FROM pharos.persons({ASKED}, conversion = 'purchase')", **times)
    assert len({row["person"] for row in rows}) == len(rows)
    assert {
        row["person"]: (
            *(row["visitor_ids"], row["first_seen"], row["last_seen"], row["visits"]),
            tuple(row[f"first_{name}"] for name in ("channel", "source", "medium", "campaign")),
            *(row["conversions"], row["first_converted_at"], row["last_converted_at"], _money(row["value"])),
        )
        for row in rows
    } == expected

"""Funnel and retention against loops in Python; mail opens and audience on examples that show each rule.

Long, because it is a list: the questions.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sql import reference
from tests.sql.harness import WINDOWS, stored, thorough
from tests.sql.reference import Event
from tests.sql.warehouse import Warehouse, text
from tests.sql.worlds import START, worlds

GOALS = (
    "pageview /q*",
    "pageview */p",
    "pageview /*_1",
    "signup[plan=pro]",
    "purchase[plan=pro, size=x_l]",
    "signup /p[plan=]",
)
"""Goals with a path, properties, or both."""
STEPS = (
    *([goal, "pageview /p", other] for goal, other in zip(GOALS, reversed(GOALS), strict=True)),
    ["pageview", "purchase"],
    ["pageview", "pageview", "signup"],
    ["signup", "pageview", "purchase"],
)


def _reached(own: list[Event], steps: list[str], since: datetime, until: datetime, hours: int) -> int:
    """Return how many steps the best chain has: from every beginning, each step at its earliest."""
    best = 0
    for start in range(len(own)):
        if not reference.meets(own[start], steps[0]) or not since <= own[start].occurred_at < until:
            continue
        done, place = 1, start + 1
        while done < len(steps) and place < len(own):
            if own[place].occurred_at - own[start].occurred_at > timedelta(hours=hours):
                break
            done += reference.meets(own[place], steps[done])
            place += 1
        best = max(best, done)
    return best


@thorough
@given(events=worlds(), steps=st.sampled_from(STEPS), hours=st.sampled_from((1, 24, 24 * 7)))
def test_funnel(warehouse: Warehouse, events: list[Event], steps: list[str], hours: int) -> None:
    site, events = stored(warehouse, events)
    since, until = START + timedelta(days=1), START + timedelta(days=20)
    person = reference.people(events)
    own: dict[str, list[Event]] = {}
    for event in sorted(reference.standing(events), key=lambda e: e.key):
        if not event.is_bot and person(event) and not reference.is_suppression(event):
            own.setdefault(person(event), []).append(event)
    reached = [_reached(each, steps, since, until, hours) for each in own.values()]
    rows = warehouse.rows(
        "SELECT * FROM pharos.funnel(site = {site:String}, steps = {steps:String}, window_hours = {hours:UInt32}, "
        "since = {since:String}, until = {until:String}, tz = 'UTC')",
        site=site,
        steps=", ".join(steps),
        hours=hours,
        since=text(since),
        until=text(until),
    )
    began = sum(r >= 1 for r in reached)
    expected = [(n, name, sum(r >= n for r in reached)) for n, name in enumerate(steps, 1)]
    assert [(row["step"], row["event"], row["visitors"]) for row in rows] == expected
    assert all(row["rate"] == (row["visitors"] / began if began else 0) for row in rows)


def _day(at: datetime, tz: str) -> int:
    return at.astimezone(ZoneInfo(tz)).toordinal()


@thorough
@given(
    events=worlds(),
    tz=st.sampled_from(("UTC", "Asia/Tokyo", "America/New_York")),
    goal=st.sampled_from(("signup", "signup", "signup[plan=pro]", "pageview /q*")),
)
def test_retention(warehouse: Warehouse, events: list[Event], tz: str, goal: str) -> None:
    site, events = stored(warehouse, events)
    zone = ZoneInfo(tz)
    since, until = (START.replace(tzinfo=zone) + timedelta(days=days) for days in (1, 20))
    person = reference.people(events)
    days: dict[str, set[int]] = {}
    first: dict[str, datetime] = {}
    for event in sorted(reference.standing(events), key=lambda e: e.key):
        who = person(event)
        if event.is_bot or not who or event.occurred_at >= until or reference.is_suppression(event):
            continue
        if reference.meets(event, goal):
            first.setdefault(who, event.occurred_at)
        if event.kind != "open":
            days.setdefault(who, set()).add(_day(event.occurred_at, tz))
    expected: dict[tuple[int, int], int] = {}
    for who, at in first.items():
        if at >= since:
            for day in days.get(who, set()) | {_day(at, tz)}:
                if day >= _day(at, tz):
                    key = (_day(at, tz), day - _day(at, tz))
                    expected[key] = expected.get(key, 0) + 1
    rows = warehouse.rows(
        "SELECT * FROM pharos.retention(site = {site:String}, event = {goal:String}, since = {since:String}, "
        "until = {until:String}, tz = {tz:String})",
        tz=tz,
        site=site,
        goal=goal,
        since=since.strftime("%Y-%m-%d"),
        until=until.strftime("%Y-%m-%d"),
    )
    assert {(row["cohort"].toordinal(), row["day"]): row["visitors"] for row in rows} == expected
    assert all(row["rate"] == row["visitors"] / expected[row["cohort"].toordinal(), 0] for row in rows)


def test_a_funnel_that_nobody_began_has_its_steps(warehouse: Warehouse) -> None:
    site, _ = stored(warehouse, [])
    rows = warehouse.rows(
        "SELECT * FROM pharos.funnel(site = {site:String}, steps = 'pageview, purchase', window_hours = 1, "
        "since = '2026-09-01', until = '2026-10-01', tz = 'UTC')",
        site=site,
    )
    nobody = {"visitors": 0, "rate": 0}
    assert rows == [{"step": 1, "event": "pageview", **nobody}, {"step": 2, "event": "purchase", **nobody}]


@thorough
@given(events=worlds(), window=WINDOWS)
def test_top_pages(warehouse: Warehouse, events: list[Event], window: tuple[int, int]) -> None:
    site, events = stored(warehouse, events)
    since, until = (START + timedelta(days=day) for day in window)
    seen = [
        e
        for e in reference.standing(events)
        if e.event == "pageview" and not e.is_bot and since <= e.occurred_at < until
    ]
    began = Counter(
        next((e.path for e in s.events if e.path), "")
        for s in reference.sessions(events)
        if not s.events[0].is_bot and since <= s.events[0].occurred_at < until
    )
    expected = [
        (path, views, len({e.visitor_id for e in seen if e.path == path and e.visitor_id}), began[path])
        for path, views in sorted(Counter(e.path for e in seen).items(), key=lambda page: (-page[1], page[0]))
    ]
    rows = warehouse.rows(
        "SELECT * FROM pharos.top_pages(site = {site:String}, since = {since:String}, until = {until:String}, "
        "tz = 'UTC')",
        site=site,
        since=text(since),
        until=text(until),
    )
    assert [(row["path"], row["views"], row["visitors"], row["entries"]) for row in rows] == expected


def _minutes(start: datetime, count: int) -> list[Event]:
    """Three events at the start of each minute: a page view and a click of one visitor, and a crawler's page view."""
    each: tuple[dict[str, Any], ...] = (
        {"visitor_id": "a"},
        {"visitor_id": "a", "event": "click", "kind": "click"},
        {"visitor_id": "crawler", "is_bot": True},
    )
    return [
        Event(event_id=uuid4(), occurred_at=start + timedelta(minutes=minute), **more)
        for minute in range(count)
        for more in each
    ]


BUSY = {"events": 2, "views": 1, "visitors": 1}
QUIET = {"events": 0, "views": 0, "visitors": 0}


def test_the_half_hour_up_to_a_moment(warehouse: Warehouse) -> None:
    start = datetime(2026, 9, 1, 12, tzinfo=UTC)
    # A quiet minute; somebody unknown in the last one, at the moment itself and just past it.
    busy = [e for e in _minutes(start, 61) if e.occurred_at != start + timedelta(minutes=20)]
    nobody = Event(event_id=uuid4(), occurred_at=start + timedelta(minutes=42, seconds=30))
    late = Event(event_id=uuid4(), occurred_at=start + timedelta(minutes=42, seconds=30, milliseconds=1))
    site, _ = stored(warehouse, [*busy, nobody, late])
    sql = "SELECT * FROM pharos.realtime(site = {site:String}, at = '2026-09-01 12:42:30', tz = 'UTC')"
    rows = warehouse.rows(sql, site=site)
    assert rows == [
        {
            "minute": start + timedelta(minutes=minute),
            **({20: QUIET, 42: {"events": 3, "views": 2, "visitors": 1}}.get(minute, BUSY)),
        }
        for minute in range(13, 43)
    ]


def test_the_last_half_hour_is_up_to_now(warehouse: Warehouse) -> None:
    before = datetime.now(UTC).replace(second=0, microsecond=0)
    site, _ = stored(warehouse, _minutes(before - timedelta(minutes=40), 50))
    rows = warehouse.rows("SELECT * FROM pharos.realtime(site = {site:String}, at = 'now', tz = 'UTC')", site=site)
    last = rows[-1]["minute"]
    assert before <= last <= datetime.now(UTC)
    assert rows == [{"minute": last - timedelta(minutes=back), **BUSY} for back in range(29, -1, -1)]


def test_an_attribution_view_can_be_explained(warehouse: Warehouse) -> None:
    """The pretty form, the default since 26.7, takes all memory there is: not asked for here, lest it does."""
    setting = "SELECT value FROM system.settings WHERE name = 'explain_query_plan_default'"
    assert warehouse.rows(setting) == [{"value": "legacy"}]
    site, _ = stored(warehouse, [])
    plan = warehouse.client.raw_query(
        "EXPLAIN SELECT * FROM pharos.attribution(site = '" + site + "', conversion = 'purchase', model = 'linear', "
        "lookback_days = 30, since = '2026-09-01', until = '2026-10-01', tz = 'UTC', half_life_days = 7, restart = 0, "
        "touch_kinds = 'arrival,click', ignore = '')"
    )
    assert b"Read" in plan
    assert len(plan) < 1_000_000


def test_mail_opens_by_who_opened(warehouse: Warehouse) -> None:
    def opened(number: int, kind: str, user: str = "", visitor: str = "") -> Event:
        return Event(
            event_id=UUID(int=number),
            occurred_at=START + timedelta(seconds=number),
            event="open",
            kind="open",
            open_kind=kind,
            user_id=user,
            visitor_id=visitor,
            message_id="m1",
            is_bot=kind == "scanner",
        )

    click = Event(
        event_id=UUID(int=90),
        occurred_at=START,
        event="click",
        kind="click",
        visitor_id="v",
        campaign="m1",
        utm_id="m1",
    )
    site, _ = stored(
        warehouse,
        [
            opened(1, "human", "u1"),
            opened(2, "human", "u1", "v1"),
            opened(3, "human", "u2"),
            opened(4, "proxy", "u3"),
            opened(5, "prefetch", "u4"),
            opened(6, "scanner"),
            click,
        ],
    )
    rows = warehouse.rows(
        "SELECT * EXCEPT (list) FROM pharos.mail_opens(site = {site:String}, since = '2026-09-01', "
        "until = '2026-09-02', tz = 'UTC')",
        site=site,
    )
    expected = {"message": "m1", "opens": 6, "human": 3, "proxy": 1, "prefetch": 1, "scanner": 1}
    assert rows == [{**expected, "unique_human": 2, "clicks": 1, "scanner_clicks": 0}]


RECENT = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
"""Addresses are erased after 30 days."""

OFFICE = ("192.0.2.0", "Firefox")

# What one client did, as (ms, link; "" is the open), and then: human, scanner, clicks, scanner_clicks.
BEHAVIOURS = {
    "a person, two links over a minute": ([(0, ""), (20_000, "a"), (60_000, "b")], (1, 0, 2, 0)),
    "a person, three links over a minute": ([(0, ""), (20_000, "a"), (40_000, "b"), (60_000, "c")], (1, 0, 3, 0)),
    "a person, two links at once": ([(0, ""), (1_000, "a"), (1_000, "b")], (1, 0, 2, 0)),
    "one link three times": ([(0, ""), (1_000, "a"), (2_000, "a"), (3_000, "a")], (1, 0, 3, 0)),
    "a scanner": ([(0, ""), (100, "a"), (200, "b"), (300, "c"), (400, "d")], (0, 1, 0, 4)),
    "the third link after 5 s": ([(0, ""), (1, "a"), (2, "b"), (5_000, "c")], (0, 1, 0, 3)),
    "the third link past 5 s": ([(0, ""), (1, "a"), (2, "b"), (5_001, "c")], (1, 0, 3, 0)),
    "links 1 s before the open": ([(1_000, ""), (0, "a"), (0, "b"), (0, "c")], (0, 1, 0, 3)),
    "a link over 1 s before the open": ([(1_001, ""), (0, "a"), (1, "b"), (1, "c")], (1, 0, 3, 0)),
    "a slow scanner's last link": ([(0, ""), (1, "a"), (2, "b"), (3, "c"), (60_000, "d")], (0, 1, 0, 4)),
    "back after a minute": ([(0, ""), (1, "a"), (2, "b"), (3, "c"), (60_001, "d"), (60_001, "")], (1, 1, 1, 3)),
    "three links without an open": ([(0, "a"), (1, "b"), (2, "c"), (90_000, "")], (1, 0, 3, 0)),
    "links by URL": (
        [(0, ""), (1, "https://a.example/1"), (2, "https://a.example/2"), (3, "https://a.example/3")],
        (0, 1, 0, 3),
    ),
    "one page, three queries": (
        [(0, ""), (1, "https://a.example/?p=1"), (2, "https://a.example/?p=2"), (3, "https://a.example/#3")],
        (1, 0, 3, 0),
    ),
}


def _did(
    steps: list[tuple[int, str]],
    client: tuple[str, str] = OFFICE,
    start: datetime = RECENT + timedelta(hours=9),
    message: str = "m1",
    open_kind: str = "human",
) -> list[Event]:
    return [
        Event(
            event_id=uuid4(),
            occurred_at=start + timedelta(milliseconds=ms),
            event="click" if link else "open",
            kind="click" if link else "open",
            open_kind="" if link else open_kind,
            message_id="" if link else message,
            utm_id=message if link else "",
            link_code="" if link.startswith("https:") else link,
            url=link if link.startswith("https:") else "",
            ip=client[0],
            user_agent=client[1],
        )
        for ms, link in steps
    ]


def _mail(warehouse: Warehouse, site: str, since: datetime = RECENT, days: int = 2) -> list[tuple[int, int, int, int]]:
    rows = warehouse.rows(
        "SELECT * FROM pharos.mail_opens(site = {site:String}, since = {since:String}, until = {until:String}, "
        "tz = 'UTC')",
        site=site,
        since=text(since),
        until=text(since + timedelta(days=days)),
    )
    return [(row["human"], row["scanner"], row["clicks"], row["scanner_clicks"]) for row in rows]


SCAN = [(0, ""), (100, "a"), (200, "b"), (300, "c")]


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_a_mail_scanner_is_told_by_what_it_does(warehouse: Warehouse, name: str) -> None:
    steps, expected = BEHAVIOURS[name]
    site, _ = stored(warehouse, _did(steps))
    assert _mail(warehouse, site) == [expected]


def test_a_scan_is_one_clients_on_one_message(warehouse: Warehouse) -> None:
    colleague = _did([(50, ""), (150, "a")], ("192.0.2.0", "Chrome"))
    site, _ = stored(warehouse, _did(SCAN) + colleague)
    assert _mail(warehouse, site) == [(1, 1, 1, 3)]
    site, _ = stored(warehouse, _did([(0, ""), (1, "a")]) + _did([(0, "b"), (1, "c")], ("198.51.100.0", "Firefox")))
    assert _mail(warehouse, site) == [(1, 0, 3, 0)]
    site, _ = stored(warehouse, _did([(0, ""), (1, "a"), (2, "b")]) + _did([(0, ""), (1, "c")], message="m2"))
    assert _mail(warehouse, site) == [(1, 0, 2, 0), (1, 0, 1, 0)]
    for unknown in (("", "Firefox"), ("192.0.2.0", ""), ("", "")):
        site, _ = stored(warehouse, _did(SCAN, unknown))
        assert _mail(warehouse, site) == [(1, 0, 3, 0)]


def test_a_scan_outweighs_the_kind_of_the_open_but_not_others(warehouse: Warehouse) -> None:
    site, _ = stored(
        warehouse, _did(SCAN, open_kind="proxy") + _did([(9, "")], ("192.0.2.0", "Mail"), open_kind="proxy")
    )
    rows = warehouse.rows(
        "SELECT opens, proxy, scanner, unique_human FROM pharos.mail_opens(site = {site:String}, "
        "since = {since:String}, until = {until:String}, tz = 'UTC')",
        site=site,
        since=text(RECENT),
        until=text(RECENT + timedelta(days=1)),
    )
    assert rows == [{"opens": 2, "proxy": 1, "scanner": 1, "unique_human": 0}]


def test_a_scan_across_midnight_is_seen_from_both_days(warehouse: Warehouse) -> None:
    midnight = RECENT + timedelta(days=1)
    steps = [(0, ""), (1_000, "a"), (2_000, "b"), (5_000, "c"), (59_000, "d")]
    other = _did([(3_600_000, "")], ("198.51.100.0", "Firefox"), midnight)
    site, _ = stored(warehouse, _did(steps, start=midnight - timedelta(milliseconds=500)) + other)
    assert _mail(warehouse, site, RECENT, 1) == [(0, 1, 0, 0)]
    assert _mail(warehouse, site, midnight, 1) == [(1, 0, 0, 4)]
    assert _mail(warehouse, site, RECENT, 2) == [(1, 1, 0, 4)]


NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)


def _seen(visitor: str, hours: float, consent: str = "given", user: str = "", event: str = "cart") -> Event:
    return Event(
        event_id=uuid4(),
        occurred_at=NOW - timedelta(hours=hours),
        event=event,
        visitor_id=visitor,
        user_id=user,
        consent=consent,
    )


def _audience(warehouse: Warehouse, events: list[Event], days: int = 30) -> list[tuple[object, ...]]:
    site, _ = stored(warehouse, events)
    rows = warehouse.rows(
        "SELECT * FROM pharos.audience(site = {site:String}, event = 'cart', min_count = 2, since = {since:String}, "
        "until = {until:String}, tz = 'UTC')",
        site=site,
        since=text(NOW - timedelta(days=days)),
        until=text(NOW),
    )
    return sorted((row["visitor_id"], row["user_id"], row["times"]) for row in rows)


def test_readers_are_counted_when_their_addresses_are_erased(warehouse: Warehouse) -> None:
    """ClickHouse erases addresses after 30 days, and did so with the next merge: 50 readers became one."""
    long_ago = RECENT - timedelta(days=60)
    opens = [
        event
        for number in range(50)
        for event in _did([(number * 1000, "")], (f"198.51.{number}.0", "Firefox"), long_ago)
    ]
    scan = _did(SCAN, ("203.0.113.0", "Firefox"), long_ago + timedelta(hours=2))
    site, _ = stored(warehouse, opens + scan)
    warehouse.client.command("OPTIMIZE TABLE pharos.event_log FINAL")
    sql = "SELECT countIf(ip != '') AS left FROM pharos.events WHERE site = {site:String} AND kind = 'open'"
    assert warehouse.rows(sql, site=site) == [{"left": 0}]
    rows = warehouse.rows(
        "SELECT human, unique_human, scanner FROM pharos.mail_opens(site = {site:String}, since = {since:String}, "
        "until = {until:String}, tz = 'UTC')",
        site=site,
        since=text(long_ago),
        until=text(long_ago + timedelta(days=1)),
    )
    assert rows == [{"human": 50, "unique_human": 50, "scanner": 1}]


def test_an_audience_leaves_out_people_whose_last_sign_is_a_refusal(warehouse: Warehouse) -> None:
    assert _audience(
        warehouse,
        [
            *(_seen("twice", 5), _seen("twice", 4)),
            _seen("once", 5),
            *(_seen("late no", 5), _seen("late no", 4), _seen("late no", 3, "refused", event="pageview")),
            *(_seen("laptop", 9, user="u1"), _seen("phone", 8, user="u1")),
            *(_seen("long ago", 24 * 40), _seen("long ago", 24 * 41)),
        ],
    ) == [("laptop", "u1", 2), ("phone", "u1", 2), ("twice", "", 2)]


def test_a_suppression_leaves_a_visitor_out(warehouse: Warehouse) -> None:
    """A refusal comes as an event `consent` that has the visitor id and nothing else; it counts from whenever it is."""

    def no(visitor: str, hours: float) -> Event:
        return _seen(visitor, hours, "refused", event="consent")

    assert _audience(
        warehouse,
        [
            *(_seen("yes", 5), _seen("yes", 4)),
            *(_seen("no", 5), _seen("no", 4), no("no", 3)),
            *(_seen("no after", 5), _seen("no after", 4), no("no after", -100)),
            *(_seen("yes again", 9), no("yes again", 8), _seen("yes again", 4)),
            # One browser of a user refused after the user's last event anywhere: the whole user.
            *(_seen("a", 9, user="u1"), _seen("b", 8, user="u1"), no("b", 2)),
            # Long before the user's last event: that browser alone, which the window does not even know.
            *(_seen("c", 24 * 50, user="u2"), no("c", 24 * 49), _seen("d", 8, user="u2"), _seen("d", 7, user="u2")),
        ],
    ) == [("d", "u2", 2), ("yes", "", 2), ("yes again", "", 2)]


def test_an_audience_has_every_visitor_id_of_a_person_and_no_empty_one(warehouse: Warehouse) -> None:
    assert _audience(
        warehouse,
        [
            _seen("old phone", 24 * 50, user="u1"),
            *(_seen("laptop", 9, user="u1"), _seen("", 8, user="u1")),
            *(_seen("", 9, user="u2"), _seen("", 8, user="u2")),
        ],
    ) == [("laptop", "u1", 2), ("old phone", "u1", 2)]


def test_a_suppression_is_counted_nowhere(warehouse: Warehouse) -> None:
    site, _ = stored(warehouse, [_seen("a", 2, event="pageview"), _seen("a", 1.9, "refused", event="consent")])
    rows = warehouse.rows("SELECT events, ended_at FROM pharos.sessions WHERE site = {site:String}", site=site)
    assert rows == [{"events": 1, "ended_at": NOW - timedelta(hours=2)}]


def test_a_page_within_the_site_is_internal(warehouse: Warehouse) -> None:
    site, _ = stored(
        warehouse,
        [
            Event(event_id=uuid4(), occurred_at=NOW, visitor_id="a", channel="Organic Search", source="google"),
            Event(event_id=uuid4(), occurred_at=NOW, visitor_id="a", referrer_kind="internal", path="/p"),
            Event(event_id=uuid4(), occurred_at=NOW, visitor_id="b", referrer_kind="none", path="/q"),
        ],
    )
    rows = warehouse.rows(
        "SELECT path, source, channel FROM pharos.events WHERE site = {site:String} AND NOT is_bot ORDER BY path",
        site=site,
    )
    assert [tuple(row.values()) for row in rows] == [
        ("", "google", "Organic Search"),
        ("/p", "(internal)", "Internal"),
        ("/q", "(direct)", "Direct"),
    ]

"""Funnel and retention against loops in Python; mail opens and audience on examples that show each rule."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from tests.sql import reference
from tests.sql.harness import stored, thorough
from tests.sql.reference import Event
from tests.sql.warehouse import Warehouse, text
from tests.sql.worlds import START, worlds

STEPS = (["pageview", "purchase"], ["pageview", "pageview", "signup"], ["signup", "pageview", "purchase"])


def _reached(own: list[Event], steps: list[str], since: datetime, until: datetime, hours: int) -> int:
    """Return how many steps the best chain has: from every beginning, each step at its earliest."""
    best = 0
    for start in range(len(own)):
        if own[start].event != steps[0] or not since <= own[start].occurred_at < until:
            continue
        done, place = 1, start + 1
        while done < len(steps) and place < len(own):
            if own[place].occurred_at - own[start].occurred_at > timedelta(hours=hours):
                break
            done += own[place].event == steps[done]
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
    for event in sorted(events, key=lambda e: e.key):
        if not event.is_bot and person(event):
            own.setdefault(person(event), []).append(event)
    reached = [_reached(each, steps, since, until, hours) for each in own.values()]
    rows = warehouse.rows(
        "SELECT * FROM pharos.funnel(site = {site:String}, steps = {steps:String}, window_hours = {hours:UInt32}, "
        "since = {since:String}, until = {until:String})",
        site=site,
        steps=", ".join(steps),
        hours=hours,
        since=text(since),
        until=text(until),
    )
    began = sum(r >= 1 for r in reached)
    expected = [(n, name, sum(r >= n for r in reached)) for n, name in enumerate(steps, 1)]
    given_ = [(row["step"], row["event"], row["visitors"]) for row in rows]
    assert given_ == (expected if rows else [])
    assert bool(rows) or not began
    assert all(row["rate"] == (row["visitors"] / began if began else 0) for row in rows)


@thorough
@given(events=worlds())
def test_retention(warehouse: Warehouse, events: list[Event]) -> None:
    site, events = stored(warehouse, events)
    since, until = START + timedelta(days=1), START + timedelta(days=20)
    person = reference.people(events)
    days: dict[str, set[int]] = {}
    first: dict[str, datetime] = {}
    for event in sorted(events, key=lambda e: e.key):
        who = person(event)
        if event.is_bot or not who or event.occurred_at >= until:
            continue
        if event.event == "signup":
            first.setdefault(who, event.occurred_at)
        if event.kind != "open" or event.event == "signup":
            days.setdefault(who, set()).add(event.occurred_at.toordinal())
    expected: dict[tuple[int, int], int] = {}
    for who, at in first.items():
        if at >= since:
            for day in days[who]:
                if day >= at.toordinal():
                    key = (at.toordinal(), day - at.toordinal())
                    expected[key] = expected.get(key, 0) + 1
    rows = warehouse.rows(
        "SELECT * FROM pharos.retention(site = {site:String}, event = 'signup', since = {since:String}, "
        "until = {until:String})",
        site=site,
        since=text(since),
        until=text(until),
    )
    assert {(row["cohort"].toordinal(), row["day"]): row["visitors"] for row in rows} == expected
    assert all(row["rate"] == row["visitors"] / expected[row["cohort"].toordinal(), 0] for row in rows)


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
        "until = '2026-09-02')",
        site=site,
    )
    expected = {"message": "m1", "opens": 6, "human": 3, "proxy": 1, "prefetch": 1, "scanner": 1}
    assert rows == [{**expected, "unique_human": 2, "clicks": 1}]


def test_an_audience_leaves_out_who_refused_at_last(warehouse: Warehouse) -> None:
    now = datetime.now(UTC).replace(microsecond=0)

    def seen(visitor: str, hours: int, consent: str = "given", user: str = "", event: str = "cart") -> Event:
        return Event(
            event_id=uuid4(),
            occurred_at=now - timedelta(hours=hours),
            event=event,
            visitor_id=visitor,
            user_id=user,
            consent=consent,
        )

    site, _ = stored(
        warehouse,
        [
            *(seen("twice", 5), seen("twice", 4)),
            seen("once", 5),
            *(seen("late no", 5), seen("late no", 4), seen("late no", 3, "refused", event="pageview")),
            *(seen("laptop", 9, user="u1"), seen("phone", 8, user="u1")),
            *(seen("long ago", 24 * 40), seen("long ago", 24 * 41)),
        ],
    )
    rows = warehouse.rows(
        "SELECT * FROM pharos.audience(site = {site:String}, event = 'cart', min_count = 2, days = 30)", site=site
    )
    assert sorted((row["visitor_id"], row["user_id"], row["times"]) for row in rows) == [
        ("laptop", "u1", 2),
        ("phone", "u1", 2),
        ("twice", "", 2),
    ]

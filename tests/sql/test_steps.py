"""The funnel by a dimension and audiences with conditions, against loops in Python."""

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from statistics import median
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sql import reference
from tests.sql.harness import WINDOWS, stored, thorough
from tests.sql.reference import Event
from tests.sql.test_questions import STEPS
from tests.sql.warehouse import Warehouse, text
from tests.sql.worlds import START, worlds

ASKED = "site = {site:String}, since = {since:String}, until = {until:String}, tz = 'UTC'"


def _chain(own: list[Event], steps: list[str], since: datetime, until: datetime, hours: int) -> list[Event]:
    """Return the events of the chain that came furthest, and of these of the one that began last."""
    best: list[Event] = []
    for start, first in enumerate(own):
        if not reference.meets(first, steps[0]) or not since <= first.occurred_at < until:
            continue
        chain = [first]
        for event in own[start + 1 :]:
            if event.occurred_at - first.occurred_at > timedelta(hours=hours) or len(chain) == len(steps):
                break
            if reference.meets(event, steps[len(chain)]):
                chain.append(event)
        if len(chain) >= len(best):
            best = chain
    return best


def _people(events: list[Event]) -> tuple[dict[str, list[Event]], Callable[[Event], str]]:
    person = reference.people(events)
    own: dict[str, list[Event]] = defaultdict(list)
    for event in sorted(reference.standing(events), key=lambda e: e.key):
        if not event.is_bot and person(event) and not reference.is_suppression(event):
            own[person(event)].append(event)
    return own, person


@thorough
@given(
    events=worlds(),
    steps=st.sampled_from(STEPS),
    hours=st.sampled_from((1, 24, 24 * 7)),
    by=st.sampled_from(("", "device", "country", "channel", "source", "campaign")),
)
def test_funnel_by(warehouse: Warehouse, events: list[Event], steps: list[str], hours: int, by: str) -> None:
    site, events = stored(warehouse, events)
    since, until = START + timedelta(days=1), START + timedelta(days=20)
    people, person = _people(events)
    arrivals: dict[str, list[Event]] = defaultdict(list)
    for touch in sorted(reference.touches(events), key=lambda t: t.event.key):
        if touch.kind == "arrival":
            arrivals[person(touch.event)].append(touch.event)
    waits: dict[tuple[str, int], list[float]] = defaultdict(list)
    for who, own in people.items():
        chain = _chain(own, steps, since, until, hours)
        if not chain:
            continue
        first = chain[0]
        name = "" if by == "" else getattr(first, by) if by in ("device", "country") else ""
        if by in ("channel", "source", "campaign"):
            day = first.occurred_at - timedelta(days=1)
            came = [a for a in arrivals[who] if a.key <= first.key and a.occurred_at >= day]
            name = getattr(came[-1], by) if came else ""
        for number, (event, before) in enumerate(zip(chain, [first, *chain], strict=False), 1):
            waits[name, number].append((event.occurred_at - before.occurred_at) / timedelta(seconds=1))
    rows = warehouse.rows(
        f"SELECT * FROM pharos.funnel_by({ASKED}, steps = {{steps:String}}, window_hours = {{hours:UInt32}}, "
        "by = {by:String})",
        site=site,
        steps=", ".join(steps),
        hours=hours,
        since=text(since),
        until=text(until),
        by=by,
    )
    assert {(row["name"], row["step"]) for row in rows} == set(waits)
    assert len(rows) == len(waits)
    for row in rows:
        own_waits = waits[row["name"], row["step"]]
        assert (row["goal"], row["visitors"]) == (steps[row["step"] - 1], len(own_waits))
        assert row["rate"] == len(own_waits) / len(waits[row["name"], 1])
        expected = None if row["step"] == 1 else median(own_waits)
        assert row["median_s"] == (expected if expected is None else pytest.approx(expected, abs=1e-6))


@thorough
@given(
    events=worlds(),
    window=WINDOWS,
    event=st.sampled_from(("purchase", "pageview /q*")),
    without=st.sampled_from(("", "signup", "pageview /p")),
    least=st.sampled_from((0.0, 0.0001, 20.0)),
    channel=st.sampled_from(("", "Organic Video", "Direct")),
)
def test_audience_where(
    warehouse: Warehouse,
    events: list[Event],
    window: tuple[int, int],
    event: str,
    without: str,
    least: float,
    channel: str,
) -> None:
    """Those of `audience` who meet the conditions: whom that leaves out for consent is tested there."""
    site, events = stored(warehouse, events)
    since, until = (START + timedelta(days=day) for day in window)
    people, person = _people(events)
    asked: Any = {"site": site, "since": text(since), "until": text(until), "event": event}
    everyone = warehouse.rows(
        f"SELECT * FROM pharos.audience({ASKED}, event = {{event:String}}, min_count = 1)", **asked
    )
    currency = next((e.currency for e in events if e.currency.startswith("EUR")), "EUR")
    worth: dict[str, int] = defaultdict(int)
    for e in reference.conversions(events, site, event):
        if since <= e.occurred_at < until and e.currency == currency:
            worth[person(e)] += e.value
    came: dict[str, set[str]] = defaultdict(set)
    for touch in reference.touches(events):
        if touch.kind != "open" and since <= touch.event.occurred_at < until:
            came[person(touch.event)].add(touch.event.channel)

    def wanted(who: str) -> bool:
        did = [e for e in people[who] if since <= e.occurred_at < until]
        excluded = without and any(reference.meets(e, without) for e in did)
        return not excluded and (not least or worth[who] >= least * 10_000) and (not channel or channel in came[who])

    def of(row: dict[str, Any]) -> str:
        return f"user {row['user_id']}" if row["user_id"] else f"visitor {row['visitor_id']}"

    rows = warehouse.rows(
        f"SELECT * FROM pharos.audience_where({ASKED}, event = {{event:String}}, min_count = 1, "
        "without = {without:String}, min_value = {least:Float64}, currency = {currency:String}, "
        "channel = {channel:String})",
        **asked,
        without=without,
        least=least,
        currency=currency,
        channel=channel,
    )
    expected = {(row["visitor_id"], row["user_id"], row["times"]) for row in everyone if wanted(of(row))}
    assert {(row["visitor_id"], row["user_id"], row["times"]) for row in rows} == expected
    assert all(row["person"] == of(row) and int(row["value"] * 10_000) == worth[of(row)] for row in rows)


def test_each_step_counts_at_its_earliest_in_the_chain_that_began_last(warehouse: Warehouse) -> None:
    """Two chains get as far; of the one that began last, the first purchase counts and not the second."""
    story = ((0, "pageview", "tv"), (60, "purchase", "tv"), (600, "pageview", "desktop"), (630, "purchase", "tv"))
    events = [
        Event(
            event_id=UUID(int=n), occurred_at=START + timedelta(seconds=at), event=name, visitor_id="a", device=device
        )
        for n, (at, name, device) in enumerate((*story, (700, "purchase", "tv")), 1)
    ]
    site, _ = stored(warehouse, events)
    rows = warehouse.rows(
        f"SELECT * FROM pharos.funnel_by({ASKED}, steps = 'pageview,purchase', window_hours = 1, by = 'device')",
        site=site,
        since="2026-09-01",
        until="2026-09-02",
    )
    expected = [(1, "pageview", "desktop", 1, 1.0, None), (2, "purchase", "desktop", 1, 1.0, 30.0)]
    assert [tuple(row.values()) for row in rows] == expected

"""Closed days against the events: rows come late, twice, or are erased; answers are the same to the last bit.

Long: all changes of a closed day ask the same questions of the same world.
"""

import asyncio
import itertools
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from threading import Thread
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sink import closed_days_sql
from sink.clickhouse import CLOSED_TABLES
from sink.commands.erase import Target, erase
from tests.sql import reference
from tests.sql.closed import sums
from tests.sql.closing import Blocking, close
from tests.sql.harness import LONG_AGO, add_up, stored, thorough
from tests.sql.reference import Event
from tests.sql.test_definitions import _agree
from tests.sql.test_windows import _chain
from tests.sql.warehouse import Warehouse, text
from tests.sql.worlds import FULL, START, as_enriched, worlds

Window = tuple[float, float]
"""Hours from START: since, until."""
WINDOWS = st.sampled_from(((0, 1440), (-24, 24), (24, 72), (23.5, 24.5), (5, 101), (47.999, 121)))
FAR = (-40 * 86_400, -86_400, -1, 0, 0, 86_400, 35 * 86_400)
"""Seconds from an event to a copy of it: another month, the day before, the same moment, ..."""


def _given(site: str, window: Window) -> str:
    since, until = (text(START + timedelta(hours=hours)) for hours in window)
    return f"site = '{site}', since = '{since}', until = '{until}', tz = 'UTC'"


Rows = dict[str, Counter[str]]
"""Of sessions and of touches."""


def _rows(warehouse: Warehouse, form: str, site: str, window: Window) -> Rows:
    """Ask both views. A question costs half a CPU second or more, with any number of events: ask few."""
    return {view: _asked(warehouse, f"{view}_{form}", site, window) for view in ("sessions", "touches")}


def _asked(warehouse: Warehouse, view: str, site: str, window: Window) -> Counter[str]:
    return Counter(str(row) for row in warehouse.rows(f"SELECT * FROM pharos.{view}({_given(site, window)})"))


def _agrees_with_events(warehouse: Warehouse, site: str, window: Window, of_events: Rows | None = None) -> Rows:
    """Compare what is read from closed days with the events alone; these are asked unless given. Return their rows."""
    expected = of_events or _rows(warehouse, "raw", site, window)
    assert _rows(warehouse, "between", site, window) == expected
    return expected


DETAILS = {
    "visit_details": "",
    "touch_details": "",
    "session_details": "history_days = 1, goals = 'purchase, signup[plan=pro], pageview /*'",
    "credits": "conversion = 'purchase', model = 'linear', lookback_days = 30, half_life_days = 7, restart = 0, "
    "touch_kinds = 'arrival,click,open', ignore = ''",
}
"""What else closed days keep of sessions and touches: the questions that read it, with their own parameters."""


def _details(warehouse: Warehouse, site: str, window: Window) -> Rows:
    """Ask for the details. They have no form that reads events alone: ask before days are closed, and after."""
    found = {}
    for view, given_too in DETAILS.items():
        given = ", ".join(filter(None, (_given(site, window), given_too)))
        found[view] = Counter(str(row) for row in warehouse.rows(f"SELECT * FROM pharos.{view}({given})"))
    return found


def _settled(warehouse: Warehouse, site: str) -> set[date]:
    rows = warehouse.rows(
        f"SELECT day FROM pharos.settled(site = '{site}', since = '1970-01-02', until = '2100-01-01')"
    )
    return {row["day"] for row in rows}


async def _forget(warehouse: Warehouse, site: str, visitor: str) -> int:
    return await erase(Blocking(warehouse.client), Target(site, visitor=visitor), lambda _: None)


@st.composite
def _histories(draw: st.DrawFn) -> list[list[Event]]:
    """Return events in the batches in which they are stored: some visitors never pause, some events come again."""
    events = draw(worlds(most=16))
    for number, visitor in enumerate(("a.0", "restless")):
        minutes = draw(st.lists(st.sampled_from((20.0, 29.9, 29.9, 29.9, 30.0)), min_size=0, max_size=3))
        events += _chain(visitor, draw(st.sampled_from((0, 11.4, 23.9))), minutes * 60, 500 + number) if minutes else []
    again: list[Event] = []
    for event in draw(st.lists(st.sampled_from(events), max_size=4)) if events else ():
        moved = event.occurred_at + timedelta(seconds=draw(st.sampled_from(FAR)))
        kind = draw(st.sampled_from((event.kind, "server", "pixel")))
        visitor = draw(st.sampled_from((event.visitor_id, "other.0", "")))
        # Of one kind none is received in the same millisecond as another: either could win.
        late_ms = event.late_ms + len(again) + 5_000
        again.append(replace(event, occurred_at=moved, kind=kind, visitor_id=visitor, late_ms=late_ms))
    every = [*events, *again]
    places = draw(st.lists(st.integers(0, 2), min_size=len(every), max_size=len(every)))
    return [[event for event, own in zip(every, places, strict=True) if own == place] for place in range(3)]


@pytest.mark.timeout(3_600 if FULL else 600)
@settings(parent=thorough, max_examples=60 if FULL else 2)
@given(
    batches=_histories(),
    windows=st.tuples(WINDOWS, WINDOWS, WINDOWS),
    close_again=st.booleans(),
    model=st.sampled_from(("last_non_direct", "linear", "time_decay")),
    period=st.sampled_from(((0, 1, 4), (0, 0, 2), (-1, 3, 60))),
    tz=st.sampled_from(sums.ZONES),
    sums_at=st.sampled_from(("late", "closed", "erased")),
    gone=st.integers(0, 99),
)
def test_any_history(
    warehouse: Warehouse,
    batches: list[list[Event]],
    windows: tuple[Window, ...],
    close_again: bool,
    model: str,
    period: sums.Period,
    tz: str,
    sums_at: str,
    gone: int,
) -> None:
    """Late rows, copies on other days and of other visitors, replays, merged persons, and an erasure."""
    site, log = stored(warehouse, [])
    for number, batch in enumerate(batches):
        own = [as_enriched(event, site) for event in batch]
        warehouse.insert(own)
        log += own
        if number == 0 or (number == 1 and close_again):
            close(warehouse, site)
    if sums_at == "late":
        sums.agree(warehouse, site, period, tz)
    _agrees_with_events(warehouse, site, windows[0])
    close(warehouse, site)
    warehouse.insert(log[len(LONG_AGO) :: 2])  # a replay
    _agrees_with_events(warehouse, site, windows[1])
    details = _details(warehouse, site, windows[1])
    close(warehouse, site)
    assert _details(warehouse, site, windows[1]) == details
    if sums_at == "closed":
        sums.agree(warehouse, site, period, tz)
    _attribution(warehouse, site, log, model)
    visitors = sorted({event.visitor_id for event in log if event.visitor_id}) or ["nobody"]
    assert asyncio.run(_forget(warehouse, site, visitors[gone % len(visitors)])) == 0
    of_events = _agrees_with_events(warehouse, site, windows[2])
    if sums_at == "erased":
        sums.agree(warehouse, site, period, tz)
    close(warehouse, site)
    _agrees_with_events(warehouse, site, windows[2], of_events)


def _attribution(warehouse: Warehouse, site: str, log: list[Event], model: str) -> None:
    since, until = START, START + timedelta(days=60)
    given = f"{_given(site, (0, 1440))}, conversion = 'purchase', model = '{model}', lookback_days = 30, restart = 0"
    kinds = ",".join(reference.KINDS)
    rows = warehouse.rows(
        f"SELECT * FROM pharos.attribution({given}, half_life_days = 7, touch_kinds = '{kinds}', ignore = '')"
    )
    found = reference.journeys(log, site, "purchase", 30, since, until, False)
    _agree(rows, reference.attribution(found, model, 7))
    add_up(rows, found)


def _week(visitors: str = "abc") -> list[Event]:
    """Page views and clicks of three visitors, and mails that a user opened without being one of them."""
    found = [
        replace(
            Event(event_id=UUID(int=number), occurred_at=START + timedelta(hours=7 * number), path=f"/{number % 3}"),
            visitor_id=visitors[number % len(visitors)],
            kind="click" if number % 5 == 0 else "tag",
        )
        for number in range(1, 25)
    ]
    opened: dict[str, Any] = {
        "event": "open",
        "kind": "open",
        "open_kind": "human",
        "visitor_id": "",
        "user_id": "anna",
    }
    return [replace(one, **opened) if number % 6 == 5 else one for number, one in enumerate(found)]


WEEK: Window = (0, 168)
DAYS = {START.date() + timedelta(days=day) for day in range(7)}

_sites = itertools.count()


def _stored(warehouse: Warehouse, events: list[Event]) -> str:
    """Write the events and nothing of another year: a pass has one run."""
    site = f"closed-{next(_sites)}"
    warehouse.insert([as_enriched(event, site) for event in events])
    return site


def test_closed_days_are_read_and_not_the_events(warehouse: Warehouse) -> None:
    site = _stored(warehouse, _week())
    expected = _rows(warehouse, "raw", site, WEEK)
    done = close(warehouse, site)
    assert done.closed
    assert not done.due
    assert _settled(warehouse, site) >= DAYS
    warehouse.client.command("TRUNCATE TABLE pharos.event_log")
    assert _rows(warehouse, "between", site, WEEK) == expected


def test_details_are_kept_and_not_read_from_events(warehouse: Warehouse) -> None:
    """How a session was tagged, on what device, how long it was read: the same with closed days and without."""
    events = [
        replace(event, utm_content=f"c{number}", utm_term="t", device="tv", country="AT")
        for number, event in enumerate(_week())
    ]
    for number, name, props in ((60, "engagement", {"ms": "7000"}), (61, "purchase", {}), (62, "pageview", {})):
        at = START + timedelta(hours=28, seconds=number)
        events.append(
            Event(event_id=UUID(int=number), occurred_at=at, event=name, visitor_id="b", props=props, path="")
        )
    site = _stored(warehouse, [*LONG_AGO, *events])
    expected = _details(warehouse, site, WEEK)
    assert all(expected.values())
    (bought,) = (row for row in expected["session_details"] if "'goals': ['purchase'" in row)
    assert "'views': 2, 'engaged_s': 7.0" in bought
    assert close(warehouse, site).closed
    # What goals are asked of is read; sessions and touches are not cut from events.
    warehouse.client.command(
        "ALTER TABLE pharos.event_log UPDATE utm_content = 'x', device = 'x' WHERE 1 SETTINGS mutations_sync = 2"
    )
    assert _details(warehouse, site, WEEK) == expected


def test_a_session_of_many_days_has_the_same_views_whichever_days_are_closed(warehouse: Warehouse) -> None:
    times = (START + timedelta(hours=23, minutes=20 * number) for number in range(4 * 72))
    views = [Event(event_id=UUID(int=number), occurred_at=at, visitor_id="c") for number, at in enumerate(times)]
    site = _stored(warehouse, [*LONG_AGO, *views])
    windows = [(0, 24), (-2, 23.5), WEEK]
    open_days = [_details(warehouse, site, window)["session_details"] for window in windows]
    assert close(warehouse, site).closed
    assert [_details(warehouse, site, window)["session_details"] for window in windows] == open_days
    for rows in open_days:
        assert any("'events': 288, 'views': 75," in row for row in rows), "as many in a week as in a day"


def test_a_late_row_counts_at_once_and_its_days_are_made_again(warehouse: Warehouse) -> None:
    site = _stored(warehouse, _week())
    close(warehouse, site)
    before = _settled(warehouse, site)
    assert not close(warehouse, site).closed, "nothing has changed"
    late = Event(event_id=UUID(int=99), occurred_at=START + timedelta(hours=73), visitor_id="late")
    warehouse.insert([as_enriched(late, site)])
    third = {START.date() + timedelta(days=day) for day in (2, 3, 4)}
    assert _settled(warehouse, site) == before - third
    of_events = _agrees_with_events(warehouse, site, WEEK)
    assert any("late" in row for row in of_events["sessions"])
    assert close(warehouse, site).closed == 3
    assert _settled(warehouse, site) == before
    _agrees_with_events(warehouse, site, WEEK, of_events)


def test_days_of_an_older_sink_are_closed_again(warehouse: Warehouse) -> None:
    """It knows fewer columns. Until then such a day is cut from its events."""
    site = _stored(warehouse, [*LONG_AGO, *_week()])
    close(warehouse, site)
    expected = _details(warehouse, site, WEEK)
    older = "site = {site:String} AND day = '2026-09-03'"
    update = "SETTINGS mutations_sync = 2"
    own = {"site": site}
    warehouse.client.command(f"ALTER TABLE pharos.closed_days UPDATE form = 0 WHERE {older} {update}", parameters=own)
    changed = f"ALTER TABLE pharos.closed_sessions UPDATE content = 'x', views = 9 WHERE {older} {update}"
    warehouse.client.command(changed, parameters=own)
    assert _settled(warehouse, site) >= DAYS - {date(2026, 9, 3)}
    assert date(2026, 9, 3) not in _settled(warehouse, site)
    assert _details(warehouse, site, WEEK) == expected
    assert close(warehouse, site).closed == 1
    assert date(2026, 9, 3) in _settled(warehouse, site)
    assert _details(warehouse, site, WEEK) == expected


def test_an_event_of_today_leaves_closed_days_closed(warehouse: Warehouse) -> None:
    """Its id says today. An order's number may be that of a day before: its row is noted, and changes nothing.

    Who is who is looked up when a question is asked: a name of today counts for closed days, and the first one stays.
    """
    site = _stored(warehouse, _week())
    close(warehouse, site)
    before = _settled(warehouse, site)
    today = "SELECT generateUUIDv7(), {site:String}, 'pageview', 'tag', now64(3), now64(3), 1"
    for visitor, user, own_id in (
        ("x", "", ""),
        ("x", "", "a"),
        ("a", "anna", ""),
        ("b", "anna", ""),
        ("a", "berta", ""),
    ):
        warehouse.client.command(
            "INSERT INTO pharos.event_log (event_id, site, event, kind, received_at, occurred_at, version, visitor_id, "
            f"user_id, client_event_id) {today}, {{visitor:String}}, {{user:String}}, {{id:String}}",
            parameters={"site": site, "visitor": visitor, "user": user, "id": own_id},
        )
    assert not warehouse.rows("SELECT * FROM pharos.late_rows WHERE site = {site:String}", site=site)
    assert _settled(warehouse, site) == before
    rows = warehouse.rows(f"SELECT DISTINCT person, visitor_id FROM pharos.touch_details({_given(site, WEEK)})")
    persons = {(row["visitor_id"], row["person"]) for row in rows}
    assert persons == {("a", "user anna"), ("b", "user anna"), ("c", "visitor c"), ("", "user anna")}


def test_a_copy_in_another_month_changes_the_day_of_the_first(warehouse: Warehouse) -> None:
    """An order number: the browser's copy of September and another of November are one event."""
    kinds = ("tag", "server")
    orders = [
        replace(
            _week()[3 * number],
            event_id=UUID(int=500 + number),
            client_event_id=f"o{number}",
            event="purchase",
            value=5,
            currency="EUR",
            late_ms=90 * 86_400_000,
        )
        for number in range(len(kinds))
    ]
    site = _stored(warehouse, [*_week(), *orders])
    close(warehouse, site)
    days = {order.occurred_at.date() for order in orders}
    assert len(days) == len(kinds)
    assert _settled(warehouse, site) >= DAYS
    for kind, order in zip(kinds, orders, strict=True):
        moved = order.occurred_at + timedelta(days=60)
        copy = replace(order, occurred_at=moved, late_ms=0, kind=kind, value=7, visitor_id="z")
        warehouse.insert([as_enriched(copy, site)])
    assert not days & _settled(warehouse, site)
    _agrees_with_events(warehouse, site, WEEK)
    close(warehouse, site)
    assert _settled(warehouse, site) >= DAYS
    _agrees_with_events(warehouse, site, (0, 24 * 90))


STEPS = (*closed_days_sql.STEPS, "used")


class Killed(Exception):
    """A crash at a step."""


def test_a_pass_may_be_killed_anywhere(warehouse: Warehouse) -> None:
    """What it wrote counts when all of it is there; the next pass makes the rest, and deletes what is in no use."""
    events = _week()
    site = _stored(warehouse, events[:12])
    close(warehouse, site)
    warehouse.insert([as_enriched(event, site) for event in events[12:]])
    of_events = _rows(warehouse, "raw", site, WEEK)
    reached: list[str] = []

    def crash(at: str) -> None:
        if len(reached) < len(STEPS) and at == STEPS[len(reached)]:
            reached.append(at)
            raise Killed

    for step in STEPS:
        assert not _settled(warehouse, site) >= DAYS, step
        with pytest.raises(Killed):
            close(warehouse, site, crash)
        assert reached[-1] == step
        # Touches read every table that a pass writes.
        assert _asked(warehouse, "touches_between", site, WEEK) == of_events["touches"], step
    close(warehouse, site)
    _agrees_with_events(warehouse, site, WEEK, of_events)
    assert _settled(warehouse, site) >= DAYS
    for table in CLOSED_TABLES:
        unused = "generation NOT IN (SELECT generation FROM pharos.closed_days FINAL WHERE site = {site:String})"
        assert not warehouse.rows(f"SELECT * FROM {table} WHERE site = {{site:String}} AND {unused}", site=site)


def test_a_pass_gives_up_when_an_erasure_runs(warehouse: Warehouse) -> None:
    """Otherwise it could store what it read before the events were deleted."""
    site = _stored(warehouse, _week())

    def erased(at: str) -> None:
        if at == "ids":  # the loop of the pass is busy: the erasure needs one of its own
            thread = Thread(target=lambda: asyncio.run(_forget(warehouse, site, "a")))
            thread.start()
            thread.join()

    done = close(warehouse, site, erased)
    assert done.given_up
    assert not done.closed
    rows = warehouse.rows("SELECT * FROM pharos.closed_sessions WHERE site = {site:String}", site=site)
    assert rows == []
    close(warehouse, site)
    assert _kept(warehouse, site) == {"b", "c"}


def _kept(warehouse: Warehouse, site: str) -> set[str]:
    rows = warehouse.rows(
        "SELECT DISTINCT visitor_id FROM pharos.closed_sessions WHERE site = {site:String}", site=site
    )
    return {row["visitor_id"] for row in rows}


def test_an_erasure_of_closed_days_counts_at_once(warehouse: Warehouse) -> None:
    """No question and no table has the visitor when the command is done; the others' days are closed again later."""
    site = _stored(warehouse, _week())
    close(warehouse, site)
    assert _kept(warehouse, site) == {"a", "b", "c"}
    assert asyncio.run(_forget(warehouse, site, "a")) == 0
    assert "a" not in _kept(warehouse, site)
    of_events = _agrees_with_events(warehouse, site, WEEK)
    assert of_events["sessions"]
    close(warehouse, site)
    assert _settled(warehouse, site) >= DAYS
    assert _kept(warehouse, site) == {"b", "c"}

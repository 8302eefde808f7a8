"""Visitors without a pause for days: of closed days too, their sessions are cut from all of their events."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from tests.sql.closing import close
from tests.sql.harness import stored
from tests.sql.reference import Event
from tests.sql.test_windows import _chain
from tests.sql.warehouse import Warehouse, text
from tests.sql.worlds import START, as_enriched

PAUSE = 29.0
"""Minutes between two events: less than what ends a session."""
BEGINS_AGAIN = 180
"""Number of the event, 87 hours after the first, that brings the first one's campaign again."""


def _tireless() -> list[Event]:
    """Return six days of a visitor, all one session: the campaign that comes again is the one it has."""
    chain = _chain("tireless", 0, [PAUSE] * 300, 1)
    return [
        event if place in (0, BEGINS_AGAIN) else replace(event, utm_campaign="", campaign="")
        for place, event in enumerate(chain)
    ]


def _sessions(warehouse: Warehouse, form: str, site: str, days: Sequence[int]) -> Counter[str]:
    since, until = (text(START + timedelta(days=day)) for day in days)
    given = f"site = '{site}', since = '{since}', until = '{until}', tz = 'UTC'"
    return Counter(str(row) for row in warehouse.rows(f"SELECT * FROM pharos.sessions_{form}({given})"))


def test_a_late_event_moves_a_border_three_days_later(warehouse: Warehouse) -> None:
    """The days next to it are made again. What the late event's campaign cuts apart is on a day that stays closed."""
    site, _ = stored(warehouse, [*_tireless(), *_chain("other", 70, [10.0] * 3, 2)])
    close(warehouse, site)
    days = (3, 4)
    before = _sessions(warehouse, "raw", site, days)
    assert _sessions(warehouse, "between", site, days) == before
    assert not any("tireless" in row for row in before)

    tenth = _tireless()[10]
    late = replace(
        tenth,
        event_id=UUID(int=99_999),
        occurred_at=tenth.occurred_at + timedelta(minutes=1),
        utm_campaign="d",
        campaign="d",
    )
    warehouse.insert([as_enriched(late, site)])
    expected = _sessions(warehouse, "raw", site, days)
    assert any("tireless" in row for row in expected)
    settled = warehouse.rows(
        "SELECT day FROM pharos.settled(site = {site:String}, since = {since:String}, until = {until:String})",
        site=site,
        since=text(START + timedelta(days=3)),
        until=text(START + timedelta(days=4)),
    )
    assert settled, "the day is read as it was closed"
    assert _sessions(warehouse, "between", site, days) == expected
    close(warehouse, site)
    assert _sessions(warehouse, "between", site, days) == expected
    assert _sessions(warehouse, "between", site, (0, 7)) == _sessions(warehouse, "raw", site, (0, 7))

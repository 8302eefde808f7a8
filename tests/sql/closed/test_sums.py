"""Sums of closed days: what the report counts is the same to the last bit, and comes of few rows."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from tests.sql.closed.sums import PAIRS, ZONES, Period, agree, asked
from tests.sql.closing import close
from tests.sql.harness import stored
from tests.sql.reference import Event
from tests.sql.test_windows import _chain
from tests.sql.warehouse import Warehouse
from tests.sql.worlds import START, as_enriched

WEEKS: Period = (0, 7, 14)


def _fortnight() -> list[Event]:
    """Return two weeks of visits at all hours, with tags, bots, clicks and events without a visitor."""
    found = []
    for number in range(1, 150):
        twin = "newsletter" if number % 11 else "newsleter"
        found.append(
            Event(
                event_id=UUID(int=number << 64),
                occurred_at=START + timedelta(minutes=133 * number),
                visitor_id=f"v{number % 23}" if number % 7 else "",
                kind=("tag", "pixel", "click", "server")[number % 4],
                client_event_id=f"o{number}" if number % 4 == 3 else "",
                url="https://shop.example/" if number % 8 else "",
                path=f"/{number % 5}",
                host=f"{number % 2}.example",
                link_code="bio" if number % 3 else "",
                utm_source=twin if number % 2 else "",
                source=twin if number % 2 else "(direct)",
                medium="email" if number % 2 else "(none)",
                channel="Email" if number % 2 else "Direct",
                referrer_host="1.example" if number % 5 == 0 else "",
                referrer_kind="other" if number % 5 == 0 else "",
                is_bot=number % 13 == 0,
                consent=("given", "refused")[number % 9 == 0],
            )
        )
    return [*found, *_chain("restless", 100, [29.0] * 120, 900)]


def test_sums_are_those_of_the_events(warehouse: Warehouse) -> None:
    site, _ = stored(warehouse, _fortnight())
    close(warehouse, site)
    for tz in ZONES:
        agree(warehouse, site, WEEKS, tz)
    agree(warehouse, site, (3, 3, 4), "Asia/Kathmandu")


def test_sums_are_read_and_not_the_events(warehouse: Warehouse) -> None:
    site, _ = stored(warehouse, _fortnight()[:149])
    close(warehouse, site)
    expected = {view: asked(warehouse, summed, site, WEEKS, "UTC") for view, (summed, _) in PAIRS.items()}
    assert all(expected.values())
    warehouse.client.command("TRUNCATE TABLE pharos.event_log")
    warehouse.client.command("ALTER TABLE pharos.closed_sessions DELETE WHERE is_bot SETTINGS mutations_sync = 2")
    page = (
        "ALTER TABLE pharos.closed_sessions UPDATE entry_page = 'x', origin = 'x' WHERE 1 SETTINGS mutations_sync = 2"
    )
    warehouse.client.command(page)
    found = {view: asked(warehouse, summed, site, WEEKS, "UTC") for view, (summed, _) in PAIRS.items()}
    assert found == expected


@pytest.mark.parametrize("kind", ["pixel", "server"])
def test_a_late_event_without_a_visitor_counts_at_once(warehouse: Warehouse, kind: str) -> None:
    """It is part of no session; yet health and tagging count it. So does a copy of an order of another day."""
    site, events = stored(warehouse, _fortnight())
    close(warehouse, site)
    agree(warehouse, site, WEEKS, "UTC")
    at = START + timedelta(days=8, hours=5)
    late = [
        Event(event_id=UUID(int=77_777 << 64), occurred_at=at, kind=kind, host="late.example", utm_source="late"),
        replace(events[-1], event_id=UUID(int=88_888 << 64), occurred_at=at, client_event_id="own", visitor_id=""),
    ]
    warehouse.insert([as_enriched(one, site) for one in late])
    agree(warehouse, site, WEEKS, "Asia/Kathmandu")
    close(warehouse, site)
    agree(warehouse, site, WEEKS, "Asia/Kathmandu")
    order = as_enriched(late[1], site)
    moved = replace(order, occurred_at=at + timedelta(days=3), kind="server", is_bot=True, late_ms=90 * 86_400_000)
    warehouse.insert([moved])
    agree(warehouse, site, WEEKS, "UTC")
    close(warehouse, site)
    agree(warehouse, site, WEEKS, "UTC")


def test_many_visitors_are_estimated_alike(warehouse: Warehouse) -> None:
    """Above some 65,000 people uniq estimates; its parts added up must give the same."""
    warehouse.empty()
    for first in range(0, 120_000, 40_000):
        warehouse.client.command(
            "INSERT INTO pharos.event_log (event_id, site, event, kind, received_at, occurred_at, version, visitor_id, "
            "path) "
            "SELECT reinterpretAsUUID(sipHash128(number)), 'many', 'pageview', 'tag', "
            "toDateTime64('2026-09-01', 3, 'UTC') + (number * 10) AS at, at, 1, hex(sipHash128(number, 'v')), '/' "
            f"FROM numbers({first}, 40000)"
        )
    close(warehouse, "many")
    summed, counted = (asked(warehouse, sql, "many", (0, 14, 15), "UTC") for sql in PAIRS["visit_counts"])
    assert summed == counted
    assert any("'visits': 120000, 'visitors': 1" in row for row in summed)

"""Removal effects against numpy, one channel removed after the other; Shapley against every subset of the players."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sql import reference
from tests.sql.harness import WINDOWS, add_up, stored, thorough
from tests.sql.reference import Event, Touch
from tests.sql.warehouse import Warehouse, text
from tests.sql.worlds import START, worlds

BY: dict[str, Callable[[Touch], str]] = {
    "channel": lambda t: t.event.channel,
    "source": lambda t: t.event.source,
    "medium": lambda t: t.event.medium,
    "campaign": lambda t: t.event.campaign,
}


def _select(view: str, **more: str) -> str:
    given = "".join(f", {name} = {value}" for name, value in more.items())
    return (
        f"SELECT * FROM pharos.{view}(site = {{site:String}}, conversion = 'purchase', lookback_days = 30, "
        f"since = {{since:String}}, until = {{until:String}}, tz = 'UTC', touch_kinds = 'arrival,click,open', "
        f"ignore = ''{given})"
    )


@thorough
@given(events=worlds(), window=WINDOWS, by=st.sampled_from(sorted(BY)), restart=st.booleans())
def test_markov(warehouse: Warehouse, events: list[Event], window: tuple[int, int], by: str, restart: bool) -> None:
    site, events = stored(warehouse, events)
    since, until = (START + timedelta(days=day) for day in window)
    rows = warehouse.rows(
        _select("attribution_markov", by="{by:String}", restart="{restart:UInt8}", max_names="100"),
        site=site,
        since=text(since),
        until=text(until),
        by=by,
        restart=int(restart),
    )
    found = reference.journeys(events, site, "purchase", 30, since, until, restart)
    effects, parts = reference.markov(
        [[BY[by](t) for t in j.touches] for j in found],
        [[BY[by](t) for t in left] for left in reference.unfinished(events, site, "purchase", since, until)],
    )
    for row in rows:
        own = [j for j in found if j.conversion.currency == row["currency"]]
        if row["name"] == "Unattributed":
            met, part = [j for j in own if not j.touches], 1.0
        else:
            met, part = [j for j in own if j.touches], parts[row["name"]]
            assert row["removal_effect"] == pytest.approx(effects[row["name"]], abs=1e-9)
        assert row["conversions"] == pytest.approx(part * len(met), abs=1e-9)
        value = sum(j.conversion.value for j in met) / 10_000
        assert row["value"] == pytest.approx(part * value, abs=_finest(found, row["currency"]), rel=1e-9)
    add_up(rows, found)


@thorough
@given(events=worlds(), window=WINDOWS, by=st.sampled_from(sorted(BY)), restart=st.booleans())
def test_shapley(warehouse: Warehouse, events: list[Event], window: tuple[int, int], by: str, restart: bool) -> None:
    site, events = stored(warehouse, events)
    since, until = (START + timedelta(days=day) for day in window)
    rows = warehouse.rows(
        _select("attribution_shapley", by="{by:String}", restart="{restart:UInt8}"),
        site=site,
        since=text(since),
        until=text(until),
        by=by,
        restart=int(restart),
    )
    found = reference.journeys(events, site, "purchase", 30, since, until, restart)
    expected = reference.shapley(found, BY[by])
    assert {(row["name"], row["currency"]) for row in rows} == set(expected)
    for row in rows:
        conversions, value = expected[row["name"], row["currency"]]
        assert row["conversions"] == pytest.approx(conversions, abs=1e-9)
        assert row["value"] == pytest.approx(value, abs=_finest(found, row["currency"]), rel=1e-9)
    add_up(rows, found)


def _finest(found: list[reference.Journey], currency: str) -> float:
    """Return 1e-9, or the last bit of the currency's total, where that is more."""
    total = sum(abs(j.conversion.value) for j in found if j.conversion.currency == currency) / 10_000
    return max(1e-9, total * 2**-50)


def test_fourteen_channels_are_as_exact_as_three(warehouse: Warehouse) -> None:
    """Shapley needs no sampling above twelve channels: the game is a sum of unanimity games. 2^14 subsets agree."""
    channels = [f"Channel {n:02}" for n in range(14)]
    events = []
    number = 0
    for person, size in enumerate((1, 2, 3, 5, 8, 13, 14)):
        for step, channel in enumerate(channels[:size] if person % 2 else channels[-size:]):
            number += 1
            events.append(
                Event(
                    event_id=UUID(int=number),
                    occurred_at=START + timedelta(hours=step),
                    visitor_id=f"p{person}",
                    source=channel.lower(),
                    channel=channel,
                    utm_source=channel,
                )
            )
        events.append(
            replace(
                events[-1],
                event_id=UUID(int=number + 1000),
                occurred_at=START + timedelta(hours=size),
                event="purchase",
                utm_source="",
                source="(direct)",
                channel="Direct",
                kind="server",
                value=100_000,
                currency="EUR",
            )
        )
    site, events = stored(warehouse, events)
    until = START + timedelta(days=30)
    rows = warehouse.rows(
        _select("attribution_shapley", by="'channel'", restart="1"), site=site, since=text(START), until=text(until)
    )
    found = reference.journeys(events, site, "purchase", 30, START, until)
    met = Counter(frozenset(t.event.channel for t in j.touches) for j in found)
    expected = _by_subsets(channels, met)
    assert {row["name"]: row["conversions"] for row in rows} == pytest.approx(expected, abs=1e-9)


def _by_subsets(players: list[str], met: Counter[frozenset[str]]) -> dict[str, float]:
    """Return the Shapley value from the worth of every subset, subsets as bits."""
    n = len(players)
    masks = {sum(1 << players.index(c) for c in path): times for path, times in met.items()}
    worth = [sum(times for mask, times in masks.items() if mask & ~chosen == 0) for chosen in range(1 << n)]
    weight = [reference.shapley_weight(size, n) for size in range(n)]
    return {
        player: float(
            sum(
                weight[chosen.bit_count()] * (worth[chosen | 1 << place] - worth[chosen])
                for chosen in range(1 << n)
                if not chosen >> place & 1 and worth[chosen | 1 << place] != worth[chosen]
            )
        )
        for place, player in enumerate(players)
    }


def test_more_names_than_states_are_one_state(warehouse: Warehouse) -> None:
    """Campaign names are anybody's to write: 1,300 of them cost no more than the bound, and the sums stay whole."""
    events = [
        Event(
            event_id=UUID(int=person * 10 + step),
            occurred_at=START + timedelta(hours=person % 5 * 4 + step),
            visitor_id=f"p{person}",
            event="purchase" if step == 2 and person % 2 else "pageview",
            campaign=f"c{person % 3}" if step == 0 else f"x{person:04}",
            utm_campaign="x" if step < 2 else "",
            value=10_000 if step == 2 and person % 2 else 0,
            currency="EUR" if step == 2 and person % 2 else "",
        )
        for person in range(1300)
        for step in range(3)
    ]
    site, events = stored(warehouse, events)
    until = START + timedelta(days=9)
    for most in (3, 100):
        sql = _select("attribution_markov", by="'campaign'", restart="0", max_names=str(most))
        rows = warehouse.rows(
            f"{sql} SETTINGS max_memory_usage = 1000000000", site=site, since=text(START), until=text(until)
        )
        names = [row["name"] for row in rows]
        assert len(names) == len(set(names)) == most + 1
        assert {"c0", "c1", "c2", "(other)"} <= set(names)
        found = reference.journeys(events, site, "purchase", 30, START, until, restart=False)
        kept = set(names) - {"(other)"}
        named = [[t.event.campaign if t.event.campaign in kept else "(other)" for t in j.touches] for j in found]
        left = [
            [t.event.campaign if t.event.campaign in kept else "(other)" for t in own]
            for own in reference.unfinished(events, site, "purchase", START, until)
        ]
        effects, parts = reference.markov(named, left)
        for row in rows:
            assert row["removal_effect"] == pytest.approx(effects[row["name"]], abs=1e-9)
            assert row["conversions"] == pytest.approx(parts[row["name"]] * len(found), abs=1e-9)
        add_up(rows, found)

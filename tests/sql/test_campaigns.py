"""Campaigns with their costs against sums in Python; money of other currencies is converted or left out."""

from collections import defaultdict
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from hypothesis import given
from hypothesis import strategies as st

from tests.sql import reference
from tests.sql.harness import stored, thorough
from tests.sql.reference import Event
from tests.sql.test_definitions import MODELS
from tests.sql.warehouse import Warehouse, text
from tests.sql.worlds import START, worlds

ASKED = (
    "site = {site:String}, conversion = 'purchase', model = {model:String}, lookback_days = 30, "
    "since = {since:String}, until = {until:String}, tz = 'UTC', half_life_days = 7, restart = 0, "
    "touch_kinds = 'arrival,click', ignore = '', "
    "currency = {currency:String}, others = {others:String}"
)
KINDS = ("arrival", "click")
CAMPAIGNS = (
    ("youtube", "video", "launch"),
    ("YouTube", "Video", " Launch"),
    ("google", "cpc", ""),
    ("x", "y", "unseen"),
)
RATES = {("EUR", 0): Fraction(1, 2), ("USD", 0): Fraction(2), ("USD", 2): Fraction(4)}
"""Into QQQ, by currency and day from START on."""

_cost = st.tuples(
    st.sampled_from(CAMPAIGNS), st.integers(-2, 10), st.integers(0, 500), st.sampled_from(("EUR", "USD", "QQQ"))
)


def _worth(currency: str, asked: str, day: date) -> Fraction:
    if currency == asked:
        return Fraction(1)
    own = [(n, rate) for (name, n), rate in RATES.items() if name == currency and (START + timedelta(n)).date() <= day]
    return max(own)[1] if own else Fraction(0)


@thorough
@given(
    events=worlds(),
    window=st.sampled_from(((0, 60), (3, 9), (0, 4))),
    model=st.sampled_from(MODELS),
    others=st.sampled_from(("convert", "leave out")),
    costs=st.lists(_cost, max_size=6, unique_by=lambda c: (c[0], c[1], c[3])),
)
def test_campaigns(
    warehouse: Warehouse,
    events: list[Event],
    window: tuple[int, int],
    model: str,
    others: str,
    costs: list[tuple[tuple[str, str, str], int, int, str]],
) -> None:
    asked = "QQQ"
    # Currencies of these worlds have their world's number: three letters here, so that there can be a rate.
    events = [replace(e, currency=e.currency[:3]) for e in events]
    site, events = stored(warehouse, events)
    since, until = (START + timedelta(days=day) for day in window)
    for (currency, day), rate in RATES.items():
        warehouse.client.command(
            "INSERT INTO pharos.rates (day, currency, into, rate) "
            f"SELECT '{(START + timedelta(day)).date()}', '{currency}', 'QQQ', {float(rate)}"
        )
    for (source, medium, campaign), day, spent, currency in costs:
        warehouse.client.command(
            "INSERT INTO pharos.costs (site, day, source, medium, campaign, cost, currency, clicks, impressions) "
            f"SELECT '{site}', '{(START + timedelta(day)).date()}', '{source}', '{medium}', '{campaign}', {spent}, "
            f"'{currency}', 2, 9"
        )
    expected: dict[tuple[str, str, str], list[Any]] = defaultdict(lambda: [0, set(), 0, 0, 0, 0, 0])
    for session in reference.sessions(events):
        a = session.arrival
        if not a.is_bot and since <= a.occurred_at < until:
            own = expected[a.source, a.medium, a.campaign]
            own[0] += 1
            own[1].add(a.visitor_id)
    for journey in reference.journeys(events, site, "purchase", 30, since, until, False, KINDS):
        e = journey.conversion
        if others == "leave out" and e.currency not in ("", asked):
            continue
        worth = _worth(e.currency, asked, e.occurred_at.date()) if e.currency else Fraction(0)
        if not journey.touches:
            parts = [(("", "", ""), Fraction(1))]
        else:
            names = [(t.event.source, t.event.medium, t.event.campaign) for t in journey.touches]
            parts = list(zip(names, reference.shares(journey, model), strict=True))
        for name, part in parts:
            if part:
                expected[name][2] += part
                expected[name][3] += part * Fraction(e.value, 10_000) * worth
    for (source, medium, campaign), day, spent, currency in costs:
        on = START + timedelta(day)
        if since <= on < until and (others == "convert" or currency == asked):
            own = expected[source.lower().strip(), medium.lower().strip(), campaign.lower().strip()]
            own[4] += spent * _worth(currency, asked, on.date())
            own[5] += 2
            own[6] += 9
    rows = warehouse.rows(
        f"SELECT * FROM pharos.campaigns({ASKED})",
        **{
            "site": site,
            "model": model,
            "since": text(since),
            "until": text(until),
            "currency": asked,
            "others": others,
        },
    )
    assert len(rows) == len({(row["source"], row["medium"], row["campaign"]) for row in rows})
    assert {(row["source"], row["medium"], row["campaign"]) for row in rows} == set(expected)
    for row in rows:
        visits, visitors, conversions, value, cost, clicks, shown = expected[
            row["source"], row["medium"], row["campaign"]
        ]
        assert (row["visits"], row["visitors"], row["clicks"], row["impressions"]) == (
            visits,
            len(visitors),
            clicks,
            shown,
        )
        assert row["conversions"] == pytest.approx(float(conversions), abs=1e-9)
        assert row["value"] == pytest.approx(float(value), rel=1e-9, abs=1e-3)
        assert row["cost"] == pytest.approx(float(cost))
        assert (row["roas"] is None) == (cost == 0)
        assert (row["cpa"] is None) == (cost == 0 or conversions == 0)
        if cost and conversions:
            assert row["roas"] == pytest.approx(float(value / cost), rel=1e-9, abs=1e-3)
            assert row["cpa"] == pytest.approx(float(cost / conversions))


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"currency": "GBP"}, "rates: some money in the window has no rate"),
        ({"currency": "euro", "others": "leave out"}, "currency: three letters"),
        ({"others": "both"}, "others: convert or leave out"),
    ],
)
def test_money_without_a_rate_is_an_error(warehouse: Warehouse, chosen: dict[str, str], message: str) -> None:
    bought = Event(
        event_id=UUID(int=5), occurred_at=START, event="purchase", visitor_id="a", value=10_000, currency="SEK"
    )
    site, _ = stored(warehouse, [bought])
    asked = {"site": site, "model": "linear", "since": "2026-09-01", "until": "2026-09-02", "currency": "SEK"} | {
        "others": "convert"
    }
    (row,) = warehouse.rows(f"SELECT * FROM pharos.campaigns({ASKED})", **asked)
    assert (row["visits"], row["conversions"], row["value"], row["roas"]) == (1, 1, 1, None)
    with pytest.raises(DatabaseError, match=message):
        warehouse.rows(f"SELECT * FROM pharos.campaigns({ASKED})", **(asked | chosen))


def test_a_rate_applies_from_its_day_on(warehouse: Warehouse) -> None:
    for day, rate in (("2026-09-02", 3), ("2026-09-04", 5)):
        warehouse.client.command(
            f"INSERT INTO pharos.rates (day, currency, into, rate) SELECT '{day}', 'NOK', 'DKK', {rate}"
        )
    site, _ = stored(
        warehouse,
        [
            Event(
                event_id=UUID(int=day + 1),
                occurred_at=START + timedelta(days=day, hours=23),
                event="purchase",
                visitor_id="a",
                value=10_000,
                currency="NOK",
            )
            for day in (1, 2, 3)
        ],
    )
    asked = {"site": site, "model": "linear", "since": "2026-09-02", "currency": "DKK", "others": "convert"}
    for until, value in (("2026-09-03", 3), ("2026-09-04", 6), ("2026-09-05", 11)):
        rows = warehouse.rows(f"SELECT * FROM pharos.campaigns({ASKED})", **asked, until=until)
        assert sum(row["value"] for row in rows) == pytest.approx(value)

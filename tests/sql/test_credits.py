"""Credit by touch against the journeys in Python; what it adds up to against attribution, in every rule model."""

from collections import defaultdict
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sql import reference
from tests.sql.harness import WINDOWS, stored, thorough
from tests.sql.reference import Event, Touch
from tests.sql.test_definitions import MODELS
from tests.sql.warehouse import Warehouse, text
from tests.sql.worlds import START, worlds

ASKED = (
    "site = {site:String}, conversion = 'purchase', lookback_days = 30, since = {since:String}, "
    "until = {until:String}, tz = 'UTC', half_life_days = 7, restart = {restart:UInt8}, "
    "touch_kinds = {kinds:String}, ignore = ''"
)
OF_A_TOUCH = ("kind", "channel", "source", "medium", "campaign", "content", "term", "link_code")
OF_ITS_EVENT = ("landing_path", "device", "country")


def _of(touch: Touch) -> tuple[object, ...]:
    e = touch.event
    own = (touch.kind, e.channel, e.source, e.medium, e.campaign, e.utm_content, e.utm_term, e.link_code)
    return (e.event_id, e.occurred_at, *own, e.path, e.device, e.country)


def _expected(
    found: list[reference.Journey], model: str
) -> dict[tuple[object, ...], tuple[Fraction, Fraction, Fraction]]:
    rows: dict[tuple[object, ...], tuple[Fraction, Fraction, Fraction]] = {}
    for journey in found:
        conversion = journey.conversion
        key = (conversion.event_id, conversion.occurred_at, journey.person, conversion.currency)
        value, gross = Fraction(conversion.value, 10_000), Fraction(conversion.gross, 10_000)
        if not journey.touches:
            rows[*key, 0, 0] = (Fraction(1), value, gross)
            continue
        for place, (touch, part) in enumerate(zip(journey.touches, reference.shares(journey, model), strict=True), 1):
            rows[*key, place, len(journey.touches), *_of(touch)] = (part, part * value, part * gross)
    return rows


@thorough
@given(
    events=worlds(),
    window=WINDOWS,
    model=st.sampled_from(MODELS),
    restart=st.booleans(),
    kinds=st.sampled_from((reference.KINDS, ("click",))),
)
def test_credits(
    warehouse: Warehouse,
    events: list[Event],
    window: tuple[int, int],
    model: str,
    restart: bool,
    kinds: tuple[str, ...],
) -> None:
    site, events = stored(warehouse, events)
    since, until = (START + timedelta(days=day) for day in window)
    rows = warehouse.rows(
        f"SELECT * FROM pharos.credits({ASKED}, model = {{model:String}})",
        site=site,
        model=model,
        since=text(since),
        until=text(until),
        restart=int(restart),
        kinds=",".join(kinds),
    )
    found = reference.journeys(events, site, "purchase", 30, since, until, restart, kinds)
    expected = _expected(found, model)
    given: dict[tuple[object, ...], dict[str, Any]] = {}
    for row in rows:
        key = (*(row[name] for name in ("conversion_id", "converted_at", "person", "currency", "position", "of")),)
        if row["position"]:
            key += (row["touch_id"], row["touched_at"], *(row[name] for name in (*OF_A_TOUCH, *OF_ITS_EVENT)))
        else:
            assert (row["channel"], row["touched_at"]) == ("Unattributed", None)
        given[key] = row
    assert len(given) == len(rows)
    assert set(given) == set(expected)
    for key, (weight, credit, gross) in expected.items():
        assert given[key]["weight"] == pytest.approx(float(weight), abs=1e-12)
        assert given[key]["credit"] == pytest.approx(float(credit), rel=1e-9, abs=abs(float(credit)) * 1e-9 + 1e-6)
        assert given[key]["gross_credit"] == pytest.approx(float(gross), rel=1e-9, abs=abs(float(gross)) * 1e-9 + 1e-6)
    if len(found) <= 32:  # weights are whole numbers of 2^-48
        assert sum(row["weight"] for row in rows) == len(found)


@thorough
@given(events=worlds(), window=WINDOWS, restart=st.booleans(), model=st.sampled_from((*MODELS, "shapley")))
def test_all_models_in_one_read_are_those_of_attribution(
    warehouse: Warehouse, events: list[Event], window: tuple[int, int], restart: bool, model: str
) -> None:
    site, _ = stored(warehouse, events)
    since, until = (START + timedelta(days=day) for day in window)
    times: Any = {"site": site, "since": text(since), "until": text(until), "restart": int(restart)}
    times["kinds"] = ",".join(reference.KINDS)
    together = warehouse.rows(f"SELECT * FROM pharos.attribution_models({ASKED})", **times)
    names = ("channel", "source", "medium", "campaign", "currency")
    alone = warehouse.rows(f"SELECT * FROM pharos.attribution({ASKED}, model = '{model}')", **times)
    expected = {tuple(row[name] for name in names): (row["conversions"], row["value"]) for row in alone}
    columns = (f"conversions_{model}", f"value_{model}")
    assert {tuple(row[name] for name in names): tuple(row[c] for c in columns) for row in together} == expected
    credit: dict[tuple[object, ...], float] = defaultdict(float)
    for row in warehouse.rows(f"SELECT * FROM pharos.credits({ASKED}, model = '{model}')", **times):
        credit[tuple(row[name] for name in names)] += row["weight"]
    assert credit == pytest.approx({key: conversions for key, (conversions, _) in expected.items()}, abs=1e-9)

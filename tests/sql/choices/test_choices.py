"""What a question refuses to answer: a wrong choice, a missing parameter; and which zone its times are in."""

from dataclasses import replace
from uuid import UUID

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.sql.asked import QUESTIONS
from tests.sql.harness import LONG_AGO
from tests.sql.reference import Event
from tests.sql.test_definitions import _ask
from tests.sql.warehouse import Warehouse
from tests.sql.worlds import START

REFUSED = (
    ("attribution", {"model": "lineer"}, "model: first, last"),
    ("attribution", {"model": "first,last"}, "model: first, last"),
    ("credits", {"model": "first,last"}, "model: first, last"),
    ("attribution", {"half_life_days": "0"}, "half_life_days: more than 0"),
    ("attribution", {"half_life_days": "-7"}, "half_life_days: more than 0"),
    ("attribution", {"half_life_days": "nan"}, "half_life_days: more than 0"),
    ("attribution", {"restart": "2"}, "restart: 0 or 1"),
    ("journeys", {"touch_kinds": "arrivals"}, "touch_kinds: arrival, click, open"),
    ("journeys", {"touch_kinds": ""}, "touch_kinds: arrival, click, open"),
    ("funnel_by", {"by": "referrer"}, "by: nothing, device"),
    ("audience_where", {"min_value": "-1"}, "min_value: 0 or more"),
    ("audience_where", {"min_value": "1"}, "currency: three letters"),
    ("audience_where", {"without": "sign_up"}, "event: no such event"),
    ("session_details", {"goals": "purchse"}, "event: no such event"),
    ("campaigns", {"currency": "euro"}, "currency: three letters"),
    ("campaigns", {"others": ""}, "others: convert or leave out"),
    ("campaigns", {"model": "first,last"}, "model: first, last"),
    ("attribution_shapley", {"by": "referrer"}, "by: channel, source"),
    ("attribution_markov", {"by": ""}, "by: channel, source"),
    ("attribution_markov", {"max_names": "0"}, "max_names: 1 to 400"),
    *((view, {"site": "nobody"}, "site: no event of this site") for view in QUESTIONS),
    *((view, {"tz": "Mars/Olympus"}, "(?i)time.?zone") for view, own in QUESTIONS.items() if "tz" in own),
    *(
        (view, {"since": "2026-09-02"}, "since: must be before until")
        for view, own in QUESTIONS.items()
        if "since" in own
    ),
    ("visitor_events", {"visitor": ""}, "visitor: a visitor id"),
    ("realtime", {"at": "soon"}, "(?i)parse"),
    ("attribution", {"since": "2026-09-03"}, "since: must be before until"),
    *((view, {"until": "yesterday"}, "(?i)parse") for view, own in QUESTIONS.items() if "until" in own),
    *(
        (view, {"conversion": "purchse"}, "event: no such event")
        for view, own in QUESTIONS.items()
        if "conversion" in own
    ),
    *((view, {"event": "purchse"}, "event: no such event") for view, own in QUESTIONS.items() if "event" in own),
    ("funnel", {"steps": "pageview, purchse"}, "event: no such event"),
    ("funnel", {"steps": "pageview /a, purchse[plan=pro, size=xl]"}, "event: no such event"),
    ("funnel", {"steps": "pageview thanks"}, "goal: name, name /path"),
    ("conversions", {"event": "purchase[plan]"}, "goal: name, name /path"),
    ("conversions", {"event": "purchase[plan=pro"}, "goal: name, name /path"),
    ("conversions", {"event": "purchase [=pro]"}, "goal: name, name /path"),
    ("attribution", {"conversion": "/thanks"}, "goal: name, name /path"),
)


@pytest.fixture(scope="module")
def shop(warehouse: Warehouse) -> str:
    """A site with one purchase."""
    bought = Event(event_id=UUID(int=1), occurred_at=START, event="purchase", visitor_id="a", value=1, currency="EUR")
    warehouse.insert([replace(e, site="shop of choices") for e in (bought, *LONG_AGO)])
    return "shop of choices"


@pytest.mark.parametrize(("view", "wrong", "message"), REFUSED)
def test_a_wrong_choice_is_refused(
    warehouse: Warehouse, shop: str, view: str, wrong: dict[str, str], message: str
) -> None:
    """An unknown model would otherwise be counted as Shapley's; a misspelt event would look like no sales."""
    with pytest.raises(DatabaseError, match=message):
        _ask(warehouse, view, {"site": shop} | QUESTIONS[view] | wrong)


@pytest.mark.parametrize("view", QUESTIONS)
def test_every_parameter_must_be_given(warehouse: Warehouse, shop: str, view: str) -> None:
    """ClickHouse ignores a parameter that a view does not have: so each question has one view, with all of its."""
    whole = {"site": shop} | QUESTIONS[view]
    assert isinstance(_ask(warehouse, view, whole), list)
    for name in whole:
        with pytest.raises(DatabaseError, match=f"Substitution `{name}` is not set"):
            _ask(warehouse, view, {other: value for other, value in whole.items() if other != name})


@pytest.mark.parametrize(
    ("since", "until", "tz", "found"),
    [
        ("2026-09-01", "2026-09-02", "UTC", 1),
        ("2026-09-01", "2026-09-02", "Europe/Vienna", 1),
        ("2026-09-01 02:00:00", "2026-09-01 02:00:01", "Europe/Vienna", 1),
        ("2026-09-01 02:00:00.001", "2026-09-02", "Europe/Vienna", 0),
        ("2026-09-01", "2026-09-02", "America/New_York", 0),
        ("2026-08-31", "2026-09-01", "America/New_York", 1),
        ("2026-09-01T00:00:00+02:00", "2026-09-01T02:00:00+02:00", "UTC", 0),
        ("2026-09-01T02:00:00+02:00", "2026-09-01T02:00:01+02:00", "America/New_York", 1),
        ("2026-09-01T00:00:00Z", "2026-09-01T00:00:01Z", "Asia/Tokyo", 1),
    ],
)
def test_times_are_of_the_zone_or_carry_their_own(
    warehouse: Warehouse, shop: str, since: str, until: str, tz: str, found: int
) -> None:
    chosen = {"site": shop, "since": since, "until": until, "tz": tz}
    assert len(_ask(warehouse, "conversions", chosen | {"event": "purchase"})) == found
    assert len(_ask(warehouse, "attribution", QUESTIONS["attribution"] | chosen)) == found
    assert len(_ask(warehouse, "sessions_between", chosen)) == found

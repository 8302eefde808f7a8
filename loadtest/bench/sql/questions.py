"""What is asked: floors, questions about the second of two months, and questions about a month with history.

A floor is what no plan can beat: the columns that the definition needs, of the window that the question reads, with
FINAL as any answer that counts each event once must, and one hash a visitor. What reads few rows only has no floor.
"""

from typing import Final

import msgspec

from loadtest.bench.frame import Bound
from loadtest.bench.sql import events


class Question(msgspec.Struct, frozen=True):
    """A statement that is measured."""

    sql: str
    floor: str = ""
    """Name of the floor that it is compared with; empty: none."""
    bounds: tuple[Bound, ...] = ()


_SINCE: Final = "2026-10-05"
_UNTIL: Final = "2026-11-04"
WINDOW: Final = f"since = '{_SINCE}', until = '{_UNTIL}', tz = 'UTC'"
_GIVEN: Final = (
    f"site = 'shop', conversion = 'purchase', lookback_days = 30, {WINDOW}, restart = 0, "
    "touch_kinds = 'arrival,click', ignore = ''"
)
_ARRIVAL: Final = (
    "occurred_at, event_id, utm_source, utm_medium, utm_campaign, utm_id, click_id, kind, url, source, medium, "
    "campaign, channel"
)


def _floor(columns: str, since: str = _SINCE) -> str:
    """One number a visitor, made of every column of every row: nothing cheaper has read and grouped them."""
    return (
        f"SELECT site, visitor_id, is_bot, groupBitXor(cityHash64({columns})) "  # noqa: S608
        f"FROM pharos.event_log FINAL WHERE occurred_at >= '{since}' AND occurred_at < '{_UNTIL}' "
        "GROUP BY site, visitor_id, is_bot"
    )


FLOORS: Final = {
    "floor of sessions": _floor(f"{_ARRIVAL}, path, currency, value"),
    # Thirty days before too.
    "floor of attribution": _floor(f"{_ARRIVAL}, event, user_id, client_event_id, currency, value", "2026-09-05"),
    "floor of people's days": _floor("occurred_at, event_id, event, kind, user_id"),
}
_SCAN: Final = (Bound("cpu_s", 1.5, 1.1),)
_RULE: Final = (Bound("cpu_s", 1.5, 0.6, of_ratio=False),)
_MARKOV: Final = (Bound("cpu_s", 4, 2, of_ratio=False),)
_POINT: Final = (Bound("cpu_s", 0.05, 0.02, of_ratio=False),)
_GROWTH: Final = (Bound("cpu_s", 1.2, 1.05),)

RULES: Final = ("first", "last", "last_non_direct", "linear", "position", "time_decay")


def _view(call: str, floor: str = "", bounds: tuple[Bound, ...] = ()) -> Question:
    return Question(f"SELECT * FROM pharos.{call}", floor, bounds)  # noqa: S608


def _sessions(call: str, bounds: tuple[Bound, ...] = ()) -> Question:
    return _view(call, "floor of sessions", bounds)


def _attribution(call: str, bounds: tuple[Bound, ...] = ()) -> Question:
    return _view(call, "floor of attribution", bounds)


def _people(call: str, bounds: tuple[Bound, ...] = ()) -> Question:
    return _view(call, "floor of people's days", bounds)


def _points(day: str, after: str, visitor: str, since: str) -> dict[str, Question]:
    """Return the questions that few rows answer; of one visitor what happened from `since` on."""
    return {
        "realtime": _view(f"realtime(site = 'shop', at = '{day} 12:00:00', tz = 'UTC')", "", _POINT),
        "one day's pages": Question(
            "SELECT path, count(), uniq(visitor_id) "  # noqa: S608
            f"FROM pharos.events_between(site = 'shop', since = '{day}', until = '{after}', tz = 'UTC') GROUP BY path",
            "",
            _POINT,
        ),
        "one visitor": Question(
            f"SELECT occurred_at, event, url FROM pharos.visitor_events(site = 'shop', visitor = {visitor}) "  # noqa: S608
            f"WHERE occurred_at >= '{since}'",
            "",
            _POINT,
        ),
    }


def of_two_months(rows: int) -> dict[str, Question]:
    """Return the questions about the second of two months of a table of that many rows."""
    return {
        "sessions": _sessions(f"sessions_between(site = 'shop', {WINDOW})", _SCAN),
        "top_pages": _sessions(f"top_pages(site = 'shop', {WINDOW})", _SCAN),
        "touches": _sessions(f"touches_between(site = 'shop', {WINDOW})"),
        "journeys": _attribution(f"journeys({_GIVEN})"),
        **{
            f"attribution {model}": _attribution(f"attribution({_GIVEN}, model = '{model}', half_life_days = 7)", _RULE)
            for model in RULES
        },
        "attribution_shapley": _attribution(f"attribution_shapley({_GIVEN}, by = 'channel')"),
        "attribution_markov": _attribution(f"attribution_markov({_GIVEN}, by = 'channel', max_names = 100)", _MARKOV),
        "attribution_models": _attribution(f"attribution_models({_GIVEN}, half_life_days = 7)"),
        "credits": _attribution(f"credits({_GIVEN}, model = 'position', half_life_days = 7)"),
        "campaigns": _attribution(
            f"campaigns({_GIVEN}, model = 'position', half_life_days = 7, currency = 'EUR', others = 'leave out')"
        ),
        "touch_details": _sessions(f"touch_details(site = 'shop', {WINDOW})"),
        "session_details": _sessions(f"session_details(site = 'shop', goals = 'signup', history_days = 0, {WINDOW})"),
        "landing_pages": _sessions(f"landing_pages(site = 'shop', conversion = 'signup', {WINDOW})"),
        "persons": _attribution(f"persons(site = 'shop', conversion = 'purchase', {WINDOW})"),
        "tagging": _view(f"tagging(site = 'shop', {WINDOW})"),
        "funnel": _people(
            f"funnel(site = 'shop', steps = 'pageview,signup,purchase', window_hours = 24, {WINDOW})", _SCAN
        ),
        "funnel, pages": _view(
            f"funnel(site = 'shop', steps = 'pageview /p/1*,pageview /p/2*', window_hours = 24, {WINDOW})"
        ),
        **{
            f"funnel_by {by or 'nothing'}": _people(
                "funnel_by(site = 'shop', steps = 'pageview,signup,purchase', window_hours = 24, "
                f"by = '{by}', {WINDOW})"
            )
            for by in ("", "channel")
        },
        "retention": _people(f"retention(site = 'shop', event = 'signup', {WINDOW})"),
        "audience": _people(f"audience(site = 'shop', event = 'signup', min_count = 2, {WINDOW})"),
        "audience_where": _people(
            "audience_where(site = 'shop', event = 'signup', min_count = 1, without = 'purchase', min_value = 0, "
            f"currency = '', channel = 'Email', {WINDOW})"
        ),
        "conversions": _view(f"conversions(site = 'shop', event = 'purchase', {WINDOW})"),
        "mail_opens": _view(f"mail_opens(site = 'shop', {WINDOW})"),
        **_points("2026-10-20", "2026-10-21", events.visitor_of(rows // 8, rows), "2026-09-05"),
    }


MINIATURE: Final = (
    "sessions",
    "attribution linear",
    "audience",
    "conversions",
    "mail_opens",
    "realtime",
    "one visitor",
)
"""Of them, what the smallest run asks."""


def of_last_month(rows: int) -> dict[str, Question]:
    """Return questions about a month of that many rows, for any history before it.

    Attribution has its lookback within that month: otherwise a table of one month had less to read.
    """
    month = "site = 'shop', since = '2026-09-05', until = '2026-10-05', tz = 'UTC'"
    half = (
        "site = 'shop', since = '2026-09-20', until = '2026-10-05', tz = 'UTC', conversion = 'purchase', "
        "lookback_days = 15, restart = 0, touch_kinds = 'arrival,click', ignore = ''"
    )
    asked = {
        "attribution linear": _view(f"attribution({half}, model = 'linear', half_life_days = 7)"),
        "attribution_markov": _view(f"attribution_markov({half}, by = 'channel', max_names = 100)"),
        "sessions": _view(f"sessions_between({month})"),
        "top_pages": _view(f"top_pages({month})"),
        "funnel": _view(f"funnel({month}, steps = 'pageview,signup,purchase', window_hours = 24)"),
        "audience": _view(f"audience({month}, event = 'signup', min_count = 2)"),
        "retention": _view(f"retention({month}, event = 'signup')"),
        "conversions": _view(f"conversions({month}, event = 'purchase')"),
        **_points("2026-09-20", "2026-09-21", events.visitor_of(rows // 8, rows), "2026-09-05"),
    }
    return {name: Question(question.sql, bounds=_GROWTH) for name, question in asked.items()}

"""Every view that takes parameters, with a value for each but the site: what tests ask, and what is described."""

_PATHS = {
    "conversion": "purchase",
    "lookback_days": "30",
    "since": "2026-09-01",
    "until": "2026-09-02",
    "tz": "UTC",
    "restart": "1",
    "touch_kinds": "arrival,click",
    "ignore": "",
}
_ASKED = {"since": "2026-09-01", "until": "2026-09-02", "tz": "UTC"}
QUESTIONS = {
    "attribution": _PATHS | {"model": "linear", "half_life_days": "7"},
    "attribution_models": _PATHS | {"half_life_days": "7"},
    "credits": _PATHS | {"model": "linear", "half_life_days": "7"},
    "attribution_shapley": _PATHS | {"by": "medium"},
    "attribution_markov": _PATHS | {"by": "campaign", "max_names": "100"},
    "journeys": _PATHS,
    "conversions": _ASKED | {"event": "purchase"},
    "sessions_between": _ASKED,
    "touches_between": _ASKED,
    "funnel": _ASKED | {"steps": "pageview,purchase", "window_hours": "1"},
    "retention": _ASKED | {"event": "purchase"},
    "mail_opens": _ASKED,
    "audience": _ASKED | {"event": "purchase", "min_count": "1"},
    "top_pages": _ASKED,
    "visitor_events": {"visitor": "a"},
    "events_between": _ASKED,
    "realtime": {"at": "2026-09-01", "tz": "UTC"},
    "touch_details": _ASKED,
    "visit_details": _ASKED,
    "session_details": _ASKED | {"goals": "purchase", "history_days": "1"},
    "landing_pages": _ASKED | {"conversion": "purchase"},
    "persons": _ASKED | {"conversion": "purchase"},
    "campaigns": _PATHS | {"model": "linear", "half_life_days": "7", "currency": "EUR", "others": "leave out"},
    "funnel_by": _ASKED | {"steps": "pageview,purchase", "window_hours": "1", "by": "channel"},
    "audience_where": _ASKED
    | {"event": "purchase", "min_count": "1", "without": "", "min_value": "0", "currency": "", "channel": ""},
    "tagging": _ASKED,
}

"""Worlds of events for hypothesis: few visitors, close times, ties, copies, several currencies; edges on purpose.

Rule: a query costs much more than an event. So an example holds several worlds side by side on one site: nobody of one
is in another, and each pays in currencies of its own, so that sums are told apart.
"""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from tests.sql.reference import Event

FULL = os.environ.get("PHAROS_TEST_SCALE") == "full"
START = datetime(2026, 9, 1, tzinfo=UTC)
_OWN = ("visitor_id", "user_id", "client_event_id", "currency")

_SOURCES = {
    "direct": {},
    "search": {"source": "google", "medium": "organic", "channel": "Organic Search"},
    "video": {
        "source": "youtube",
        "medium": "video",
        "campaign": "launch",
        "channel": "Organic Video",
        "utm_source": "YouTube",
        "utm_campaign": "launch",
    },
    "letter": {
        "source": "letter",
        "medium": "email",
        "campaign": "c-1",
        "channel": "Email",
        "utm_id": "c-1",
    },
    "ad": {"source": "google", "medium": "cpc", "channel": "Paid Search", "click_id": "g1"},
    "ad again": {"source": "google", "medium": "cpc", "channel": "Paid Search", "click_id": "g2"},
}

_STEPS_S = (0, 0, 0.001, 30, 600, 1799.999, 1800, 1800.001, 3600, 86_400, 5 * 86_400, 48 * 3600, 48 * 3600 + 0.001)


@st.composite
def _event(draw: st.DrawFn, number: int, at: datetime) -> Event:
    kind = draw(st.sampled_from(("tag", "tag", "tag", "pixel", "click", "server", "open")))
    name = draw(st.sampled_from(("pageview", "pageview", "purchase", "signup")))
    paid = name == "purchase"
    return Event(
        event_id=UUID(int=draw(st.integers(0, 2**64 - 1)) << 64 | number),
        occurred_at=at,
        event=name,
        kind=kind,
        visitor_id=draw(st.sampled_from(("a", "a", "b", "c", ""))),
        user_id=draw(st.sampled_from(("", "", "", "u1", "u2"))),
        client_event_id=draw(st.sampled_from(("", "", "o1", "o2"))) if paid else "",
        url=draw(st.sampled_from(("", "https://shop.example/p"))) if kind == "server" else "https://shop.example/p",
        path=draw(st.sampled_from(("", "/p", "/q"))),
        value=draw(st.sampled_from((0, 1, 19_9000, 3_3333, 10**13 + 1))) if paid else 0,
        currency=draw(st.sampled_from(("EUR", "USD"))) if paid else "",
        is_bot=draw(st.sampled_from((False,) * 9 + (True,))),
        open_kind=draw(st.sampled_from(("human", "human", "proxy", "scanner"))) if kind == "open" else "",
        **draw(st.sampled_from(list(_SOURCES.values()))),
    )


@st.composite
def _world(draw: st.DrawFn, place: int, most: int) -> list[Event]:
    at = START
    events = []
    for number in range(draw(st.integers(0, most))):
        at += timedelta(seconds=draw(st.sampled_from(_STEPS_S)))
        event = draw(_event(place * 1000 + number, at))
        own: dict[str, Any] = {name: f"{getattr(event, name)}.{place}" for name in _OWN if getattr(event, name)}
        events.append(replace(event, **own))
    return events


def worlds(most: int = 30, several: int = 5 if FULL else 2) -> st.SearchStrategy[list[Event]]:
    """Return events of one site, each with an id of its own: `several` worlds, each in order of time."""
    return st.tuples(*(_world(place, most) for place in range(several))).map(lambda all_: list(chain(*all_)))

"""Worlds of events for hypothesis: few visitors, close times, ties, copies, several currencies; edges on purpose.

A query costs much more than an event. So an example has several worlds on one site: no person of one is in another,
and each pays in its own currencies, so that sums can be separated. Copies are as the
enricher makes them: purchases of one `client_event_id` have one event_id, from any sender at any time.
"""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from enricher.rules.event_id import event_id
from tests.sql.reference import Event

FULL = os.environ.get("PHAROS_TEST_SCALE") == "full"
START = datetime(2026, 9, 1, tzinfo=UTC)
_OWN = ("visitor_id", "user_id", "client_event_id", "currency")

_SOURCES: dict[str, dict[str, Any]] = {
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

_LATE_MS = (0, 0, 60_000, 3 * 86_400_000)
NAMES = (
    *("pageview",) * 6,
    *("purchase",) * 5,
    *("signup", "signup", "refund", "correction"),
    *("engagement", "engagement", "consent", "outbound"),
)
_VALUES = (0, 1, 19_9000, 3_3333, 10**13 + 1, 10**18 - 1)
_ENGAGED_MS = ("", "100", "30000", "1799999", "1800000", "86400000", "999999999999", "-5", "text")

_STEPS_S = (0, 0, 0.001, 30, 600, 1799.999, 1800, 1800.001, 3600, 86_400, 5 * 86_400, 48 * 3600, 48 * 3600 + 0.001)


def _value(draw: st.DrawFn, name: str) -> int:
    value = draw(st.sampled_from(_VALUES))
    return -value if name == "correction" or draw(st.integers(0, 9)) == 0 else value


def _props(draw: st.DrawFn, name: str) -> dict[str, str]:
    if name == "engagement":
        return {"ms": draw(st.sampled_from(_ENGAGED_MS))}
    if name in ("refund", "correction"):
        order = draw(st.sampled_from(("", "", "o1", "o2")))
        return {"order_id": order} if order else {}
    if name in ("purchase", "signup"):
        return draw(st.sampled_from(({}, {}, {"plan": "pro"}, {"plan": "pro", "size": "x_l"})))
    return {}


@st.composite
def _event(draw: st.DrawFn, number: int, at: datetime) -> Event:
    kind = draw(st.sampled_from(("tag", "tag", "tag", "pixel", "click", "server", "open")))
    name = draw(st.sampled_from(NAMES))
    paid = name in ("purchase", "refund", "correction")
    consent = draw(st.sampled_from(("given", "refused"))) if name == "consent" else "given"
    return Event(
        event_id=UUID(int=draw(st.integers(0, 2**64 - 1)) << 64 | number),
        occurred_at=at,
        event=name,
        kind=kind,
        visitor_id=draw(st.sampled_from(("a", "a", "b", "c", ""))),
        user_id=draw(st.sampled_from(("", "", "", "u1", "u2"))),
        client_event_id=draw(st.sampled_from(("", "", "o1", "o2"))) if paid else "",
        url=draw(st.sampled_from(("", "https://shop.example/p"))) if kind == "server" else "https://shop.example/p",
        path=draw(st.sampled_from(("", "/p", "/q", "/q/p_1"))),
        utm_content=draw(st.sampled_from(("", "blue"))),
        utm_term=draw(st.sampled_from(("", "mug"))),
        link_code=draw(st.sampled_from(("", "bio"))),
        device=draw(st.sampled_from(("desktop", "smartphone"))),
        country=draw(st.sampled_from(("", "AT"))),
        value=_value(draw, name) if paid else 0,
        currency=draw(st.sampled_from(("EUR", "EUR", "USD", ""))) if paid else "",
        consent=consent,
        props=_props(draw, name),
        is_bot=draw(st.sampled_from((False,) * 9 + (True,))),
        open_kind=draw(st.sampled_from(("human", "human", "proxy", "scanner"))) if kind == "open" else "",
        # No two are received in one millisecond: copies of one kind would be equal, and either could win.
        late_ms=draw(st.sampled_from(_LATE_MS)) + number,
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
        if "order_id" in event.props:
            own["props"] = {"order_id": f"{event.props['order_id']}.{place}"}
        events.append(replace(event, **own))
    return events


def as_enriched(event: Event, site: str) -> Event:
    """Return the event on that site, under the id that the enricher gives it."""
    own = event_id(event.event_id.hex, site, event.event, event.client_event_id)
    return replace(event, site=site, event_id=UUID(own))


def worlds(most: int = 30, several: int = 5 if FULL else 4) -> st.SearchStrategy[list[Event]]:
    """Return events of one site, each with an id of its own: `several` worlds, each in order of time."""
    return st.tuples(*(_world(place, most) for place in range(several))).map(lambda all_: list(chain(*all_)))

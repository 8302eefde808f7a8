"""How arrivals were tagged, against a second implementation: names, what decided, near twins and the other faults."""

import re
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sql import reference
from tests.sql.harness import stored, thorough
from tests.sql.reference import Event
from tests.sql.warehouse import Warehouse, text
from tests.sql.worlds import START

OWN_HOSTS = ("shop.example", "checkout.example", "never-seen.example")
_NAMES = (
    "newsletter",
    "newsleter",
    "letter-2026-10-06",
    "letter-2026-10-13",
    "leter-7",
    "(not set)",
    "news",
    "new",
    "",
)

_tags = st.fixed_dictionaries(
    {
        "utm_source": st.sampled_from(("", "Newsletter", "newsleter")),
        "utm_campaign": st.sampled_from(("", "x")),
        "click_id_name": st.sampled_from(("", "", "gclid", "fbclid")),
        "source": st.sampled_from(_NAMES),
        "medium": st.sampled_from(("cpc", "email", "organic", "emaill", "social", "(not set)")),
        "campaign": st.sampled_from(_NAMES),
        "channel": st.sampled_from(("Email", "Direct")),
        "host": st.sampled_from(OWN_HOSTS[:2]),
        "visitor_id": st.sampled_from(("a", "b", "")),
        "event": st.sampled_from(("pageview", "pageview", "signup", "engagement", "purchase")),
        "kind": st.sampled_from(("tag", "tag", "click", "open", "server")),
        "url": st.sampled_from(("", "https://shop.example/")),
        "is_bot": st.sampled_from((False, False, False, True)),
        "referrer": st.sampled_from(
            (
                ("", ""),
                ("none", ""),
                ("internal", "shop.example"),
                ("search", "google.com"),
                ("other", OWN_HOSTS[1]),
                ("other", OWN_HOSTS[2]),
            )
        ),
    }
)


@st.composite
def _visits(draw: st.DrawFn) -> list[Event]:
    """Return ways of being tagged, each once to many times: what is a near twin depends on how often names are used."""
    events: list[Event] = []
    for tags in draw(st.lists(_tags, max_size=8)):
        kind, host = tags.pop("referrer")
        one = Event(event_id=UUID(int=0), occurred_at=START, referrer_kind=kind, referrer_host=host, **tags)
        for _ in range(draw(st.sampled_from((1, 4, 5, 21)))):
            number = len(events) + 1
            events.append(
                replace(one, event_id=UUID(int=number), late_ms=number, occurred_at=START + timedelta(seconds=number))
            )
    return events


@cache
def _distance(a: str, b: str) -> int:
    if not a or not b:
        return len(a) + len(b)
    if a[0] == b[0]:
        return _distance(a[1:], b[1:])
    return 1 + min(_distance(a[1:], b), _distance(a, b[1:]), _distance(a[1:], b[1:]))


def _twins(name: str, used: Counter[str]) -> set[str]:
    """Return every name that this one may be meant to be: the most frequent of them wins, the greatest of equals."""
    found = []
    for other, times in used.items():
        letters = [re.sub("[0-9]+", "#", one) for one in (name, other)]
        if len(name) >= 5 and times >= 5 * used[name] and other != name and 1 <= _distance(*letters) <= 2:
            found.append((times, other))
    return {max(found)[1]} if found else {""}


def _faults(e: Event, twins: tuple[str, ...], hosts: set[str]) -> list[str]:
    utm = bool(e.utm_source or e.utm_medium or e.utm_campaign or e.utm_id)
    elsewhere = e.referrer_kind not in ("", "none", "internal")
    return [
        *(["not set"] if utm and "(not set)" in (e.source, e.medium, e.campaign) else []),
        *(["near twin"] if any(twins) else []),
        *(["self-referral"] if e.referrer_host in hosts and elsewhere else []),
        *(["internal link with UTM"] if utm and e.referrer_kind == "internal" else []),
        *(["ad click without UTM"] if not utm and e.click_id_name and e.medium in ("cpc", "display") else []),
    ]


@thorough
@given(events=_visits())
def test_tagging(warehouse: Warehouse, events: list[Event]) -> None:
    site, events = stored(warehouse, events)
    people = [e for e in reference.standing(events) if not e.is_bot and e.kind != "open" and e.occurred_at >= START]
    hosts = {e.host for e in people if e.event == "pageview"}
    rows_of: dict[tuple[Any, ...], list[Event]] = defaultdict(list)
    used: dict[str, Counter[str]] = defaultdict(Counter)
    for e in people:
        utm = e.utm_source or e.utm_medium or e.utm_campaign or e.utm_id
        elsewhere = e.referrer_host and e.referrer_kind not in ("", "none", "internal")
        for column in ("source", "medium", "campaign"):
            used[column][getattr(e, column)] += 0
        if e.arrives and (utm or e.click_id_name or elsewhere):
            rows_of[
                *(e.utm_source, e.utm_medium, e.utm_campaign, e.utm_id, e.click_id_name, e.referrer_host),
                *(e.source, e.medium, e.campaign, e.channel, e.referrer_kind),
            ].append(e)
            for column in ("source", "medium", "campaign"):
                used[column][getattr(e, column)] += 1
    expected: Counter[tuple[Any, ...]] = Counter()
    for key, own in rows_of.items():
        e = own[0]
        utm = e.utm_source or e.utm_medium or e.utm_campaign or e.utm_id
        ids = [f"click id {e.click_id_name}"] if e.click_id_name else []
        parts = [*(["utm"] if utm else []), *ids]
        elsewhere = e.referrer_kind not in ("", "none", "internal") and e.medium in ("organic", "referral", "email")
        rule = ", ".join(parts) or (f"referrer {e.referrer_kind}" if elsewhere else "network parameter")
        (a,), (b,), (c,) = (_twins(getattr(e, column), used[column]) for column in ("source", "medium", "campaign"))
        faults = tuple(_faults(e, (a, b, c), hosts))
        expected[*key[:-1], rule, a, b, c, faults, len(own), len({e.visitor_id for e in own} - {""})] += 1
    rows = warehouse.rows(
        "SELECT * FROM pharos.tagging(site = {site:String}, since = {since:String}, until = '2026-10-01', tz = 'UTC')",
        site=site,
        since=text(START),
    )
    assert Counter(tuple(tuple(v) if isinstance(v, list) else v for v in row.values()) for row in rows) == expected


@pytest.mark.parametrize(
    ("often", "name", "times", "near"),
    [
        ("newsletter", "newsleter", 5, "newsletter"),
        ("newsletter", "newsleter", 4, ""),
        ("newsletter", "newsltr", 9, ""),  # three letters
        ("letter-2026-10-06", "letter-2026-10-13", 9, ""),  # numbers are no letters
        ("letter-2026-10-06", "leter-2026-10-13", 9, "letter-2026-10-06"),
        ("mugs", "mug", 9, ""),  # short
    ],
)
def test_a_near_twin_is_much_more_frequent_and_differs_in_one_or_two_letters(
    warehouse: Warehouse, often: str, name: str, times: int, near: str
) -> None:
    events = [
        Event(event_id=UUID(int=n), occurred_at=START, utm_source=source, source=source, medium="email", visitor_id="a")
        for n, source in enumerate([name, *[often] * times], 1)
    ]
    site, _ = stored(warehouse, events)
    rows = warehouse.rows(
        "SELECT source, near_source FROM pharos.tagging(site = {site:String}, since = '2026-09-01', "
        "until = '2026-09-02', tz = 'UTC')",
        site=site,
    )
    assert {row["source"]: row["near_source"] for row in rows} == {name: near, often: ""}

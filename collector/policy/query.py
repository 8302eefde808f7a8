"""A pixel's query string: which site and consent it names, or why it is refused. Judged by the table of fields.

A field that is repeated must be usable each time; the first one counts.
"""

import re
from decimal import Decimal
from typing import NamedTuple

from collector.contract.fields import BY_QUERY, MAX_PROPS, epoch_ms, is_prop, problem_with
from collector.contract.urls import is_url, unescaped
from collector.policy.percent import decoded, name_of
from collector.policy.refusal import Refusal
from collector.policy.ruleset import BACK_MS
from collector.policy.sites import Sites

_MAY_NAME_USER = re.compile(rb"(?:\A|&)(?:[^=&%]*%[^=&]*|(?:amp;)*uid)=")
"""Finds a `uid`, or a name with an escape in it, which may be one."""
AHEAD_MS = 5 * 60 * 1000
"""How far ahead of our clock an event's own time may lie."""


class Asked(NamedTuple):
    """What a usable query asks for."""

    site: str
    """Key of a configured site."""
    consent: str
    """The consent parameter as sent; empty: not sent."""
    events: tuple[str, ...] = ()
    """The event names as sent; one, unless the parameter is repeated or missing."""
    unusable: tuple[str, ...] = ()
    """Fields whose values cannot be used. The record holds them as sent, and the enricher leaves them empty."""
    excess: tuple[str, ...] = ()
    """Fields whose values the site does not allow. The record must not hold them."""


def judge(query: str, sites: Sites, now_ms: int, back_ms: int = BACK_MS) -> Asked | Refusal:
    """Return what a query asks for, or why it is refused. Any text gives an answer."""
    site = consent = None
    props = 0
    value = ""
    events: list[str] = []
    addresses = {"u": "", "r": ""}
    for pair in query.split("&"):
        name, _, text = pair.partition("=")
        name = name_of(name)
        if name in ("u", "r", "t", ""):
            if name in addresses and not addresses[name]:
                addresses[name] = text
            continue  # the request line is bounded, and so are these
        if "%" in text or "+" in text:
            text = decoded(text)
        if name == "s":
            site = text if site is None else site
        elif name == "n":
            consent = text if consent is None else consent
        elif (field := BY_QUERY.get(name)) is not None:
            # An empty field is a field not sent.
            if text and (problem := problem_with(field, text)):
                return Refusal(problem)
            if text and name == "e":
                events.append(text)
            if name == "v":
                value = value or text
            if text and name == "ts" and not is_recent(text, now_ms, back_ms):
                return Refusal.BAD_TIME
            if text and name == "a" and int(text) > back_ms:
                return Refusal.BAD_TIME
        elif name.startswith("x."):
            props += 1
            if not is_prop(name[2:], text):
                return Refusal.BAD_PROPS
    if (site or "") not in sites:
        return Refusal.UNKNOWN_SITE
    if props > MAX_PROPS:
        return Refusal.BAD_PROPS
    unusable = [BY_QUERY[name].name for name, text in addresses.items() if text and not is_url(unescaped(text))]
    excess = ("value",) if value and is_excessive(value, sites[site or ""].max_value) else ()
    return Asked(site or "", consent or "", tuple(events), tuple(unusable), excess)


def named_site(query: str) -> str:
    """Return the site that a query names, as `judge` reads it; empty if none."""
    for pair in query.split("&"):
        name, _, text = pair.partition("=")
        if name_of(name) == "s":
            return decoded(text)
    return ""


def is_excessive(value: str, max_value: int) -> bool:
    """Tell whether a value of good form is above a site's `max_value`, or below its negative."""
    digits = value.lstrip("+-")
    return len(digits) >= len(str(max_value)) and Decimal(digits) > max_value


def is_recent(time: str, now_ms: int, back_ms: int) -> bool:
    """Tell whether a time of good form lies at most `back_ms` back and 5 minutes ahead."""
    ms = epoch_ms(time)
    return ms is not None and now_ms - back_ms <= ms <= now_ms + AHEAD_MS


def without_user_id(query: bytes) -> bytes:
    """Return the query without its `uid`: a visitor who may not be identified may not be named by the sender either."""
    if not _MAY_NAME_USER.search(query):
        return query
    return without(query, "uid")


def without(query: bytes, name: str) -> bytes:
    """Return the query without a parameter, however its name is written."""
    pairs = query.split(b"&")
    return b"&".join([pair for pair in pairs if name_of(pair.partition(b"=")[0].decode("utf-8", "replace")) != name])

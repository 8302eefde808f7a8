"""A pixel's query string: which site and consent it names, or why it is refused. Judged by the table of fields.

A field that is repeated must be usable each time, or it is left out; the first one counts.
"""

import re
from decimal import Decimal
from typing import NamedTuple

from collector.contract.fields import BY_QUERY, MAX_PROPS, TABLE, epoch_ms, is_prop, is_usable
from collector.contract.urls import is_url, unescaped
from collector.policy.percent import decoded, name_of
from collector.policy.refusal import Refusal
from collector.policy.ruleset import BACK_MS
from collector.policy.sites import Sites

_MAY_NAME_USER = re.compile(rb"(?:\A|&)(?:[^=&%]*%[^=&]*|(?:amp;)*uid)=")
"""Finds a `uid`, or a name with an escape in it, which may be one."""
_PROPS = "x."
AHEAD_MS = 5 * 60 * 1000
"""How far ahead of our clock an event's own time may lie."""


class Asked(NamedTuple):
    """What a usable query asks for."""

    query: str
    """The query to be stored: as sent, without the parameters that cannot be used."""
    site: str
    """Key of a configured site."""
    consent: str
    """The consent parameter as sent; empty: not sent."""
    events: tuple[str, ...] = ()
    """The event names as sent; one, unless the parameter is repeated or missing."""
    unreadable: tuple[str, ...] = ()
    """Addresses that cannot be read. The record holds them as sent, and the enricher leaves them out."""
    dropped: tuple[str, ...] = ()
    """Fields whose values cannot be used, or that the site does not allow; `query` is without them."""


def judge(query: str, sites: Sites, now_ms: int, back_ms: int = BACK_MS) -> Asked | Refusal:
    """Return what a query asks for, or why it is refused. Any text gives an answer."""
    site = consent = None
    first: dict[str, str] = {}
    """The first value of each field that is not empty."""
    props: set[str] = set()
    bad: set[str] = set()
    """Parameters that cannot be used: fields, and `x.NAME`."""
    events: list[str] = []
    for pair in query.split("&"):
        if not pair:
            continue
        name, _, text = pair.partition("=")
        name = name_of(name)
        if name in ("u", "r", "t", ""):
            if text:
                first.setdefault(name, text)
            continue  # the request line is bounded, and so are these
        if "%" in text or "+" in text:
            text = decoded(text)
        if name == "s":
            site = text if site is None else site
        elif name == "n":
            consent = text if consent is None else consent
        elif not text:
            continue  # an empty field is a field not sent
        elif (field := BY_QUERY.get(name)) is not None:
            first.setdefault(name, text)
            if name == "e":
                events.append(text)
            if not is_usable(field, text):
                if field.reason:
                    return Refusal(field.reason)
                bad.add(name)
        elif name.startswith(_PROPS):
            if is_prop(name[2:], text) and (name in props or len(props) < MAX_PROPS):
                props.add(name)
            else:
                bad.add(name)
    if (site or "") not in sites:
        return Refusal.UNKNOWN_SITE
    time, age = first.get("ts"), first.get("a")
    ms = epoch_ms(time) if time is not None and "ts" not in bad else None
    if ms is not None and ms > now_ms + AHEAD_MS:
        bad.add("ts")
    elif ms is not None:
        if ms < now_ms - back_ms:
            return Refusal.BAD_TIME
        age = None
    if age is not None and "a" not in bad and int(age) > back_ms:
        return Refusal.BAD_TIME
    value = first.get("v")
    if value is not None and "v" not in bad and is_excessive(value, sites[site or ""].max_value):
        bad.add("v")
    unreadable = tuple([BY_QUERY[name].name for name in "ur" if name in first and not is_url(unescaped(first[name]))])
    dropped: tuple[str, ...] = ()
    if bad:
        query = "&".join([pair for pair in query.split("&") if name_of(pair.partition("=")[0]) not in bad])
        dropped = tuple([field.name for field in TABLE if field.query in bad])
        if any(name.startswith(_PROPS) for name in bad):
            dropped += ("props",)
    return Asked(query, site or "", consent or "", tuple(events), unreadable, dropped)


def named_site(query: str) -> str:
    """Return the site that a query names, as `judge` reads it; empty if none."""
    for pair in query.split("&"):
        if not pair:
            continue
        name, _, text = pair.partition("=")
        if name_of(name) == "s":
            return decoded(text)
    return ""


def is_excessive(value: str, max_value: int) -> bool:
    """Tell whether a value of good form is above a site's `max_value`, or below its negative."""
    digits = value.lstrip("+-")
    return len(digits) >= len(str(max_value)) and Decimal(digits) > max_value


def without_user_id(query: bytes) -> bytes:
    """Return the query without its `uid`: a visitor who may not be identified may not be named by the sender either."""
    if not _MAY_NAME_USER.search(query):
        return query
    return without(query, "uid")


def without(query: bytes, name: str) -> bytes:
    """Return the query without a parameter, however its name is written."""
    pairs = query.split(b"&")
    return b"&".join(
        [pair for pair in pairs if not pair or name_of(pair.partition(b"=")[0].decode("utf-8", "replace")) != name]
    )

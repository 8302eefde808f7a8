"""Pure: the body of a POST, made into single events: inflated, split, each judged by its form and written anew.

Rule: one bad event never costs its neighbours, and nothing that has no name in the HTTP surface goes on.
"""

import zlib
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import orjson

from collector.policy import fields
from collector.policy.refusal import Refusal

MOST_BYTES: Final = 1 << 20
"""Of a body, as sent and inflated."""
MOST_EVENTS: Final = 500
LONGEST_TEXT: Final = 8192
"""Characters of a URL, referrer or title: as many as fit a pixel's request line."""
LONGEST_VISITOR_ID: Final = 128
DEEPEST: Final = 16
"""Levels of JSON; an event has three."""


class Event(NamedTuple):
    """One event of good form."""

    site: str
    consent: str
    """As a query string would have it: "1", "0" or empty."""
    body: str
    """The JSON object for `Hit.body`."""
    user_id: str = ""
    visitor_id: str = ""
    """This and the next two: what a server says of its visitor."""
    ip: str = ""
    user_agent: str = ""


class TooLarge(ValueError):
    """The body, as sent or inflated, or the number of its events is over the bound."""


class Unreadable(ValueError):
    """The body is not what its headers say, or not JSON."""


def inflate(raw: bytes, coding: str) -> bytes:
    """Undo `Content-Encoding`.

    Raises:
        TooLarge: it inflates past MOST_BYTES; no more than that is ever held.
        Unreadable: a coding other than gzip, or no whole gzip member.
    """
    if len(raw) > MOST_BYTES:
        raise TooLarge("body")
    if coding.strip().lower() in ("", "identity"):
        return raw
    if coding.strip().lower() not in ("gzip", "x-gzip"):
        raise Unreadable("Content-Encoding is neither gzip nor identity")
    inflater = zlib.decompressobj(wbits=31)
    try:
        plain = inflater.decompress(raw, MOST_BYTES + 1)
    except zlib.error as error:
        raise Unreadable("not gzip") from error
    if len(plain) > MOST_BYTES:
        raise TooLarge("inflated body")
    if not inflater.eof or inflater.unused_data:
        raise Unreadable("gzip ends too early, or goes on after its end")
    return plain


def split(text: bytes) -> list[object]:
    """Return the events of a body: of one object, an array, or `{"events": [...]}`.

    Raises:
        Unreadable: not JSON, or none of the three forms.
        TooLarge: more than MOST_EVENTS.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Unreadable("not JSON") from error
    if isinstance(value, dict) and "events" in value:
        value = value["events"] if len(value) == 1 else None
    elif isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise Unreadable("neither an event, nor an array of events, nor an object with `events` alone")
    if len(value) > MOST_EVENTS:
        raise TooLarge("events")
    return value


def judge(event: object, now_ms: int, *, back_ms: int, server: bool) -> Event | Refusal:
    """Judge one event's form. Total: any JSON value gives an answer.

    `server`: it came to `/v1/events`, and may name the visitor.
    """
    if not isinstance(event, dict):
        return Refusal.BAD_BODY
    good: dict[str, object] = {}
    for name, value in event.items():
        if value is None or value == "":
            continue
        if name == "props":
            props = _props(value)
            if isinstance(props, Refusal):
                return props
            if props:
                good["props"] = props
            continue
        check = _CHECKS.get(name) or (_OF_SERVERS.get(name) if server else None)
        text = _text(name, value)
        if check is None or text is None:
            return _OF_TYPE.get(name, Refusal.BAD_BODY)
        refusal = fields.time(text, now_ms, back_ms) if name == "time" else check(text)
        if refusal:
            return refusal
        good[name] = text
    named = {name: str(good.pop(name, "")) for name in ("site", "consent", "visitor_id", "ip", "user_agent")}
    return Event(**named, user_id=str(good.get("user_id", "")), body=orjson.dumps(good).decode())


def without_user_id(body: str) -> str:
    """Return the JSON text of an event without its `user_id`."""
    event = orjson.loads(body)
    event.pop("user_id", None)
    return orjson.dumps(event).decode()


def _text(name: str, value: object) -> str | None:
    """Return a scalar as the text that a query string would carry; None for what is none."""
    if isinstance(value, str):
        return value
    if name == "consent" and isinstance(value, bool):
        return "1" if value else "0"
    if name == "value" and isinstance(value, float):
        # A sum such as 0.1 + 0.2 is money all the same: what a float is beyond the fourth decimal is noise.
        return f"{value:.4f}".rstrip("0").rstrip(".") if abs(value) < 1e15 else None
    if name in ("value", "time", "id", "user_id") and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None


def _props(value: object) -> dict[str, str] | Refusal:
    if not isinstance(value, dict) or len(value) > fields.MOST_PROPS:
        return Refusal.BAD_PROPS
    good: dict[str, str] = {}
    for name, prop in value.items():
        if prop is None:
            continue
        if isinstance(prop, bool):
            prop = "true" if prop else "false"
        if not isinstance(prop, (str, int, float)):
            return Refusal.BAD_PROPS
        if refusal := fields.prop(name, str(prop)):
            return refusal
        good[name] = str(prop)
    return good


def _bounded(text: str) -> Refusal | None:
    return Refusal.TOO_LONG if len(text) > LONGEST_TEXT else None


def _visitor_id(text: str) -> Refusal | None:
    if len(text) > LONGEST_VISITOR_ID:
        return Refusal.TOO_LONG
    return fields.user_id(text)


_CHECKS: Final[Mapping[str, Callable[[str], Refusal | None]]] = {
    "site": _bounded,
    "event": fields.event,
    "url": _bounded,
    "referrer": _bounded,
    "title": _bounded,
    "id": fields.client_id,
    "value": fields.value,
    "currency": fields.currency,
    "user_id": fields.user_id,
    "consent": _bounded,
    "time": _bounded,
}

_OF_SERVERS: Final[Mapping[str, Callable[[str], Refusal | None]]] = {
    "visitor_id": _visitor_id,
    "ip": _bounded,
    "user_agent": _bounded,
}

_OF_TYPE: Final[Mapping[str, Refusal]] = {
    "event": Refusal.BAD_EVENT,
    "value": Refusal.BAD_VALUE,
    "currency": Refusal.BAD_CURRENCY,
    "user_id": Refusal.BAD_USER_ID,
    "time": Refusal.BAD_TIME,
}
"""What a value of a wrong JSON type is refused as."""

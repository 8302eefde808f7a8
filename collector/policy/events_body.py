"""Pure: the body of a POST, made into single events: inflated, split, each judged by its form and written anew.

Rule: one bad event never costs its neighbours, and nothing that has no name in the HTTP surface goes on.
"""

import zlib
from typing import Final, NamedTuple

import orjson

from collector.contract.fields import BY_NAME, MAX_PROPS, TABLE, is_prop, problem_with, text_of
from collector.policy.query import is_recent
from collector.policy.refusal import Refusal

MOST_BYTES: Final = 1 << 20
"""Of a body, as sent and inflated."""
MOST_EVENTS: Final = 500
_NOT_STORED: Final = tuple(field.name for field in TABLE if not field.stored)


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
    """Judge one event by the table of fields. Any JSON value gives an answer.

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
        field = BY_NAME.get(name)
        if field is None or (field.server_only and not server):
            return Refusal.BAD_BODY
        text = text_of(field, value)
        if text is None:
            return Refusal(field.type_reason)
        if problem := problem_with(field, text):
            return Refusal(problem)
        if name == "time" and not is_recent(text, now_ms, back_ms):
            return Refusal.BAD_TIME
        if name == "age" and int(text) > back_ms:
            return Refusal.BAD_TIME
        good[name] = text
    named = {name: str(good.pop(name, "")) for name in _NOT_STORED}
    return Event(**named, user_id=str(good.get("user_id", "")), body=orjson.dumps(good).decode())


def without_user_id(body: str) -> str:
    """Return the JSON text of an event without its `user_id`."""
    event = orjson.loads(body)
    event.pop("user_id", None)
    return orjson.dumps(event).decode()


def _props(value: object) -> dict[str, str] | Refusal:
    if not isinstance(value, dict) or len(value) > MAX_PROPS:
        return Refusal.BAD_PROPS
    good: dict[str, str] = {}
    for name, prop in value.items():
        if prop is None:
            continue
        if isinstance(prop, bool):
            prop = "true" if prop else "false"
        if not isinstance(prop, (str, int, float)):
            return Refusal.BAD_PROPS
        if not is_prop(name, str(prop)):
            return Refusal.BAD_PROPS
        good[name] = str(prop)
    return good

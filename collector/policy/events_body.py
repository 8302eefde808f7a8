"""The body of a POST: inflated, split into single events, each judged by the table of fields and written again.

An event that is refused does not affect the others of its batch, and a value that cannot be used does not affect the
other fields of its event.

Long: all that is judged of a body is judged in one pass.
"""

import codecs
import json
import re
import zlib
from typing import Any, Final

import msgspec
from msgspec.structs import astuple

from collector.contract.fields import MAX_PROPS, TABLE, Field, epoch_ms, is_prop, is_text, is_usable, text_of
from collector.contract.urls import is_url
from collector.policy import sent_event
from collector.policy.ids import without_linker
from collector.policy.links import host_of
from collector.policy.query import AHEAD_MS, is_excessive
from collector.policy.refusal import Refusal
from collector.policy.sent_event import SentEvent, decode_any, decode_events, decode_list, decode_one

MOST_BYTES: Final = 1 << 20
"""Maximum size of a body in bytes, as sent and inflated."""
MOST_EVENTS: Final = 500

_ADDRESSES: Final = ("url", "referrer")
_GZIP: Final = b"\x1f\x8b"
_ESCAPES: Final = re.compile(
    r"\\(?:\\|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2}))"
)
"""An escaped backslash, an escaped pair of halves, or half a character alone."""

_FIELDS: Final[list[Field]] = list(TABLE)
"""Compiled code would make a tuple of the table for each event."""
_PROPS: Final = len(TABLE)
_SERVER_ONLY: Final = [field.server_only for field in TABLE]
_UNREADABLE: Final = (msgspec.DecodeError, ValueError, RecursionError)
_INTEGER_DIGITS: Final = 18
_INFINITE: Final = (float("inf"), float("-inf"))
_ANY_TEXT: Final = [field.check is is_text for field in TABLE]
_MAX_CHARS: Final = [field.max_chars for field in TABLE]
_NAMES: Final = frozenset((*(field.name for field in TABLE), "props"))


class Event:
    """One event that is not refused."""

    __slots__ = ("_sent", "consent", "dropped", "ip", "name", "site", "user_agent", "visitor_id")

    def __init__(self, sent: Any, dropped: tuple[str, ...]) -> None:
        self.site: str = sent.site or ""
        self.name: str = sent.event or ""
        """The event's name; empty: the default of its route."""
        self.consent: str = sent.consent or ""
        """As in a query string: "1", "0", another text, or empty."""
        self.visitor_id: str = sent.visitor_id or ""
        """This and the next two: what a server says of its visitor."""
        self.ip: str = sent.ip or ""
        self.user_agent: str = sent.user_agent or ""
        self.dropped: Final = dropped
        """Names of the fields that were sent and cannot be used; the event is without them."""
        self._sent = sent

    def unreadable(self) -> tuple[str, ...]:
        """Return the names of the addresses that cannot be read: stored as sent, and left out by the enricher."""
        names: tuple[str, ...] = ()
        for name in _ADDRESSES:
            text = getattr(self._sent, name)
            if text and not is_url(text):
                names += (name,)
        return names

    def take_linker(self) -> tuple[str, str]:
        """Remove the linkers of the addresses; return that of the page's URL and the URL's host, or empty strings."""
        sent, text, host = self._sent, "", ""
        if sent.referrer:
            sent.referrer = without_linker(sent.referrer)[0]
        if sent.url:
            sent.url, text = without_linker(sent.url)
        if text:
            host = host_of(sent.url)
        return text, host

    def remove_excess(self, max_value: int) -> tuple[str, ...]:
        """Remove the fields whose values the site does not allow; return their names."""
        value = self._sent.value
        if value is None or not is_excessive(value, max_value):
            return ()
        self._sent.value = None
        return ("value",)

    def body(self, *, with_user_id: bool) -> bytes:
        """Return the JSON object for `Hit.body`; without `user_id` where the visitor may not be identified."""
        sent = self._sent
        sent.site = sent.consent = sent.sent_at = None
        if self.visitor_id or self.ip or self.user_agent:
            sent.visitor_id = sent.ip = sent.user_agent = None
        if not with_user_id:
            sent.user_id = None
        body: bytes = sent_event.encode(sent)
        return body


class TooLarge(ValueError):
    """The body, as sent or inflated, or the number of its events is over the bound."""


class Unreadable(ValueError):
    """The body is not what its headers say, or not JSON."""


def inflate(raw: bytes, coding: str) -> bytes:
    """Undo gzip. The first bytes decide, not the header: a beacon cannot set one, and a proxy may leave one behind.

    Raises:
        TooLarge: it inflates past MOST_BYTES; no more than that is ever held.
        Unreadable: another coding than gzip, or a gzip member that is not whole.
    """
    if len(raw) > MOST_BYTES:
        raise TooLarge("body")
    if not raw.startswith(_GZIP):
        if coding.strip().lower() not in ("", "identity", "gzip", "x-gzip"):
            raise Unreadable("Content-Encoding is neither gzip nor identity")
        return raw
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


def split(text: bytes) -> list[Any]:
    """Return the events of a body: of one object, an array, or `{"events": [...]}`.

    An event is a SentEvent; where one has a name that is not in the table, or is no object, any JSON value.

    Raises:
        Unreadable: not JSON, or none of the three forms.
        TooLarge: more than MOST_EVENTS.
    """
    events: list[Any]
    try:
        events = _decoded(text)
    except Unreadable:
        raise
    except _UNREADABLE:
        try:
            events = _decoded(repaired(text))
        except Unreadable:
            raise
        except _UNREADABLE as error:
            raise Unreadable("not JSON") from error
    if len(events) > MOST_EVENTS:
        raise TooLarge("events")
    return events


def _decoded(text: bytes) -> list[Any]:
    try:
        if text.startswith(b"["):
            return list(decode_list(text))
        if text.startswith(b'{"events"'):
            return list(decode_events(text).events)
        return [decode_one(text)]
    except msgspec.ValidationError:
        value = _json_value(text)
        if isinstance(value, str):  # JSON in a JSON string, as old libraries make of an array
            value = _json_value(repaired(value.encode()))
        return _any(value)


def _json_value(text: bytes) -> Any:
    """Decode any JSON. A number that is out of a machine's range is infinite, which no field can use."""
    try:
        return decode_any(text)
    except msgspec.ValidationError:
        return json.loads(repaired(text), parse_int=_integer, parse_constant=_refuse)


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _INTEGER_DIGITS else float(digits)


def _refuse(constant: str) -> None:
    raise Unreadable(f"{constant} is not JSON")


def repaired(text: bytes) -> bytes:
    """Return a body without what JSON or UTF-8 cannot hold: each such place becomes U+FFFD, and a BOM goes.

    Such places are bytes that are not UTF-8, and escapes of half a character (`"\\ud83d"`), which JavaScript makes
    when it cuts a text in the middle of an emoji.
    """
    if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = text.decode("utf-16", "replace").encode()
    text = text.removeprefix(codecs.BOM_UTF8)
    return _ESCAPES.sub(_whole, text.decode("utf-8", "replace")).encode()


def _whole(escape: re.Match[str]) -> str:
    return "\\ufffd" if escape["half"] else escape[0]


def _any(value: object) -> list[Any]:
    if isinstance(value, dict) and "events" in value:
        value = value["events"] if len(value) == 1 else None
    elif isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise Unreadable("neither an event, nor an array of events, nor an object with `events` alone")
    return value


def judge(event: Any, now_ms: int, *, back_ms: int, server: bool) -> Event | Refusal:
    """Judge one event by the table of fields, in its order. Any JSON value gives an answer; a SentEvent is changed.

    `server`: it came to `/v1/events`, and may name the visitor.
    """
    if not isinstance(event, SentEvent):
        if not isinstance(event, dict):
            return Refusal.BAD_BODY
        # A name that is not in the table is refused, unless it has no value.
        if any(name not in _NAMES and value not in (None, "") for name, value in event.items()):
            return Refusal.BAD_BODY
        event = SentEvent(**{name: value for name, value in event.items() if name in _NAMES})
    values: tuple[object, ...] = astuple(event)
    dropped: list[str] = []
    for at, field in enumerate(_FIELDS):
        value = values[at]
        if value is not None:
            if value == "":
                setattr(event, field.name, None)
                continue
            if _SERVER_ONLY[at] and not server:
                return Refusal.BAD_BODY
            text = value if isinstance(value, str) else text_of(field, value)
            if text is None or ((not _ANY_TEXT[at] or len(text) > _MAX_CHARS[at]) and not is_usable(field, text)):
                if field.reason:
                    return Refusal(field.reason)
                if field.otherwise:
                    text = field.otherwise
                else:
                    text = None
                    dropped.append(field.name)
            if text is not value:
                setattr(event, field.name, text)
    if (event.time is not None or event.age is not None) and not _is_in_time(event, now_ms, back_ms, dropped):
        return Refusal.BAD_TIME
    props = values[_PROPS]
    if props is not None:
        usable = _usable_props(props)
        if usable is None or len(usable) < _count(props):
            dropped.append("props")
        event.props = usable or None
    return Event(event, tuple(dropped))


def _is_in_time(event: Any, now_ms: int, back_ms: int, dropped: list[str]) -> bool:
    """Tell whether the event is recent enough. A time that lies ahead cannot be used: `dropped` then names it.

    Where the sender gives its own time of sending, its clock may be wrong: what counts is how long before the sending
    the event happened, so `time` becomes `age`.
    """
    if event.time is not None:
        time, sent_at = epoch_ms(event.time), epoch_ms(event.sent_at or "")
        age = now_ms - (time or 0) if sent_at is None else sent_at - (time or 0)
        if age >= -AHEAD_MS:
            if sent_at is not None:
                event.time, event.age = None, str(max(age, 0))
            return age <= back_ms
        event.time = None
        dropped.append("time")
    return event.age is None or int(event.age) <= back_ms


def _usable_props(value: object) -> dict[str, str] | None:
    """Return the custom properties that can be used, as texts; None where the value holds no properties."""
    if value in ("", []):  # an empty array is PHP's empty object
        return {}
    if not isinstance(value, dict):
        return None
    usable: dict[str, str] = {}
    for name, prop in value.items():
        if isinstance(prop, bool):
            prop = "true" if prop else "false"
        if isinstance(prop, (str, int, float)):
            text = prop if isinstance(prop, str) else str(prop)
            if is_prop(name, text) and len(usable) < MAX_PROPS and prop not in _INFINITE:
                usable[name] = text
    return usable


def _count(value: Any) -> int:
    """Return how many properties were sent."""
    return sum(prop is not None for prop in value.values()) if isinstance(value, dict) else 0

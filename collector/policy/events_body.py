"""The body of a POST: inflated, split into single events, each judged by the table of fields and written again.

An event that is refused does not affect the others of its batch, and a field that is not in the table is not stored.
"""

import codecs
import re
import zlib
from typing import Any, Final

import msgspec
from msgspec.structs import astuple

from collector.contract.fields import MAX_PROPS, TABLE, is_prop, is_text, problem_with, text_of
from collector.contract.urls import is_url
from collector.policy import sent_event
from collector.policy.query import is_excessive, is_recent
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

_TIME: Final = [field.name for field in TABLE].index("time")
_AGE: Final = [field.name for field in TABLE].index("age")
_PROPS: Final = len(TABLE)
_SERVER_ONLY: Final = [field.server_only for field in TABLE]
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_ANY_TEXT: Final = [field.check is is_text for field in TABLE]
_MAX_CHARS: Final = [field.max_chars for field in TABLE]
_NAMES: Final = frozenset((*(field.name for field in TABLE), "props"))


class Event:
    """One event that is not refused."""

    __slots__ = ("_sent", "consent", "ip", "name", "site", "user_agent", "visitor_id")

    def __init__(self, sent: Any) -> None:
        self.site: str = sent.site or ""
        self.name: str = sent.event or ""
        """The event's name; empty: the default of its route."""
        self.consent: str = sent.consent or ""
        """As in a query string: "1", "0", another text, or empty."""
        self.visitor_id: str = sent.visitor_id or ""
        """This and the next two: what a server says of its visitor."""
        self.ip: str = sent.ip or ""
        self.user_agent: str = sent.user_agent or ""
        self._sent = sent

    def unusable(self) -> list[str]:
        """Return the names of the fields whose values cannot be used; the enricher leaves them empty."""
        names: list[str] = []
        for name in _ADDRESSES:
            text = getattr(self._sent, name)
            if text and not is_url(text):
                names.append(name)
        return names

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
        sent.site = sent.consent = None
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
    except _UNREADABLE:
        try:
            events = _decoded(repaired(text))
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
        value = decode_any(text)
        if isinstance(value, str):  # JSON in a JSON string, as old libraries make of an array
            value = decode_any(value)
        return _any(value)


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
    for at, field in enumerate(TABLE):
        value = values[at]
        if value is not None:
            if value == "":
                setattr(event, field.name, None)
            else:
                if _SERVER_ONLY[at] and not server:
                    return Refusal.BAD_BODY
                if isinstance(value, str):
                    text = value
                else:
                    made = text_of(field, value)
                    if made is None:
                        return Refusal(field.type_reason)
                    text = made
                    setattr(event, field.name, text)
                if (not _ANY_TEXT[at] or len(text) > _MAX_CHARS[at]) and (problem := problem_with(field, text)):
                    return Refusal(problem)
                if at == _TIME and not is_recent(text, now_ms, back_ms):
                    return Refusal.BAD_TIME
                if at == _AGE and int(text) > back_ms:
                    return Refusal.BAD_TIME
    props = values[_PROPS]
    if props is not None:
        usable = _props(props)
        if isinstance(usable, Refusal):
            return usable
        event.props = usable
    return Event(event)


def _props(value: object) -> dict[str, str] | Refusal | None:
    """Return custom properties as texts; None where there are none."""
    if value in ("", []):  # an empty array is PHP's empty object
        return None
    if not isinstance(value, dict) or len(value) > MAX_PROPS:
        return Refusal.BAD_PROPS
    usable: dict[str, str] = {}
    for name, prop in value.items():
        if prop is None:
            continue
        if isinstance(prop, bool):
            prop = "true" if prop else "false"
        if not isinstance(prop, (str, int, float)):
            return Refusal.BAD_PROPS
        text = prop if isinstance(prop, str) else str(prop)
        if not is_prop(name, text):
            return Refusal.BAD_PROPS
        usable[name] = text
    return usable or None

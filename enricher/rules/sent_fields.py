"""What the sender said: a hit's query string or JSON body, read into one vocabulary.

Rule: the collector has judged the form; what cannot be meant all the same is refused by name, never guessed at.
Longer than most modules: both vocabularies, the query's and the body's, stand side by side to stay one.
"""

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import astuple

from collector.contract import Kind
from enricher.contract import DeadReason
from enricher.rules.cache import Cache, Memory, remember_texts
from enricher.rules.json_body import MAX_PROP_NAME, MAX_PROP_VALUE, MAX_PROPS
from enricher.rules.json_body import decode as read_body
from enricher.rules.redaction import mask_email
from enricher.rules.url import Pairs, decode, decode_form

Scalar = str | int | float | bool | None

DEFAULT_EVENT: Final = {"pixel": "pageview", "tag": "pageview", "server": "pageview", "open": "open", "click": "click"}

_EVENT: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_VALUE: Final = re.compile(r"[+-]?\d{1,14}(?:\.\d{0,4})?")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_LATEST_MS: Final = 9_000_000_000_000
"""The year 2255, within DateTime64(3)."""


class Refusal(NamedTuple):
    """Why a hit cannot become an event."""

    reason: DeadReason
    detail: str
    """For people; quotes nothing that the sender wrote."""


class Refused(Exception):
    """What is said cannot be meant; carries the Refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


PageView = tuple[str, str, str]
"""What was looked at: the page's address (`url`, or what the Referer names where that is the page's own), the referrer
(a click's defaults to the Referer), the title. As sent, decoded; empty means "not said"."""


class Extras(NamedTuple):
    """What few hits say; empty means "not said"."""

    value: str
    """Decimal text with at most 4 decimals."""
    currency: str
    occurred_ms: int
    """0: not said."""
    message_id: str
    list_id: str
    link_code: str
    click_id: str
    own: Pairs
    """The query's parameters that are none of the vocabulary: a campaign may stand there."""


SentFields = tuple[str, str, PageView, str, str, dict[str, str], Extras | None]
"""One event in its sender's words, decoded, as SENT_FIELDS names them; empty means "not said".

A plain tuple: made for each hit, a NamedTuple would take four times as long.
"""
SENT_FIELDS: Final = ("event", "url", "look", "client_event_id", "user_id", "props", "rest")

NO_EXTRAS: Final = Extras("", "", 0, "", "", "", "", ())
_NO_PROPS: Final[dict[str, str]] = {}


_BODY_REASON: Final[dict[str, DeadReason]] = {
    "event": "bad_event",
    "url": "bad_url",
    "referrer": "bad_url",
    "value": "bad_value",
    "currency": "bad_value",
    "time": "bad_time",
    "props": "bad_props",
}
_PLACES: Final = {
    name: place for place, name in enumerate(("e", "u", "r", "t", "id", "uid", "v", "c", "ts", "m", "l", "", "s"))
} | {"n": 12}
_PROBLEM: Final = 11
"""Place of what is wrong with a custom property."""
_PASSED_OVER: Final = 12
"""Place of what the collector alone needs: site and cache buster."""
_EMPTY: Final = [""] * 13
_PROP: Final = -1
_OTHER: Final = -2
_RECURRING: Final = frozenset({"s", "e", "u", "r", "t", "c", "m", "l", "n"})
"""Parameters that many hits share; any other is likely to be new with each hit."""
_NOT_SENT: Final = (None, "")
_ID_IS: Final = '"id":"'
_ID_PLACEHOLDER: Final = "\0"
"""Stands in no JSON as it is."""
_BY_QUERY: Final = frozenset({"pixel", "open"})
_BAD_EVENT: Final = Refusal("bad_event", "event: not 1-64 of [A-Za-z0-9_.:-]")
_BAD_TIME: Final = Refusal("bad_time", "time: neither RFC 3339 nor epoch milliseconds")
_TITLE_LONGEST: Final = 512


Parameter = tuple[int, str, str]
"""Of a query: its place in _PLACES, _PROP or _OTHER; name, and value decoded."""


class _Parameters(Cache[str, Parameter]):
    """A query's parameters by their text, "u=https%3A%2F%2F..."; only those are remembered that recur."""

    def __init__(self) -> None:
        super().__init__(_parameter, entries=100_000, max_bytes=16 << 20, size=len, recurs=True)

    def _answer(self, parameter: str) -> Parameter:
        name, equals, text = parameter.partition("=")
        if name in _RECURRING:
            return super()._answer(parameter)
        if name[:2] != "x." or not equals:
            return _parameter(parameter)
        if "%" in parameter or "+" in parameter:
            name, text = decode_form(name), decode_form(text)
        return _prop(name[2:], text)


class Reader:
    """Reads hits; remembers what recurs: event names, parameters, queries of page views, a tag's bodies but for ids."""

    def __init__(self) -> None:
        self.queries: Memory[str, SentFields] = Memory(
            entries=100_000, max_bytes=16 << 20, size=lambda query: 2 * len(query), recurs=True
        )
        self.bodies: Memory[str, SentFields] = Memory(
            entries=100_000,
            max_bytes=16 << 20,
            size=lambda form: 8 * len(form),  # the objects that properties are take their share
            max_key_bytes=16_384,
            recurs=True,
        )
        self.parameters = _Parameters()
        self.events = remember_texts(_event, 1)

    def read(self, kind: Kind, query: str, body: str, referer: str) -> SentFields:
        """Read what a hit says.

        Raises:
            Refused: it cannot be meant.
        """
        return self._of_query(kind, query, referer) if kind in _BY_QUERY else self._of_body(kind, body, referer)

    def _of_query(self, kind: Kind, query: str, referer: str) -> SentFields:
        viewed = kind == "pixel"
        if viewed:
            known = self.queries.recall(query)
            if known is not None:
                return known
        values = _EMPTY.copy()
        props: dict[str, str] = {}
        others: list[tuple[str, str]] = []
        # Backwards, so that of a name given twice the first value stands.
        for parameter in query.split("&")[::-1]:
            place, name, text = self.parameters[parameter]
            if place >= 0:
                values[place] = text
            elif place == _PROP:
                props[name] = text
            else:
                others.append((name, text))
        event, url, referrer, title, client_id, user_id, value, currency, time, message, mailing, problem, _ = values
        if problem or len(props) > MAX_PROPS:
            raise Refused(Refusal("bad_props", problem or f"props: more than {MAX_PROPS}"))
        event = self._event(event, kind)
        rest = None
        if value or currency or time or message or mailing or others:
            value, currency = _money(value, currency)
            moment = _moment(time)
            rest = Extras(value, currency, moment, message, mailing, "", "", tuple(others[::-1]))
        look = (url or referer, referrer, title)
        said: SentFields = (event, url, look, client_id, user_id, props, rest)
        if viewed and url and rest is None and not (client_id or user_id or props):
            self.queries.keep(query, said)
        return said

    def _of_body(self, kind: Kind, text: str, referer: str) -> SentFields:
        if kind != "tag":
            return self._of_json(kind, text, referer)
        form, sent_id = _split_at_id(text)
        known = self.bodies.recall(form) if form else None
        if known is not None:
            event, url, look, _, user_id, props, rest = known
            return event, url, look, sent_id, user_id, props, rest
        said = self._of_json(kind, text, referer)
        if form and self.bodies.wants(form) and self._is_id(form, said, sent_id, referer):
            self.bodies.hold(form, said)
        return said

    def _is_id(self, form: str, said: SentFields, sent_id: str, referer: str) -> bool:
        """Tell whether what stands in the gap of a tag's `form` is the id, and that alone, whatever the Referer."""
        event, url, look, found_id, user_id, props, rest = said
        if found_id != sent_id or not url:
            return False
        another_id = f"not-{sent_id}"
        try:
            other = self._of_json("tag", form.replace(_ID_PLACEHOLDER, another_id), referer)
        except Refused:
            return False
        return other == (event, url, look, another_id, user_id, props, rest)

    def _of_json(self, kind: Kind, text: str, referer: str) -> SentFields:
        try:
            body = read_body(text)
        except msgspec.ValidationError as error:
            field = str(error).rpartition("`$.")[2].rstrip("`").partition(".")[0].partition("[")[0]
            problem = f"body: {field or 'not an object'} of a wrong type or size"
            raise Refused(Refusal(_BODY_REASON.get(field, "undecodable"), problem)) from None
        except (msgspec.DecodeError, UnicodeError):
            raise Refused(Refusal("undecodable", "body: not JSON")) from None
        event, url, referrer, title, sent_id, sent_user, sent_value, currency, time, sent_props, code, click = astuple(
            body
        )
        event = self._event(event, kind)
        rest = None
        if sent_value is not None or currency or time not in _NOT_SENT or code or click:
            value, currency = _money(_text(sent_value), currency or "")
            rest = Extras(value, currency, _moment(_text(time)), "", "", code or "", click or "", ())
        props = sent_props or _NO_PROPS
        for each in props.values():
            if not isinstance(each, str):
                props = {name: _text(any_kind) for name, any_kind in props.items()}
                break
        page = url = url or ""
        if kind == "tag":
            page = url or referer
        elif kind == "click":
            referrer = referrer or referer
        look = (page, referrer or "", title or "")
        return event, url, look, _text(sent_id), _text(sent_user), props, rest

    def _event(self, sent: str | None, kind: Kind) -> str:
        event = self.events[sent] if sent else DEFAULT_EVENT[kind]
        if not event:
            raise Refused(_BAD_EVENT)
        return event


def _split_at_id(text: str) -> tuple[str, str]:
    """Return a body with a gap in place of its `id`, and the `id`; nothing where that stands in another form."""
    before, _, rest = text.partition(_ID_IS)
    sent_id, _, after = rest.partition('"')
    if not after or not sent_id.isprintable() or "\\" in sent_id:
        return "", ""
    return f'{before}{_ID_IS}{_ID_PLACEHOLDER}"{after}', sent_id


def _event(text: str) -> str:
    return text if _EVENT.fullmatch(text) else ""


def tidy_title(title: str) -> str:
    """Return a title on one line, e-mail addresses masked, bounded."""
    return mask_email(" ".join(title.split()))[:_TITLE_LONGEST]


def _parameter(parameter: str) -> Parameter:
    """Read a parameter as its name wants it read; one that is not meant for us, or has no value, is passed over."""
    name, equals, text = parameter.partition("=")
    place = _PLACES.get(name, _OTHER) if equals and name else _PASSED_OVER
    if place == _OTHER:
        name = decode_form(name)
        if name[:2] == "x.":
            return _prop(name[2:], decode_form(text))
    match name:
        case "e":
            pass
        case "u" | "r" | "ts":
            text = decode(text)
        case "m" | "l":
            text = mask_email(decode_form(text))
        case _:
            text = decode_form(text)
    return place, name, text


def _prop(name: str, text: str) -> Parameter:
    """Read a custom property; a name or a value that is too long is a problem of the whole hit."""
    if not 0 < len(name) <= MAX_PROP_NAME:
        return _PROBLEM, name, f"props: a name not of 1-{MAX_PROP_NAME} characters"
    if len(text) > MAX_PROP_VALUE:
        return _PROBLEM, name, f"props: a value longer than {MAX_PROP_VALUE} characters"
    return _PROP, name, text


def _money(value: str, currency: str) -> tuple[str, str]:
    value, currency = value.strip(), currency.strip().upper()
    if value and not _VALUE.fullmatch(value):
        rounded = _rounded(value)
        if rounded is None:
            raise Refused(Refusal("bad_value", "value: not a decimal number below 10^14"))
        value = rounded
    if currency and not _CURRENCY.fullmatch(currency):
        raise Refused(Refusal("bad_value", "currency: not three letters"))
    return value, currency


def _moment(time: str) -> int:
    """Return milliseconds since the epoch; 0 where nothing is said."""
    if not time:
        return 0
    moment = milliseconds(time)
    if moment is None:
        raise Refused(_BAD_TIME)
    return moment


def _text(scalar: Scalar) -> str:
    if scalar is None:
        return ""
    if isinstance(scalar, str):
        return scalar
    if isinstance(scalar, bool):
        return "true" if scalar else "false"
    return format(scalar, "f").rstrip("0").rstrip(".") if isinstance(scalar, float) else str(scalar)


def _rounded(value: str) -> str | None:
    """Return `value` with four decimals, rounded half to even; None for what is no number that fits."""
    try:
        number = Decimal(value)
        if not number.is_finite() or abs(number) >= 10**14:
            return None
        return f"{number.quantize(Decimal('0.0001')):f}"
    except InvalidOperation:
        return None


def milliseconds(time: str) -> int | None:
    """Read RFC 3339 (a zone is needed) or epoch milliseconds; None for anything else, or beyond the year 2255."""
    text = time.strip()
    if text.isascii() and text.isdigit():
        moment = int(text) if len(text) <= 13 else _LATEST_MS
        return moment if 0 < moment < _LATEST_MS else None
    if len(text) > 6 and text[-6] == " ":  # a plus sign that a form made a space
        text = f"{text[:-6]}+{text[-5:]}"
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    if read.tzinfo is None or len(text) < 16 or read.year < 1971 or read.year > 2200:
        return None
    return round((read - _EPOCH).total_seconds() * 1000)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

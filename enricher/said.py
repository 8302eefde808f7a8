"""What the sender said: a hit's query string or JSON body, read into one vocabulary.

Rule: the collector has judged the form; what cannot be meant all the same is refused by name, never guessed at.
Longer than most modules: both vocabularies, the query's and the body's, stand side by side to stay one.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import astuple

from collector.contract import Hit
from enricher.body import MAX_PROP_NAME, MAX_PROP_VALUE, MAX_PROPS
from enricher.body import decode as read_body
from enricher.cache import Cache, remember_texts
from enricher.contract import DeadReason
from enricher.personal import mask_email
from enricher.url import Pairs, decode, decode_form

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


class Said(NamedTuple):
    """One event in its sender's words, decoded; empty means "not said"."""

    event: str
    url: str
    page: str
    """`url`, or the page that the Referer names, where that is the page's own."""
    referrer: str
    """A click's defaults to the Referer."""
    title: str
    """Tidied."""
    client_event_id: str
    user_id: str
    value: str
    """Decimal text with at most 4 decimals."""
    currency: str
    occurred_ms: int
    """0: not said."""
    props: dict[str, str]
    message_id: str
    list_id: str
    link_code: str
    click_id: str
    own: Pairs
    """The query's parameters that are none of the vocabulary: a campaign may stand there."""


NOTHING: Final = Said("", "", "", "", "", "", "", "", "", 0, {}, "", "", "", "", ())


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
_RECURRING: Final = frozenset({"s", "e", "u", "r", "t", "c", "m", "l"})
"""Parameters that many hits share; any other is likely to be new with each hit."""
_ALL_TEXT: Final = {str}
_BY_QUERY: Final = frozenset({"pixel", "open"})
_BAD_EVENT: Final = Refusal("bad_event", "event: not 1-64 of [A-Za-z0-9_.:-]")
_BAD_TIME: Final = Refusal("bad_time", "time: neither RFC 3339 nor epoch milliseconds")
_TITLE_LONGEST: Final = 512


Parameter = tuple[int, str, str]
"""Of a query: its place in _PLACES, _PROP or _OTHER; name, and value decoded."""


class _Parameters(Cache[str, Parameter]):
    """A query's parameters by their text, "u=https%3A%2F%2F..."; only those are remembered that recur."""

    def __init__(self) -> None:
        super().__init__(_parameter, entries=100_000, max_bytes=32 << 20, size=len)

    def __missing__(self, parameter: str) -> Parameter:
        name, equals, text = parameter.partition("=")
        if name in _RECURRING:
            return super().__missing__(parameter)
        if name[:2] != "x." or not equals:
            return _parameter(parameter)
        if "%" in parameter or "+" in parameter:
            name, text = decode_form(name), decode_form(text)
        return _prop(name[2:], text)


class Reader:
    """Reads hits; remembers what recurs: addresses, titles and event names."""

    def __init__(self) -> None:
        self.parameters = _Parameters()
        self.titles = remember_texts(tidy_title, 8)
        self.events = remember_texts(_event, 1)

    def read(self, hit: Hit) -> Said | Refusal:
        """Read what `hit` says."""
        return self.read_all([hit])[0]

    def read_all(self, hits: Sequence[Hit]) -> list[Said | Refusal]:
        """Read what each of `hits` says."""
        return [self._of_query(hit) if hit.kind in _BY_QUERY else self._of_body(hit) for hit in hits]

    def _of_query(self, hit: Hit) -> Said | Refusal:
        values = _EMPTY.copy()
        props: dict[str, str] = {}
        others: list[tuple[str, str]] = []
        # Backwards, so that of a name given twice the first value stands.
        for place, name, text in map(self.parameters.__getitem__, hit.query.split("&")[::-1]):
            if place >= 0:
                values[place] = text
            elif place == _PROP:
                props[name] = text
            else:
                others.append((name, text))
        event, url, referrer, title, client_id, user_id, value, currency, time, message, mailing, problem, _ = values
        if problem or len(props) > MAX_PROPS:
            return Refusal("bad_props", problem or f"props: more than {MAX_PROPS}")
        event = self.events[event] if event else DEFAULT_EVENT[hit.kind]
        if not event:
            return _BAD_EVENT
        if value or currency:
            money = _money(value, currency)
            if isinstance(money, Refusal):
                return money
            value, currency = money
        occurred = 0
        if time:
            moment = milliseconds(time)
            if moment is None:
                return _BAD_TIME
            occurred = moment
        page = url or hit.referer
        own = tuple(others[::-1])
        # fmt: off
        return tuple.__new__(Said, (
            event, url, page, referrer, title, client_id, user_id, value, currency, occurred, props,
            message, mailing, "", "", own,
        ))
        # fmt: on

    def _of_body(self, hit: Hit) -> Said | Refusal:
        try:
            body = read_body(hit.body)
        except msgspec.ValidationError as error:
            field = str(error).rpartition("`$.")[2].rstrip("`").partition(".")[0].partition("[")[0]
            return Refusal(
                _BODY_REASON.get(field, "undecodable"), f"body: {field or 'not an object'} of a wrong type or size"
            )
        except (msgspec.DecodeError, UnicodeError):
            return Refusal("undecodable", "body: not JSON")
        event, url, referrer, title, sent_id, sent_user, sent_value, currency, time, sent_props, code, click = astuple(
            body
        )
        event = self.events[event] if event else DEFAULT_EVENT[hit.kind]
        if not event:
            return _BAD_EVENT
        value, currency = "", currency or ""
        if sent_value is not None or currency:
            money = _money(_text(sent_value), currency)
            if isinstance(money, Refusal):
                return money
            value, currency = money
        occurred = 0
        if time is not None and time != "":
            moment = milliseconds(_text(time))
            if moment is None:
                return _BAD_TIME
            occurred = moment
        props = sent_props or NOTHING.props
        if props and {*map(type, props.values())} != _ALL_TEXT:
            props = {name: _text(each) for name, each in props.items()}
        page = url = url or ""
        if hit.kind == "tag":
            page = url or hit.referer
        elif hit.kind == "click":
            referrer = referrer or hit.referer
        # fmt: off
        return tuple.__new__(Said, (
            event, url, page, referrer or "", self.titles[title] if title else "", _text(sent_id),
            _text(sent_user), value, currency, occurred, props, "", "", code or "", click or "", (),
        ))
        # fmt: on


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
        case "t":
            text = tidy_title(decode_form(text))
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


class _Money(NamedTuple):
    """A value and its currency; a class of its own, for a compiler may take a plain pair and a Refusal for one type."""

    value: str
    currency: str


def _money(value: str, currency: str) -> _Money | Refusal:
    value, currency = value.strip(), currency.strip().upper()
    if value and not _VALUE.fullmatch(value):
        rounded = _rounded(value)
        if rounded is None:
            return Refusal("bad_value", "value: not a decimal number below 10^14")
        value = rounded
    if currency and not _CURRENCY.fullmatch(currency):
        return Refusal("bad_value", "currency: not three letters")
    return _Money(value, currency)


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

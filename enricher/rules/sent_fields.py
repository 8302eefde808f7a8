"""Reads what a sender wrote: a hit's query string or JSON body, both into the same fields.

A field that cannot be used is left empty and named in `Extras.dropped`; it never costs the event. Longer than most
modules: the names of the query and those of the body are read next to each other, so that both mean the same.
"""

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import astuple

from collector.contract import Kind
from collector.contract.fields import (
    DEFAULT_EVENT,
    MAX_PROPS,
    MAX_TEXT,
    SECONDS_BELOW,
    is_age,
    is_currency,
    is_event,
    is_prop,
)
from enricher.contract import DeadReason
from enricher.rules.cache import Cache, Memory, remember_texts
from enricher.rules.json_body import NotAnEvent, decode_usable
from enricher.rules.json_body import decode as decode_body
from enricher.rules.redaction import mask_email
from enricher.rules.url import Pairs, decode, decode_form, without_amp

Scalar = str | int | float | bool | None

_VALUE: Final = re.compile(r"[+-]?\d{1,14}(?:\.\d{0,4})?", re.ASCII)
_VALUE_LONGEST: Final = 400
"""Characters of a value that are read: the longest float that JSON can write has 326 as a decimal."""
_LATEST_MS: Final = 9_000_000_000_000
"""The year 2255, within DateTime64(3)."""
_TIME_LONGEST: Final = 64
_SECONDS_SHORTEST: Final = 9
"""Digits of a time in seconds; the collector takes no number with fewer digits."""


class Refusal(NamedTuple):
    """Why a record cannot become an event. Only our own stages can cause it, never a sender."""

    reason: DeadReason
    detail: str
    """For people; quotes nothing that the sender wrote."""


class Refused(Exception):
    """The hit cannot become an event; carries the Refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


PageView = tuple[str, str, str]
"""The page's address (`url`, or the Referer if that is the page's own), the referrer (a click's defaults to the
Referer), the title. As sent, decoded; an empty text was not sent."""


class Extras(NamedTuple):
    """The fields that few hits have; an empty field was not sent."""

    value: str
    """Decimal text with at most 4 decimals."""
    currency: str
    occurred_ms: int
    """0 if not sent."""
    message_id: str
    list_id: str
    link_code: str
    click_id: str
    own: Pairs
    """The query's parameters that are not ours: they may name a campaign."""
    age_ms: int
    """From the event to its receipt; 0 if not sent."""
    webdriver: bool
    """A program drives the browser."""
    dropped: tuple[str, ...]
    """Sent and not usable, by their names in a JSON body. Page and referrer are not checked here."""


SentFields = tuple[str, str, PageView, str, str, dict[str, str], Extras | None]
"""One event as its sender wrote it, decoded, in the order of SENT_FIELDS; an empty field was not sent.

A plain tuple: one is made for each hit, and a NamedTuple would take four times as long.
"""
SENT_FIELDS: Final = ("event", "url", "view", "client_event_id", "user_id", "props", "extras")

NO_EXTRAS: Final = Extras("", "", 0, "", "", "", "", (), 0, False, ())
_NO_PROPS: Final[dict[str, str]] = {}

_PLACES: Final = {
    name: place
    for place, name in enumerate(("e", "u", "r", "t", "id", "uid", "v", "c", "ts", "m", "l", "a", "w", "", "s"))
} | {"n": 14}
_BAD_PROP: Final = 13
"""Place of a custom property that is not usable."""
_IGNORED: Final = 14
"""Place of the parameters that only the collector reads: site, consent and cache buster."""
_EMPTY: Final = [""] * 15
_PROP: Final = -1
_OTHER: Final = -2
_RECURRING: Final = frozenset({"s", "e", "u", "r", "t", "c", "m", "l", "n"})
"""Parameters that many hits share; any other is likely to be new with each hit."""
_NOT_SENT: Final = (None, "")
_ID_IS: Final = '"id":"'
_ID_PLACEHOLDER: Final = "\0"
"""Occurs in no JSON text."""
_BY_QUERY: Final = frozenset({"pixel", "open"})
_TITLE_LONGEST: Final = 512


Parameter = tuple[int, str, str]
"""Of a query: its place in _PLACES, _PROP or _OTHER; name, and value decoded."""


class _Parameters(Cache[str, Parameter]):
    """A query's parameters by their text, "u=https%3A%2F%2F..."; only the recurring ones are cached."""

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
    """Reads hits. Caches event names, recurring parameters, queries of page views, and a tag's bodies without ids."""

    def __init__(self) -> None:
        self.queries: Memory[str, SentFields] = Memory(
            entries=100_000, max_bytes=16 << 20, size=lambda query: 2 * len(query), recurs=True
        )
        self.bodies: Memory[str, SentFields] = Memory(
            entries=100_000,
            max_bytes=16 << 20,
            size=lambda form: 8 * len(form),  # includes the objects that properties are
            max_key_bytes=16_384,
            recurs=True,
        )
        self.parameters = _Parameters()
        self.events = remember_texts(_event, 1)

    def read(self, kind: Kind, query: str, body: str, referer: str) -> SentFields:
        """Read the fields of a hit.

        Raises:
            Refused: the body is not a JSON object, which no collector writes.
        """
        return self._of_query(kind, query, referer) if kind in _BY_QUERY else self._of_body(kind, body, referer)

    def _of_query(self, kind: Kind, query: str, referer: str) -> SentFields:
        cacheable = kind == "pixel"
        if cacheable:
            known = self.queries.recall(query)
            if known is not None:
                return known
        values = _EMPTY.copy()
        props: dict[str, str] = {}
        others: list[tuple[str, str]] = []
        # Backwards, so that of a name given twice the first value wins.
        for parameter in query.split("&")[::-1]:
            if not parameter or (parameter[-1] == "=" and parameter.find("=") == len(parameter) - 1):
                continue
            place, name, text = self.parameters[parameter]
            if place >= 0:
                values[place] = text
            elif place == _PROP:
                props[name] = text
            else:
                others.append((name, text))
        (
            event, url, referrer, title, client_id, user_id, value, currency, time, message, mailing, age, webdriver,
            bad_prop, _,
        ) = values  # fmt: skip
        dropped: tuple[str, ...] = ("props",) if bad_prop else ()
        if len(props) > MAX_PROPS:
            props = dict(list(props.items())[-MAX_PROPS:])
            dropped = ("props",)
        if event:
            event = self.events[event]
            if not event:
                dropped += ("event",)
        else:
            event = DEFAULT_EVENT[kind]
        extras = None
        if value or currency or time or message or mailing or age or webdriver or others or dropped:
            own = tuple(others[::-1])
            extras = _extras(value, currency, time, message, mailing, "", "", own, age, webdriver, dropped)
        view = (url or referer, referrer, title)
        sent: SentFields = (event, url, view, client_id, user_id, props, extras)
        if cacheable and url and extras is None and not (client_id or user_id or props):
            self.queries.keep(query, sent)
        return sent

    def _of_body(self, kind: Kind, text: str, referer: str) -> SentFields:
        if kind != "tag":
            return self._of_json(kind, text, referer)
        form, sent_id = _split_at_id(text)
        known = self.bodies.recall(form) if form else None
        if known is not None:
            event, url, view, _, user_id, props, extras = known
            return event, url, view, sent_id, user_id, props, extras
        sent = self._of_json(kind, text, referer)
        if form and self.bodies.wants(form) and self._is_id(form, sent, sent_id, referer):
            self.bodies.hold(form, sent)
        return sent

    def _is_id(self, form: str, sent: SentFields, sent_id: str, referer: str) -> bool:
        """Return whether another text at the placeholder of a tag's `form` changes the id and nothing else.

        If so, the fields of `form` may be used for any id and any Referer.
        """
        event, url, view, found_id, user_id, props, extras = sent
        if found_id != sent_id or not url:
            return False
        another_id = f"not-{sent_id}"
        try:
            other = self._of_json("tag", form.replace(_ID_PLACEHOLDER, another_id), referer)
        except Refused:
            return False
        return other == (event, url, view, another_id, user_id, props, extras)

    def _of_json(self, kind: Kind, text: str, referer: str) -> SentFields:
        dropped: tuple[str, ...] = ()
        try:
            body = decode_body(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            try:
                body, dropped = decode_usable(text)
            except NotAnEvent as why:
                raise Refused(Refusal("undecodable", f"body: {why}")) from None
        (
            event, url, referrer, title, sent_id, sent_value, currency, sent_user, time, age, webdriver,
            sent_props, code, click,
        ) = astuple(body)  # fmt: skip
        if event:
            event = self.events[event]
            if not event:
                dropped += ("event",)
        else:
            event = "" if "event" in dropped else DEFAULT_EVENT[kind]
        extras = None
        if sent_value is not None or currency or time not in _NOT_SENT or code or click or age or webdriver or dropped:
            money, when = _text(sent_value), _text(time)
            extras = _extras(
                money, currency or "", when, "", "", code or "", click or "", (), _text(age), _text(webdriver), dropped
            )
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
        view = (page, referrer or "", _text(title))
        return event, url, view, _text(sent_id), _text(sent_user), props, extras


def _split_at_id(text: str) -> tuple[str, str]:
    """Return a body with a placeholder for its `id`, and the `id`; two empty texts if it has another form."""
    before, _, rest = text.partition(_ID_IS)
    sent_id, _, after = rest.partition('"')
    if not after or not sent_id.isprintable() or "\\" in sent_id:
        return "", ""
    return f'{before}{_ID_IS}{_ID_PLACEHOLDER}"{after}', sent_id


def _event(text: str) -> str:
    return text if is_event(text) else ""


def tidy_title(title: str) -> str:
    """Return a title on one line, e-mail addresses masked, bounded."""
    return mask_email(" ".join(title[:MAX_TEXT].split()))[:_TITLE_LONGEST]


def _parameter(parameter: str) -> Parameter:
    """Decode a parameter as its name requires; one without a value is ignored."""
    name, equals, text = parameter.partition("=")
    place = _PLACES.get(name, _OTHER) if equals and name else _IGNORED
    if place == _OTHER:
        name = without_amp(decode_form(name))
        if name[:2] == "x.":
            return _prop(name[2:], decode_form(text))
        place = _PLACES.get(name, _OTHER)
    match name:
        case "u" | "r" | "ts":
            text = decode(text)
        case "m" | "l":
            text = mask_email(decode_form(text))
        case _:
            text = decode_form(text)
    return place, name, text


def _prop(name: str, text: str) -> Parameter:
    """Return a custom property, or _BAD_PROP if its name or value is too long."""
    if is_prop(name, text):
        return _PROP, name, text
    return _BAD_PROP, name, "bad"


def _extras(
    value: str,
    currency: str,
    time: str,
    message_id: str,
    list_id: str,
    link_code: str,
    click_id: str,
    own: Pairs,
    age: str,
    webdriver: str,
    dropped: tuple[str, ...],
) -> Extras:
    """Return the extras with unusable money and time left out, and named."""
    value, currency = value.strip(), currency.strip().upper()
    if value and not _VALUE.fullmatch(value):
        value = _rounded(value)
        if not value:
            dropped += ("value",)
    if currency and not is_currency(currency):
        currency = ""
        dropped += ("currency",)
    moment = milliseconds(time) if time else 0
    if moment is None:
        moment = 0
        dropped += ("time",)
    if age and not is_age(age):
        age = ""
        dropped += ("age",)
    return Extras(
        value, currency, moment, message_id, list_id, link_code, click_id, own, int(age or 0), webdriver == "1", dropped
    )


def _text(scalar: Scalar) -> str:
    if scalar is None:
        return ""
    if isinstance(scalar, str):
        return scalar
    if isinstance(scalar, bool):
        return "true" if scalar else "false"
    return format(scalar, "f").rstrip("0").rstrip(".") if isinstance(scalar, float) else str(scalar)


def _rounded(value: str) -> str:
    """Return `value` with four decimals, rounded half to even; empty if it is not a number or does not fit."""
    if len(value) > _VALUE_LONGEST:
        return ""
    try:
        number = Decimal(value).quantize(Decimal("0.0001"))
        return f"{number:f}" if number.is_finite() and abs(number) < 10**14 else ""
    except InvalidOperation:
        return ""


def milliseconds(time: str) -> int | None:
    """Read RFC 3339 (with a zone), epoch milliseconds or epoch seconds; None for anything else, or after 2200."""
    text = time.strip()
    if len(text) > _TIME_LONGEST:
        return None
    if text.isascii() and text.isdigit():
        moment = int(text)
        if len(text) >= _SECONDS_SHORTEST and moment < SECONDS_BELOW:
            moment *= 1000
        return moment if 0 < moment < _LATEST_MS else None
    if len(text) > 6 and text[-6] == " ":  # a plus sign that a form made a space
        text = f"{text[:-6]}+{text[-5:]}"
    try:
        read = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    if read.tzinfo is None or len(text) < 16 or read.year < 1971 or read.year > 2200:
        return None
    return round((read - _EPOCH).total_seconds() * 1000)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

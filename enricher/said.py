"""What the sender said: a hit's query string or JSON body, read into one vocabulary.

Rule: the collector has judged the form; what cannot be meant all the same is refused by name, never guessed at.
Longer than most modules: both vocabularies, the query's and the body's, stand side by side to stay one.
"""

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple

import msgspec

from collector.contract import Hit
from enricher.cache import remember_texts
from enricher.contract import DeadReason
from enricher.personal import mask_email
from enricher.url import Pairs, decode, decode_form

Scalar = str | int | float | bool | None

MAX_PROPS: Final = 32
MAX_PROP_NAME: Final = 64
MAX_PROP_VALUE: Final = 1024

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


class Said(msgspec.Struct, frozen=True, gc=False):
    """One event in its sender's words, decoded; empty means "not said"."""

    event: str
    url: str
    referrer: str
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
    message_id: str = ""
    list_id: str = ""
    link_code: str = ""
    click_id: str = ""
    own: Pairs = ()
    """The query's parameters that are none of the vocabulary: a campaign may stand there."""


class _Body(msgspec.Struct, frozen=True):
    event: str | None = None
    url: str | None = None
    referrer: str | None = None
    title: str | None = None
    id: str | int | None = None
    user_id: str | int | None = None
    value: str | int | float | None = None
    currency: str | None = None
    time: str | int | float | None = None
    props: dict[str, Scalar] | None = None
    link_code: str | None = None
    click_id: str | None = None


_body_decoder: Final = msgspec.json.Decoder(_Body)
_BODY_REASON: Final[dict[str, DeadReason]] = {
    "event": "bad_event",
    "url": "bad_url",
    "referrer": "bad_url",
    "value": "bad_value",
    "currency": "bad_value",
    "time": "bad_time",
    "props": "bad_props",
}
_NO_PROPS: Final[dict[str, str]] = {}
_NO_PAIRS: Final[Pairs] = ()
_BY_QUERY: Final = frozenset({"pixel", "open"})
_BAD_EVENT: Final = Refusal("bad_event", "event: not 1-64 of [A-Za-z0-9_.:-]")
_BAD_TIME: Final = Refusal("bad_time", "time: neither RFC 3339 nor epoch milliseconds")
_TITLE_LONGEST: Final = 512


class Reader:
    """Reads hits; remembers what recurs: addresses, titles and event names."""

    def __init__(self) -> None:
        self.urls = remember_texts(decode, 24)
        self.titles = remember_texts(tidy_title, 8)
        self.encoded_titles = remember_texts(lambda text: tidy_title(decode_form(text)), 8)
        self.events = remember_texts(_event, 1)

    def read(self, hit: Hit) -> Said | Refusal:
        """Read what `hit` says."""
        return self._of_query(hit) if hit.kind in _BY_QUERY else self._of_body(hit)

    def _of_query(self, hit: Hit) -> Said | Refusal:
        # Reversed, so that of a name given twice the first value stands.
        raw = dict([part.split("=", 1) for part in hit.query.split("&")[::-1] if "=" in part])
        take = raw.pop
        take("s", "")
        take("n", "")
        event = take("e", "")
        event = self.events[event] if event else DEFAULT_EVENT[hit.kind]
        if not event:
            return _BAD_EVENT
        url = take("u", "")
        referrer = take("r", "")
        title = take("t", "")
        client_id, user_id = take("id", ""), take("uid", "")
        message, mailing = take("m", ""), take("l", "")
        value, currency, time = take("v", ""), take("c", ""), take("ts", "")
        occurred = 0
        if value or currency:
            money = _money(decode_form(value), decode_form(currency))
            if isinstance(money, Refusal):
                return money
            value, currency = money
        if time:
            moment = milliseconds(decode(time))
            if moment is None:
                return _BAD_TIME
            occurred = moment
        props, own = _NO_PROPS, _NO_PAIRS
        if raw:
            props, own = _others(raw)
            if props:
                problem = _props_problem(props)
                if problem:
                    return Refusal("bad_props", problem)
        return Said(
            event,
            self.urls[url] if url else "",
            self.urls[referrer] if referrer else "",
            self.encoded_titles[title] if title else "",
            decode_form(client_id) if client_id else "",
            decode_form(user_id) if user_id else "",
            value,
            currency,
            occurred,
            props,
            mask_email(decode_form(message)) if message else "",
            mask_email(decode_form(mailing)) if mailing else "",
            "",
            "",
            own,
        )

    def _of_body(self, hit: Hit) -> Said | Refusal:
        try:
            body = _body_decoder.decode(hit.body)
        except msgspec.ValidationError as error:
            field = str(error).rpartition("`$.")[2].rstrip("`").partition(".")[0].partition("[")[0]
            return Refusal(_BODY_REASON.get(field, "undecodable"), f"body: {field or 'not an object'} of a wrong type")
        except (msgspec.DecodeError, UnicodeError):
            return Refusal("undecodable", "body: not JSON")
        event = self.events[body.event] if body.event else DEFAULT_EVENT[hit.kind]
        if not event:
            return _BAD_EVENT
        value = currency = ""
        if body.value is not None or body.currency:
            money = _money(_text(body.value), body.currency or "")
            if isinstance(money, Refusal):
                return money
            value, currency = money
        occurred = 0
        if body.time is not None and body.time != "":
            moment = milliseconds(_text(body.time))
            if moment is None:
                return _BAD_TIME
            occurred = moment
        props = _NO_PROPS
        if body.props:
            props = {name: each if type(each) is str else _text(each) for name, each in body.props.items()}
            problem = _props_problem(props)
            if problem:
                return Refusal("bad_props", problem)
        return Said(
            event,
            body.url or "",
            body.referrer or "",
            self.titles[body.title] if body.title else "",
            _text(body.id),
            _text(body.user_id),
            value,
            currency,
            occurred,
            props,
            "",
            "",
            body.link_code or "",
            body.click_id or "",
        )


def _event(text: str) -> str:
    return text if _EVENT.fullmatch(text) else ""


def tidy_title(title: str) -> str:
    """Return a title on one line, e-mail addresses masked, bounded."""
    return mask_email(" ".join(title.split()))[:_TITLE_LONGEST]


def _others(raw: dict[str, str]) -> tuple[dict[str, str], Pairs]:
    props: dict[str, str] = {}
    own: list[tuple[str, str]] = []
    for name, text in raw.items():
        if "%" in name or "+" in name:
            name = decode_form(name)
        if "%" in text or "+" in text:
            text = decode_form(text)
        if name[:2] == "x.":
            props[name[2:]] = text
        elif name:
            own.append((name, text))
    return props, tuple(own[::-1])


def _money(value: str, currency: str) -> tuple[str, str] | Refusal:
    value, currency = value.strip(), currency.strip().upper()
    if value and not _VALUE.fullmatch(value):
        rounded = _rounded(value)
        if rounded is None:
            return Refusal("bad_value", "value: not a decimal number below 10^14")
        value = rounded
    if currency and not _CURRENCY.fullmatch(currency):
        return Refusal("bad_value", "currency: not three letters")
    return value, currency


def _text(scalar: Scalar) -> str:
    if isinstance(scalar, str):
        return scalar
    if scalar is None:
        return ""
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


def _props_problem(props: dict[str, str]) -> str:
    if len(props) > MAX_PROPS:
        return f"props: more than {MAX_PROPS}"
    for name, value in props.items():
        if not 0 < len(name) <= MAX_PROP_NAME:
            return f"props: a name not of 1-{MAX_PROP_NAME} characters"
        if len(value) > MAX_PROP_VALUE:
            return f"props: a value longer than {MAX_PROP_VALUE} characters"
    return ""

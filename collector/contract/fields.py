"""The fields that a sender may set: one table, by which the collector judges and the enricher reads.

Each row gives a field's name in JSON, its name in a query string, and the check of a usable value. Another value costs
the field alone: the event is stored without it, and the answer names it. Only the fields that identify an event (site,
name, id) refuse it. A value arrives as text; JSON numbers and booleans are made text first (`text_of`). An empty value
means "not sent".

To add a field that becomes a column: a row here, its reading in enricher/rules/sent_fields.py, the column in
enricher/contract.py and enricher/row/enrich.py, and a migration in sink/schema. CONTRIBUTING.md has the whole list.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, Literal, NamedTuple

from collector.contract.hit import Kind

MAX_TEXT: Final = 8192
"""Characters of a URL, referrer or title: as many as fit a pixel's request line."""
MAX_ID: Final = 256
"""Characters of an id of the sender's own."""
MAX_VISITOR_ID: Final = 128
MAX_PROPS: Final = 32
MAX_PROP_NAME: Final = 64
MAX_PROP_VALUE: Final = 1024

DEFAULT_EVENT: Final[Mapping[Kind, str]] = {
    "pixel": "pageview",
    "tag": "pageview",
    "server": "pageview",
    "open": "open",
    "click": "click",
}
"""The name of an event that was sent without one, by the kind of its hit."""

Reason = Literal["", "unknown_site", "bad_event", "bad_id"]

_EVENT: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_VALUE: Final = re.compile(r"[+-]?[0-9]{1,14}(?:\.[0-9]{1,300})?")
_CURRENCY: Final = re.compile(r"[A-Za-z]{3}")
_EPOCH: Final = re.compile(r"[0-9]{9,14}")
SECONDS_BELOW: Final = 10**11
"""A smaller number is a time in seconds, others in milliseconds: the year 5138 in seconds, 1973 in milliseconds."""
_AGE: Final = re.compile(r"[0-9]{1,12}")


def is_event(text: str) -> bool:
    """Tell whether this can be an event's name."""
    return _EVENT.fullmatch(text) is not None


def is_text(_: str) -> bool:
    """Tell that any text can be used."""
    return True


def is_email(text: str) -> bool:
    """Tell whether this has the form of an e-mail address. Takes time in proportion to the text's length."""
    text = text.strip()
    local, at, domain = text.partition("@")
    return bool(local and at) and "@" not in domain and "." in domain[1:-1] and len(text.split(None, 1)) == 1


def is_user_id(text: str) -> bool:
    """Tell whether this can be the site's own id of a user: an e-mail address cannot."""
    return len(text) <= MAX_ID and not is_email(text)


def is_visitor_id(text: str) -> bool:
    """Tell whether this can be a server's own id of a visitor."""
    return not is_email(text)


def is_value(text: str) -> bool:
    """Tell whether this is decimal text that fits Decimal(18, 4) when it is rounded to four decimals."""
    return _VALUE.fullmatch(text) is not None


def is_currency(text: str) -> bool:
    """Tell whether this has the form of an ISO 4217 code."""
    return _CURRENCY.fullmatch(text) is not None


def is_time(text: str) -> bool:
    """Tell whether this is a time; whether it is recent enough is a question for who knows the present time."""
    return epoch_ms(text) is not None


def is_age(text: str) -> bool:
    """Tell whether this is an age in milliseconds; whether it is recent enough is for the site's bound to say."""
    return _AGE.fullmatch(text) is not None


def is_flag(text: str) -> bool:
    """Tell whether this is a yes or a no."""
    return text in ("1", "0")


def is_prop(name: str, text: str) -> bool:
    """Tell whether this can be a custom property."""
    return 0 < len(name) <= MAX_PROP_NAME and len(text) <= MAX_PROP_VALUE


def epoch_ms(text: str) -> int | None:
    """Return the epoch milliseconds of a text: RFC 3339, epoch milliseconds or epoch seconds; None for any other."""
    if _EPOCH.fullmatch(text):
        number = int(text)
        return number * 1000 if number < SECONDS_BELOW else number
    if len(text) < 20 or text[10] not in "Tt ":
        return None
    try:
        at = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    return None if at.tzinfo is None else int(at.timestamp() * 1000)


class Field(NamedTuple):
    """One row of the table."""

    name: str
    """In JSON."""
    query: str
    """In the query string of a pixel; empty: not in a query."""
    check: Callable[[str], bool]
    """Tells whether a text of at most `max_chars` can be used."""
    types: tuple[type, ...] = (str,)
    """JSON types that are read; a value of another type cannot be used."""
    reason: Reason = ""
    """An event with a value that cannot be used is refused for this; empty: it is stored without the field."""
    server_only: bool = False
    """Taken from `POST /v1/events` only."""
    max_chars: int = MAX_TEXT
    """A longer text cannot be used."""
    stored: bool = True
    """False: the collector alone needs it, or stores it in a field of the Hit. Else it is part of `query` or `body`."""
    otherwise: str = ""
    """Replaces a value that cannot be used; empty: the field is left out."""


TABLE: Final = (
    Field("site", "s", is_text, reason="unknown_site", stored=False),
    Field("event", "e", is_event, reason="bad_event"),
    Field("url", "u", is_text),
    Field("referrer", "r", is_text),
    Field("title", "t", is_text, (str, int)),
    Field("id", "id", is_text, (str, int), "bad_id", max_chars=MAX_ID),
    Field("value", "v", is_value, (str, int, float)),
    Field("currency", "c", is_currency),
    Field("user_id", "uid", is_user_id, (str, int)),
    Field("consent", "n", is_text, (str, int, bool), stored=False, otherwise="0"),
    Field("time", "ts", is_time, (str, int)),
    Field("age", "a", is_age, (str, int, float)),
    Field("webdriver", "w", is_flag, (str, int, bool)),
    Field("visitor_id", "", is_visitor_id, server_only=True, max_chars=MAX_VISITOR_ID, stored=False),
    Field("ip", "", is_text, server_only=True, stored=False),
    Field("user_agent", "", is_text, server_only=True, stored=False),
    Field("sent_at", "", is_time, (str, int), server_only=True, stored=False),
)
"""Custom properties (`props`, in a query `x.NAME`) are the one field that is not a text: see `is_prop`."""

BY_NAME: Final[Mapping[str, Field]] = {field.name: field for field in TABLE}
BY_QUERY: Final[Mapping[str, Field]] = {field.query: field for field in TABLE if field.query}

MAIL_QUERY: Final = ("m", "l")
"""In the query of a mail pixel: the message's id, and its list or campaign."""
CLICK_BODY: Final = ("link_code", "click_id")
"""In `Hit.body` of a click, set by the collector."""


def is_usable(field: Field, text: str) -> bool:
    """Tell whether a text of this field can be used."""
    return len(text) <= field.max_chars and field.check(text)


def text_of(field: Field, value: object) -> str | None:
    """Return a JSON value as the text that a query string would carry; None for a type that the field does not take."""
    kind = type(value)
    if kind not in field.types:
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        # A sum such as 0.1 + 0.2 is money; the digits after the fourth decimal are rounding noise of the float.
        return f"{value:.4f}".rstrip("0").rstrip(".") if abs(value) < 1e15 else None
    return str(value)

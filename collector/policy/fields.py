"""The form that a field must have at the door, for the query string and for JSON alike: a Refusal, or None when good.

Rule: the door judges form only; what a good form means is the enricher's question.
"""

import re
from datetime import datetime
from typing import Final

from collector.policy.refusal import Refusal

BACK_MS: Final = 72 * 3600 * 1000
AHEAD_MS: Final = 5 * 60 * 1000
MOST_PROPS: Final = 32
LONGEST_PROP_NAME: Final = 64
LONGEST_PROP: Final = 1024
LONGEST_ID: Final = 256

_EVENT = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_VALUE = re.compile(r"[+-]?[0-9]{1,14}(\.[0-9]{1,4})?")
_CURRENCY = re.compile(r"[A-Z]{3}")
_MILLISECONDS = re.compile(r"[0-9]{12,14}")


def event(text: str) -> Refusal | None:
    """An event name."""
    return None if _EVENT.fullmatch(text) else Refusal.BAD_EVENT


def user_id(text: str) -> Refusal | None:
    """The site's own user id: never an e-mail address."""
    return Refusal.BAD_USER_ID if len(text) > LONGEST_ID or _EMAIL.fullmatch(text.strip()) else None


def client_id(text: str) -> Refusal | None:
    """The sender's own event id."""
    return Refusal.TOO_LONG if len(text) > LONGEST_ID else None


def value(text: str) -> Refusal | None:
    """Money as decimal text, so that it fits Decimal(18, 4)."""
    return None if _VALUE.fullmatch(text) else Refusal.BAD_VALUE


def currency(text: str) -> Refusal | None:
    """An ISO 4217 code, by its form."""
    return None if _CURRENCY.fullmatch(text) else Refusal.BAD_CURRENCY


def epoch_ms(text: str) -> int | None:
    """Return the epoch milliseconds of RFC 3339 text or of epoch milliseconds as text; None for anything else."""
    if _MILLISECONDS.fullmatch(text):
        return int(text)
    if len(text) < 20 or text[10] not in "Tt ":
        return None
    try:
        at = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    return None if at.tzinfo is None else int(at.timestamp() * 1000)


def time(text: str, now_ms: int, back_ms: int = BACK_MS) -> Refusal | None:
    """When it happened: within `back_ms` (72 hours) back and 5 minutes ahead."""
    ms = epoch_ms(text)
    return None if ms is not None and now_ms - back_ms <= ms <= now_ms + AHEAD_MS else Refusal.BAD_TIME


def prop(name: str, text: str) -> Refusal | None:
    """One custom property."""
    return None if 0 < len(name) <= LONGEST_PROP_NAME and len(text) <= LONGEST_PROP else Refusal.BAD_PROPS

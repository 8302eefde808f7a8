"""What every destination shares: a conversion, the request that carries it, and what an answer means. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Final, Literal, Protocol

import msgspec

UserField = Literal["email", "phone", "external_id"]
"""User data that a destination may be given: `props.email`, `props.phone`, `user_id`."""


class ClickId(msgspec.Struct, frozen=True):
    """A platform's click id with which a visitor came."""

    name: str
    """Example: "gclid"."""
    value: str
    at_ms: int
    """When the visitor came, milliseconds since the epoch."""


class Order(msgspec.Struct, frozen=True):
    """The conversion that a refund is about."""

    occurred_ms: int
    remaining: Decimal
    """Its value after all refunds."""
    currency: str
    """Of `remaining`; a refund may name another."""


class Conversion(msgspec.Struct, frozen=True, kw_only=True):
    """An event as the views of ClickHouse know it: one for all its copies, money from the authenticated one."""

    event_id: str
    site: str
    event: str
    """Our name. Example: "purchase"."""
    action: str
    """The destination's name for it. Example: "Purchase", or the id of a conversion action."""
    is_refund: bool = False
    occurred_ms: int
    value: Decimal = Decimal(0)
    """Never negative: of a refund, what was given back; 0: not known."""
    currency: str = ""
    order_id: str = ""
    """The order's own id; of a refund, the id of the order that it refunds."""
    order: Order | None = None
    """Of a refund."""
    visitor_id: str = ""
    user_id: str = ""
    url: str = ""
    user_agent: str = ""
    ip: str = ""
    """Only for a destination with `address = true`."""
    country: str = ""
    click_ids: tuple[ClickId, ...] = ()
    """Of the visitor, or of another browser of the same user, before the event; the latest first."""
    user: Mapping[UserField, str] = {}
    """The fields of `user_data`, as the site sent them: plain, or as 64 hex digits of SHA-256."""

    def click_id(self, *names: str) -> ClickId | None:
        """Return the latest click id of one of these names."""
        return next((each for each in self.click_ids if each.name in names), None)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """A platform's limits, as its documentation has them."""

    batch: int
    """Most events of a request."""
    oldest_s: int
    """An event that is older is not sent: the platform would refuse it, or the whole request."""
    requests_per_s: float
    """Never more than this; below the platform's own limit."""
    source: str
    """The page of its documentation."""
    read_on: date
    """When that page was read."""


class Request(msgspec.Struct, frozen=True):
    """One HTTP POST."""

    url: str
    body: bytes
    headers: Mapping[str, str]


class Sent(msgspec.Struct, frozen=True):
    """The platform has taken all events of the request."""


class Again(msgspec.Struct, frozen=True):
    """The platform cannot take them now."""

    why: str
    after_s: float | None = None
    """Its `Retry-After`."""


class Denied(msgspec.Struct, frozen=True):
    """The platform would refuse every event: the credential or the account is wrong."""

    why: str


class Refused(msgspec.Struct, frozen=True):
    """The platform refuses these events for good."""

    why: str
    """Its own words."""
    only: frozenset[int] | None = None
    """Places in the request; None: it refuses the request as a whole, and one event may be the cause."""


Outcome = Sent | Again | Denied | Refused

Need = Literal["", "no_click_id", "no_user_data", "no_currency", "no_order_id", "no_page", "no_visitor", "no_refunds"]
"""What an event lacks for a platform to take it; empty: nothing."""


class Platform(Protocol):
    """The mapping of one platform."""

    @property
    def limits(self) -> Limits:
        """Return the platform's limits."""

    def lacks(self, conversion: Conversion) -> Need:
        """Return what `conversion` lacks for this platform."""

    def request(self, conversions: Sequence[Conversion], credential: str) -> Request:
        """Return the request that carries them, at most `limits.batch`."""

    def outcome(self, status: int, retry_after: str, body: bytes, count: int) -> Outcome:
        """Return what the answer to a request of `count` events means."""


WORDS: Final = 300
"""Characters of a platform's answer that are kept."""


def words(body: bytes) -> str:
    """Return the begin of an answer on one line."""
    return " ".join(body[: 4 * WORDS].decode("utf-8", "replace").split())[:WORDS]


def by_status(status: int, retry_after: str, body: bytes) -> Outcome:
    """Return what HTTP itself says of an answer."""
    why = f"{status} {words(body)}".strip()
    if 200 <= status < 300:
        return Sent()
    if status in (408, 425, 429) or status >= 500:
        return Again(why, float(retry_after) if retry_after.isascii() and retry_after.isdigit() else None)
    if status in (401, 403, 404, 405) or 300 <= status < 400:
        return Denied(why)
    return Refused(why)


def encode(body: object) -> bytes:
    """Return JSON; decimals as numbers."""
    return msgspec.json.Encoder(decimal_format="number").encode(body)


JSON: Final[Mapping[str, str]] = {"Content-Type": "application/json"}

"""What may go to a destination: consent, no bot, no refusal since, nothing that the platform would refuse. Pure."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, Literal, get_args

import msgspec

from sink.forward.config import Destination, WebhookDestination
from sink.forward.platforms.currencies import CURRENCIES
from sink.forward.platforms.platform import ClickId, Conversion, Need, Order, Platform, UserField

Held = (
    Literal[
        "bot", "consent", "purpose", "refused_since", "too_old", "no_order", "not_authenticated", "event", "late_copy"
    ]
    | Literal["no_click_id", "no_user_data", "no_currency", "no_order_id", "no_page", "no_visitor", "no_refunds"]
)
"""Why an event is held back: a closed list, also the metric's label. The second half is what a platform needs."""
HELD: Final[tuple[str, ...]] = tuple(each for part in get_args(Held) for each in get_args(part))

LATE_MS: Final = 24 * 3_600_000
"""A copy of so much later is not sent: the event was, and platforms recognise an id for about two days."""

GRANTED: Final = frozenset({"1", "true", "yes", "granted", "given"})
_PROPS: Final[Mapping[UserField, tuple[str, ...]]] = {
    "email": ("email", "email_sha256"),
    "phone": ("phone", "phone_sha256"),
}


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event as ClickHouse has it, with what is known of its visitor."""

    event_id: str
    site: str
    event: str
    occurred_ms: int
    value: Decimal
    currency: str
    visitor_id: str
    user_id: str
    client_event_id: str
    url: str
    user_agent: str
    ip: str
    country: str
    consent: str
    is_bot: bool
    props: Mapping[str, str]
    click_ids: tuple[ClickId, ...] = ()
    refused_ms: int = 0
    """When the visitor, or another browser of the same user, last refused; 0: never."""
    authenticated: bool = False
    """A server has sent it, with its token."""
    order: "StoredEvent | None" = None
    """Of a refund: the conversion that it is about, if there is one."""
    remaining: Decimal = Decimal(0)
    """Of such a conversion: its value after all refunds."""


def is_late(stored_ms: int, copy_ms: int) -> bool:
    """Return whether a copy of that time is of a day on which the event was brought to its end already.

    The copy that is stored is the first. Example: a page of thanks that is opened again a week later.
    """
    return copy_ms - stored_ms > LATE_MS


def is_refund(event: str, value: Decimal) -> bool:
    """Return whether an event takes money back: docs/sql.md, "Refund"."""
    return event == "refund" or value < 0


def order_id(event: StoredEvent) -> str:
    """Return the id of the order that an event is, or that it refunds."""
    return event.props.get("order_id", "") or event.client_event_id


def judge(event: StoredEvent, one: Destination, platform: Platform, now_ms: int) -> Conversion | Held:
    """Return what is sent for an event, or why nothing is."""
    refund = is_refund(event.event, event.value)
    order = event.order if refund else None
    # The consent to the purchase counts: a server that sends a refund knows of none.
    of = order or event
    if event.is_bot or of.is_bot:
        return "bot"
    if refund and not one.refunds:
        return "no_refunds"
    if refund and order is None:
        return "no_order"
    if order is not None and order.authenticated and not event.authenticated:
        return "not_authenticated"  # ids of orders can be guessed
    if of.consent != "given":
        return "consent"
    purpose = of.props.get(f"consent_{one.purpose}")
    if purpose is not None and purpose.lower() not in GRANTED:
        return "purpose"
    if max(event.refused_ms, of.refused_ms) >= of.occurred_ms:
        return "refused_since"
    if of.event not in one.events:
        return "event"
    if now_ms - event.occurred_ms > platform.limits.oldest_s * 1000:
        return "too_old"
    conversion = Conversion(
        event_id=event.event_id,
        site=event.site,
        event=event.event,
        action=one.events[of.event],
        is_refund=refund,
        occurred_ms=min(event.occurred_ms, now_ms),  # platforms refuse what is yet to come
        value=abs(event.value) or (of.value if refund else Decimal(0)),
        currency=event.currency or (of.currency if refund else ""),
        order_id=order_id(event) if refund else event.client_event_id,
        order=None if order is None else Order(order.occurred_ms, order.remaining, order.currency),
        visitor_id=of.visitor_id,
        user_id=of.user_id,
        url=of.url,
        user_agent=of.user_agent,
        ip=of.ip if one.address else "",
        country=of.country,
        click_ids=of.click_ids,
        user=_user(of, one.user_data),
    )
    known = isinstance(one, WebhookDestination) or conversion.currency in CURRENCIES
    if conversion.currency and not known:
        return "no_currency"  # refused, and enough of them, which anybody can send, would pull the brake
    need: Need = platform.lacks(conversion)
    return need or conversion


def _user(event: StoredEvent, allowed: tuple[UserField, ...]) -> dict[UserField, str]:
    """Return the user data that may go, of what the site sent."""
    found: dict[UserField, str] = {}
    for field in allowed:
        if field == "external_id":
            text = event.user_id
        else:
            text = next((event.props[name] for name in _PROPS[field] if event.props.get(name)), "")
        if text:
            found[field] = text
    return found

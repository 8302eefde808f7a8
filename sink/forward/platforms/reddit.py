"""Reddit: the Conversions API, version 3. It takes no refunds.

Source: Reddit Ads API 3, `conversion_events`, and "About the Conversions API".
"""

from collections.abc import Sequence
from datetime import date
from typing import Final

from sink.forward.platforms.hashing import email, external_id
from sink.forward.platforms.platform import JSON, Conversion, Limits, Need, Outcome, Request, by_status, encode

STANDARD: Final = frozenset(
    {"PAGE_VISIT", "VIEW_CONTENT", "SEARCH", "ADD_TO_CART", "ADD_TO_WISHLIST", "PURCHASE", "LEAD", "SIGN_UP"}
)
"""Names that Reddit knows; any other is sent as a custom event."""


class Reddit:
    """Sends to a pixel. `credential` is a conversion access token."""

    limits: Final = Limits(
        batch=500,  # 1,000 by the documentation
        oldest_s=7 * 86_400 - 3_600,
        requests_per_s=5,
        source="Reddit Ads API 3: conversion_events",
        read_on=date(2026, 11, 29),
    )

    def __init__(self, pixel: str, *, endpoint: str, test_id: str = "") -> None:
        self._url = f"{endpoint}/api/v3/pixels/{pixel}/conversion_events"
        self._test_id = test_id

    def lacks(self, conversion: Conversion) -> Need:
        if conversion.is_refund:
            return "no_refunds"
        if not conversion.click_id("rdt_cid") and not _user(conversion):
            return "no_click_id"
        if conversion.value and not conversion.currency:
            return "no_currency"
        return ""

    def request(self, conversions: Sequence[Conversion], credential: str) -> Request:
        data: dict[str, object] = {"events": [_event(each) for each in conversions]}
        if self._test_id:
            data["test_id"] = self._test_id
        return Request(self._url, encode({"data": data}), {**JSON, "Authorization": f"Bearer {credential}"})

    def outcome(self, status: int, retry_after: str, body: bytes, count: int) -> Outcome:
        return by_status(status, retry_after, body)


def _user(one: Conversion) -> dict[str, str]:
    found = {
        "email": email(one.user.get("email", "")),
        "external_id": external_id(one.user.get("external_id", "")),
        "ip_address": one.ip,
    }
    found = {name: value for name, value in found.items() if value}
    if found and one.user_agent:
        found["user_agent"] = one.user_agent
    return found


def _event(one: Conversion) -> dict[str, object]:
    metadata: dict[str, object] = {"conversion_id": one.event_id}
    if one.currency:
        metadata |= {"currency": one.currency, "value": one.value}
    kind = {"tracking_type": one.action}
    if one.action not in STANDARD:
        kind = {"tracking_type": "CUSTOM", "custom_event_name": one.action}
    event: dict[str, object] = {
        "event_at": one.occurred_ms,
        "action_source": "WEBSITE",
        "type": kind,
        "metadata": metadata,
    }
    if one.url:
        event["event_source_url"] = one.url
    if click := one.click_id("rdt_cid"):
        event["click_id"] = click.value
    if user := _user(one):
        event["user"] = user
    return event

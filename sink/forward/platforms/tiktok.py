"""TikTok: the Events API, version 2. It takes no refunds.

TikTok answers 200 to nearly everything; the result is the `code` in the body. Source: "Events API 2.0", Report events.
"""

from collections.abc import Sequence
from datetime import date
from typing import Final

import msgspec

from sink.forward.platforms.hashing import email, external_id, phone
from sink.forward.platforms.platform import (
    JSON,
    Again,
    Conversion,
    Denied,
    Limits,
    Need,
    Outcome,
    Refused,
    Request,
    Sent,
    by_status,
    encode,
    words,
)

_BUSY: Final = frozenset({40016, 40100, 40133, 50000, 50002, 51305})
"""Codes that pass: too many requests, and faults of TikTok's own."""
_DENIED: Final = frozenset({40001, 40101, 40102, 40104, 40105, 40110})
"""Codes of the access token and its rights."""


class TikTok:
    """Sends to a pixel. `credential` is an access token of it."""

    limits: Final = Limits(
        batch=500,  # 1,000 by the documentation
        oldest_s=7 * 86_400 - 3_600,
        requests_per_s=5,
        source="TikTok API for Business: Events API 2.0, Report events",
        read_on=date(2026, 11, 29),
    )

    def __init__(self, pixel: str, *, endpoint: str, test_event_code: str = "") -> None:
        self._url = f"{endpoint}/open_api/v1.3/event/track/"
        self._pixel = pixel
        self._test_event_code = test_event_code

    def lacks(self, conversion: Conversion) -> Need:
        if conversion.is_refund:
            return "no_refunds"
        if not conversion.url:
            return "no_page"
        if not _user(conversion):
            return "no_user_data"
        if conversion.value and not conversion.currency:
            return "no_currency"
        return ""

    def request(self, conversions: Sequence[Conversion], credential: str) -> Request:
        body: dict[str, object] = {
            "event_source": "web",
            "event_source_id": self._pixel,
            "data": [_event(each) for each in conversions],
        }
        if self._test_event_code:
            body["test_event_code"] = self._test_event_code
        return Request(self._url, encode(body), {**JSON, "Access-Token": credential})

    def outcome(self, status: int, retry_after: str, body: bytes, count: int) -> Outcome:
        by_http = by_status(status, retry_after, body)
        if not isinstance(by_http, Sent | Refused):
            return by_http
        try:
            code = msgspec.json.decode(body, type=_Answer).code
        except msgspec.DecodeError:
            return Again(f"no answer of TikTok's: {words(body)}") if isinstance(by_http, Sent) else by_http
        if code == 0:
            return Sent()
        if code in _BUSY:
            return Again(words(body))
        return Denied(words(body)) if code in _DENIED else Refused(words(body))


class _Answer(msgspec.Struct):
    code: int


def _user(one: Conversion) -> dict[str, str]:
    click = one.click_id("ttclid")
    found = {
        "ttclid": click.value if click else "",
        "email": email(one.user.get("email", "")),
        "phone": phone(one.user.get("phone", ""), plus=True),
        "external_id": external_id(one.user.get("external_id", "")),
        "ip": one.ip,
    }
    found = {name: value for name, value in found.items() if value}
    if found and one.user_agent:
        found["user_agent"] = one.user_agent
    return found


def _event(one: Conversion) -> dict[str, object]:
    properties: dict[str, object] = {}
    if one.currency:
        properties |= {"currency": one.currency, "value": one.value}
    if one.order_id:
        properties["order_id"] = one.order_id
    return {
        "event": one.action,
        "event_time": one.occurred_ms // 1000,
        "event_id": one.event_id,
        "user": _user(one),
        "page": {"url": one.url},
        "properties": properties,
    }

"""Meta: the Conversions API. A refund is an event of its own, `Refund` by default: Meta takes no adjustments.

Source: "Server Event Parameters" and "Customer Information Parameters" of the Conversions API.
"""

from collections.abc import Sequence
from datetime import date
from typing import Final
from urllib.parse import quote

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
    by_status,
    encode,
    words,
)

_BUSY: Final = frozenset({1, 2, 4, 17, 32, 341, 613, 80004})
"""Codes of errors that pass: unknown, service, and the limits of calls."""
_DENIED: Final = frozenset({10, 102, 190, 200, 803})
"""Codes of errors of the access token and its rights."""

_NO_SUCH_PIXEL: Final = 33
"""Subcode of code 100: the object does not exist, or the token may not see it."""


class Meta:
    """Sends to a data set (pixel). `credential` is an access token of it."""

    limits: Final = Limits(
        batch=500,  # 1,000 by the documentation
        oldest_s=7 * 86_400 - 3_600,  # one event older than 7 days refuses the whole request
        requests_per_s=5,
        source="Conversions API: Using the API; Server Event Parameters",
        read_on=date(2026, 11, 29),
    )

    def __init__(self, pixel: str, *, endpoint: str, version: str, test_event_code: str = "") -> None:
        self._url = f"{endpoint}/{version}/{pixel}/events"
        self._test_event_code = test_event_code

    def lacks(self, conversion: Conversion) -> Need:
        if not _is_page(conversion) and not conversion.is_refund:
            return "no_page"  # an event of a website needs the address of its page, and a user agent
        if not _user_data(conversion):
            return "no_user_data"
        if conversion.value and not conversion.currency:
            return "no_currency"
        return ""

    def request(self, conversions: Sequence[Conversion], credential: str) -> Request:
        body: dict[str, object] = {"data": [_event(each) for each in conversions]}
        if self._test_event_code:
            body["test_event_code"] = self._test_event_code
        return Request(f"{self._url}?access_token={quote(credential, safe='()')}", encode(body), JSON)

    def outcome(self, status: int, retry_after: str, body: bytes, count: int) -> Outcome:
        by_http = by_status(status, retry_after, body)
        if not isinstance(by_http, Refused):
            return by_http
        try:  # Meta answers 400 to nearly everything, and tells the reason by a code
            error = msgspec.json.decode(body, type=_Answer).error
        except msgspec.DecodeError:
            return by_http
        if error.code in _BUSY:
            return Again(words(body))
        if error.code in _DENIED or error.error_subcode == _NO_SUCH_PIXEL:
            return Denied(words(body))
        return by_http


class _Error(msgspec.Struct):
    code: int = 0
    error_subcode: int | None = None


class _Answer(msgspec.Struct):
    error: _Error


def _user_data(one: Conversion) -> dict[str, object]:
    click = one.click_id("fbclid")
    found: dict[str, object] = {
        "em": [hash for hash in [email(one.user.get("email", ""))] if hash],
        "ph": [hash for hash in [phone(one.user.get("phone", ""), plus=False)] if hash],
        "external_id": [hash for hash in [external_id(one.user.get("external_id", ""))] if hash],
        # "fb", index of the cookie's domain, when the click was seen, the click id
        "fbc": f"fb.1.{click.at_ms}.{click.value}" if click else "",
        "client_ip_address": one.ip,
    }
    found = {name: value for name, value in found.items() if value}
    if found and one.user_agent:
        found["client_user_agent"] = one.user_agent  # by itself it identifies no user
    return found


def _is_page(one: Conversion) -> bool:
    return bool(one.url and one.user_agent)


def _event(one: Conversion) -> dict[str, object]:
    custom: dict[str, object] = {}
    if one.currency:
        custom["currency"] = one.currency
        custom["value"] = one.value
    if one.order_id:
        custom["order_id"] = one.order_id
    event: dict[str, object] = {
        "event_name": "Refund" if one.is_refund else one.action,
        "event_time": one.occurred_ms // 1000,
        "event_id": one.event_id,
        "action_source": "website" if _is_page(one) else "system_generated",
        "user_data": _user_data(one),
        "custom_data": custom,
    }
    if _is_page(one):
        event["event_source_url"] = one.url
    return event

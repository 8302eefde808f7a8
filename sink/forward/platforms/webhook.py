"""Any server of one's own: a signed POST of a JSON object.

Its headers are `Pharos-Timestamp`, the time of sending in seconds since the epoch, and `Pharos-Signature`: the
HMAC-SHA-256, in hex, of that timestamp, a full stop and the body, under the credential. `transport.py` adds both.
"""

from collections.abc import Sequence
from datetime import date
from typing import Final

from sink.forward.platforms.hashing import email, external_id, phone
from sink.forward.platforms.platform import JSON, Conversion, Limits, Need, Outcome, Request, by_status, encode


class Webhook:
    """Sends the events to `url`."""

    limits: Final = Limits(
        batch=100,
        oldest_s=30 * 86_400,
        requests_per_s=10,
        source="our own: docs/forward.md",
        read_on=date(2026, 11, 29),
    )

    def __init__(self, url: str) -> None:
        self._url = url

    def lacks(self, conversion: Conversion) -> Need:
        return ""

    def request(self, conversions: Sequence[Conversion], credential: str) -> Request:
        return Request(self._url, encode({"events": [_event(each) for each in conversions]}), JSON)

    def outcome(self, status: int, retry_after: str, body: bytes, count: int) -> Outcome:
        return by_status(status, retry_after, body)


def _event(one: Conversion) -> dict[str, object]:
    user = {
        "email_sha256": email(one.user.get("email", "")),
        "phone_sha256": phone(one.user.get("phone", ""), plus=True),
        "external_id_sha256": external_id(one.user.get("external_id", "")),
    }
    return {
        "event_id": one.event_id,
        "site": one.site,
        "event": one.event,
        "action": one.action,
        "is_refund": one.is_refund,
        "occurred_at": one.occurred_ms / 1000,
        "value": one.value,
        "currency": one.currency,
        "order_id": one.order_id,
        "url": one.url,
        "country": one.country,
        "click_ids": [{"name": each.name, "value": each.value, "at": each.at_ms / 1000} for each in one.click_ids],
        "user": {name: value for name, value in user.items() if value},
    } | ({"ip": one.ip} if one.ip else {})

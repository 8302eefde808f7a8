"""Google Analytics 4: the Measurement Protocol. A refund is GA4's own event `refund`, with the order's id.

Source: Measurement Protocol, "Send events" (limits, consent, `timestamp_micros`) and "Events" (purchase, refund).
"""

from collections.abc import Sequence
from datetime import date
from typing import Final
from urllib.parse import quote, urlencode

from sink.forward.platforms.platform import JSON, Conversion, Limits, Need, Outcome, Request, by_status, encode


class Ga4:
    """Sends to a data stream. `credential` is an API secret of it. The visitor's id is GA4's `client_id`."""

    limits: Final = Limits(
        batch=1,  # 25 by the documentation, but one client a request: events of one are rarely next to each other
        oldest_s=72 * 3_600 - 600,
        requests_per_s=20,
        source="Measurement Protocol: Send events, Limitations",
        read_on=date(2026, 11, 29),
    )

    def __init__(self, measurement_id: str, *, endpoint: str, advertising: bool = False) -> None:
        """With `advertising` the visitors have consented to ads too, and Google may use the events for them."""
        self._consent = "GRANTED" if advertising else "DENIED"
        self._url = f"{endpoint}/mp/collect?{urlencode({'measurement_id': measurement_id})}"

    def lacks(self, conversion: Conversion) -> Need:
        if not conversion.visitor_id:
            return "no_visitor"
        if conversion.is_refund and not conversion.order_id:
            return "no_order_id"
        if conversion.value and not conversion.currency:
            return "no_currency"
        return ""

    def request(self, conversions: Sequence[Conversion], credential: str) -> Request:
        (one,) = conversions
        params: dict[str, object] = {"engagement_time_msec": 1}
        if one.currency:
            params |= {"currency": one.currency, "value": one.value}
        if one.order_id:
            params["transaction_id"] = one.order_id
        if one.url:
            params["page_location"] = one.url
        body: dict[str, object] = {
            "client_id": one.visitor_id,
            "timestamp_micros": one.occurred_ms * 1000,
            "consent": {"ad_user_data": self._consent, "ad_personalization": self._consent},
            "events": [{"name": "refund" if one.is_refund else one.action, "params": params}],
        }
        if "external_id" in one.user:
            body["user_id"] = one.user["external_id"]
        return Request(f"{self._url}&api_secret={quote(credential, safe='()')}", encode(body), JSON)

    def outcome(self, status: int, retry_after: str, body: bytes, count: int) -> Outcome:
        return by_status(status, retry_after, body)

"""LinkedIn: the Conversions API, in batches. It takes no refunds.

A batch gets a status for each event. Source: "Conversions API" of LinkedIn's marketing documentation.
"""

from collections.abc import Sequence
from datetime import date
from typing import Final

import msgspec

from sink.forward.platforms.hashing import email
from sink.forward.platforms.platform import (
    JSON,
    Again,
    Conversion,
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


class LinkedIn:
    """Sends to conversion rules, which `events` names by their ids. `credential` is an access token."""

    limits: Final = Limits(
        batch=1_000,  # 5,000 by the documentation
        oldest_s=90 * 86_400 - 3_600,
        requests_per_s=5,  # 600 a minute
        source="LinkedIn: Conversions API",
        read_on=date(2026, 11, 29),
    )

    def __init__(self, *, endpoint: str, version: str) -> None:
        self._url = f"{endpoint}/rest/conversionEvents"
        self._version = version

    def lacks(self, conversion: Conversion) -> Need:
        if conversion.is_refund:
            return "no_refunds"
        if not _ids(conversion):
            return "no_click_id"
        if conversion.value and not conversion.currency:
            return "no_currency"
        return ""

    def request(self, conversions: Sequence[Conversion], credential: str) -> Request:
        headers = {
            **JSON,
            "Authorization": f"Bearer {credential}",
            "LinkedIn-Version": self._version,
            "X-Restli-Protocol-Version": "2.0.0",
            "X-RestLi-Method": "BATCH_CREATE",
        }
        return Request(self._url, encode({"elements": [_event(each) for each in conversions]}), headers)

    def outcome(self, status: int, retry_after: str, body: bytes, count: int) -> Outcome:
        by_http = by_status(status, retry_after, body)
        if not isinstance(by_http, Sent):
            return by_http
        try:
            elements = msgspec.json.decode(body, type=_Answer).elements
        except msgspec.DecodeError:
            return by_http
        if any(each.status >= 500 or each.status == 429 for each in elements):
            return Again(words(body))
        bad = frozenset(place for place, each in enumerate(elements) if each.status >= 400)
        return Refused(words(body), bad) if bad else Sent()


class _Element(msgspec.Struct):
    status: int = 201


class _Answer(msgspec.Struct):
    elements: list[_Element] = []


def _ids(one: Conversion) -> list[dict[str, str]]:
    found = []
    if mail := email(one.user.get("email", "")):
        found.append({"idType": "SHA256_EMAIL", "idValue": mail})
    if click := one.click_id("li_fat_id"):
        found.append({"idType": "LINKEDIN_FIRST_PARTY_ADS_TRACKING_UUID", "idValue": click.value})
    return found


def _event(one: Conversion) -> dict[str, object]:
    event: dict[str, object] = {
        "conversion": f"urn:lla:llaPartnerConversion:{one.action}",
        "conversionHappenedAt": one.occurred_ms,
        "user": {"userIds": _ids(one)},
        "eventId": one.event_id,
    }
    if one.currency:
        event["conversionValue"] = {"currencyCode": one.currency, "amount": f"{one.value:f}"}
    return event

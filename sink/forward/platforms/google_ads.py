"""Google Ads: conversions through the Data Manager API (`events:ingest`).

An adjustment is an event with the `transactionId` of the conversion and its new value: Google replaces the value. So a
refund sends what remains of the order.

Source: Data Manager API, "Send events" and "Conversion adjustments".
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Final

from sink.forward.platforms.hashing import email, phone
from sink.forward.platforms.platform import JSON, Conversion, Limits, Need, Outcome, Request, by_status, encode

CLICK_IDS: Final = ("gclid", "gbraid", "wbraid")


class GoogleAds:
    """Sends to conversion actions of an account. `credential` is an OAuth access token."""

    limits: Final = Limits(
        batch=2_000,
        oldest_s=89 * 86_400,  # Google matches clicks of up to 90 days
        requests_per_s=2,
        source="Data Manager API: Limits and quotas; Send events",
        read_on=date(2026, 11, 29),
    )

    def __init__(self, account: str, *, endpoint: str, login_account: str = "", validate_only: bool = False) -> None:
        self._url = f"{endpoint}/v1/events:ingest"
        self._account = account
        self._login_account = login_account
        self._validate_only = validate_only

    def lacks(self, conversion: Conversion) -> Need:
        if not conversion.order_id:
            return "no_order_id"
        if conversion.value and not conversion.currency:
            return "no_currency"
        if not conversion.is_refund and not conversion.click_id(*CLICK_IDS) and not _user_data(conversion):
            return "no_click_id"
        return ""

    def request(self, conversions: Sequence[Conversion], credential: str) -> Request:
        actions = sorted({each.action for each in conversions})
        body: dict[str, object] = {
            "destinations": [self._destination(action) for action in actions],
            "events": [_event(each) for each in conversions],
            "encoding": "HEX",
        }
        if self._validate_only:
            body["validateOnly"] = True
        return Request(self._url, encode(body), {**JSON, "Authorization": f"Bearer {credential}"})

    def outcome(self, status: int, retry_after: str, body: bytes, count: int) -> Outcome:
        return by_status(status, retry_after, body)

    def _destination(self, action: str) -> dict[str, object]:
        made: dict[str, object] = {
            "reference": action,
            "operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": self._account},
            "productDestinationId": action,
        }
        if self._login_account:
            made["loginAccount"] = {"accountType": "GOOGLE_ADS", "accountId": self._login_account}
        return made


def _user_data(one: Conversion) -> list[dict[str, str]]:
    mail, number = email(one.user.get("email", ""), gmail=True), phone(one.user.get("phone", ""), plus=True)
    return [{"emailAddress": mail}] * bool(mail) + [{"phoneNumber": number}] * bool(number)


def _time(moment_ms: int) -> str:
    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _event(one: Conversion) -> dict[str, object]:
    event: dict[str, object] = {
        "destinationReferences": [one.action],
        "transactionId": one.order_id,
        "eventTimestamp": _time(one.occurred_ms if one.order is None else one.order.occurred_ms),
        "consent": {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"},
        "eventSource": "WEB",
    }
    currency, value = (one.currency, one.value) if one.order is None else (one.order.currency, one.order.remaining)
    if currency:
        event |= {"currency": currency, "conversionValue": value}
    if one.order is not None:
        event["lastUpdatedTimestamp"] = _time(one.occurred_ms)
    if click := one.click_id(*CLICK_IDS):
        event["adIdentifiers"] = {click.name: click.value}
    if user := _user_data(one):
        event["userData"] = {"userIdentifiers": user}
    return event

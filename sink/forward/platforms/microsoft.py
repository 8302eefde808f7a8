"""Microsoft Advertising: offline conversions of its Campaign Management service, in JSON.

A conversion is known by click id, name and time; a refund restates its value. Source: "OfflineConversion",
"ApplyOfflineConversions" and "ApplyOfflineConversionAdjustments".
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Final

import msgspec

from sink.forward.platforms.platform import (
    JSON,
    Conversion,
    Limits,
    Need,
    Outcome,
    Refused,
    Request,
    Sent,
    by_status,
    encode,
)


class Microsoft:
    """Sends to goals, which `events` names. `credential` is an OAuth access token."""

    limits: Final = Limits(
        batch=1,  # 1,000 by the documentation; conversions and adjustments cannot share a request
        oldest_s=90 * 86_400 - 3_600,
        requests_per_s=5,
        source="Microsoft Advertising API 13: ApplyOfflineConversions",
        read_on=date(2026, 11, 29),
    )

    def __init__(self, *, endpoint: str, developer_token: str, customer: str, account: str) -> None:
        self._url = f"{endpoint}/CampaignManagement/v13"
        self._headers = {
            **JSON,
            "DeveloperToken": developer_token,
            "CustomerId": customer,
            "CustomerAccountId": account,
        }

    def lacks(self, conversion: Conversion) -> Need:
        if not conversion.click_id("msclkid"):
            return "no_click_id"
        if conversion.value and not conversion.currency:
            return "no_currency"
        return ""

    def request(self, conversions: Sequence[Conversion], credential: str) -> Request:
        (one,) = conversions
        click = one.click_id("msclkid")
        named: dict[str, object] = {
            "MicrosoftClickId": click.value if click else "",
            "ConversionName": one.action,
            "ConversionTime": _time(one.occurred_ms if one.order is None else one.order.occurred_ms),
        }
        if one.order is not None:
            body = {
                "OfflineConversionAdjustments": [
                    named
                    | {
                        "AdjustmentType": "Restate",
                        "AdjustmentTime": _time(one.occurred_ms),
                        "AdjustmentValue": one.order.remaining,
                        "AdjustmentCurrencyCode": one.order.currency,
                    }
                ]
            }
            url = f"{self._url}/OfflineConversionAdjustments/Apply"
        else:
            money = {"ConversionValue": one.value, "ConversionCurrencyCode": one.currency} if one.currency else {}
            body = {"OfflineConversions": [named | money]}
            url = f"{self._url}/OfflineConversions/Apply"
        return Request(url, encode(body), {**self._headers, "Authorization": f"Bearer {credential}"})

    def outcome(self, status: int, retry_after: str, body: bytes, count: int) -> Outcome:
        by_http = by_status(status, retry_after, body)
        if not isinstance(by_http, Sent):
            return by_http
        try:
            errors = [each for each in msgspec.json.decode(body, type=_Answer).partial_errors or () if each]
        except msgspec.DecodeError:
            return by_http
        return Refused("; ".join(f"{each.error_code} {each.message}" for each in errors)[:300]) if errors else Sent()


class _Error(msgspec.Struct, rename="pascal"):
    error_code: str | None = ""
    message: str | None = ""


class _Answer(msgspec.Struct, rename="pascal"):
    partial_errors: list[_Error | None] | None = None


def _time(moment_ms: int) -> str:
    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

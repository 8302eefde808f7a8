"""Pinterest: the API for Conversions, version 5. It takes no refunds. Its answer has a status for each event.

Source: "Send conversion events" of the Pinterest API.
"""

from collections.abc import Sequence
from datetime import date
from typing import Final

import msgspec

from sink.forward.platforms.hashing import email, external_id, phone
from sink.forward.platforms.platform import (
    JSON,
    WORDS,
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


class Pinterest:
    """Sends to an ad account. `credential` is a conversion access token."""

    limits: Final = Limits(
        batch=500,  # 1,000 by the documentation
        oldest_s=7 * 86_400 - 3_600,
        requests_per_s=10,  # 5,000 a minute
        source="Pinterest API 5: Send conversion events",
        read_on=date(2026, 11, 29),
    )

    def __init__(self, account: str, *, endpoint: str, test: bool = False) -> None:
        self._url = f"{endpoint}/v5/ad_accounts/{account}/events" + ("?test=true" if test else "")

    def lacks(self, conversion: Conversion) -> Need:
        if conversion.is_refund:
            return "no_refunds"
        if not conversion.url:
            return "no_page"
        user = _user(conversion)
        # Pinterest takes an e-mail address, or an address with its user agent; a click id alone is not enough.
        if "em" not in user and not {"client_ip_address", "client_user_agent"} <= user.keys():
            return "no_user_data"
        if conversion.value and not conversion.currency:
            return "no_currency"
        return ""

    def request(self, conversions: Sequence[Conversion], credential: str) -> Request:
        body = encode({"data": [_event(each) for each in conversions]})
        return Request(self._url, body, {**JSON, "Authorization": f"Bearer {credential}"})

    def outcome(self, status: int, retry_after: str, body: bytes, count: int) -> Outcome:
        by_http = by_status(status, retry_after, body)
        if not isinstance(by_http, Sent):
            return by_http
        try:
            results = msgspec.json.decode(body, type=_Answer).events
        except msgspec.DecodeError:
            return by_http
        bad = frozenset(place for place, each in enumerate(results) if each.status == "failed")
        return (
            Refused("; ".join(sorted({results[place].error_message or "" for place in bad}))[:WORDS], bad)
            if bad
            else Sent()
        )


class _Result(msgspec.Struct):
    status: str = ""
    error_message: str | None = ""


class _Answer(msgspec.Struct):
    events: list[_Result] = []


def _user(one: Conversion) -> dict[str, object]:
    click = one.click_id("epik")
    found: dict[str, object] = {
        "em": [each for each in [email(one.user.get("email", ""))] if each],
        "ph": [each for each in [phone(one.user.get("phone", ""), plus=False)] if each],
        "external_id": [each for each in [external_id(one.user.get("external_id", ""))] if each],
        "click_id": click.value if click else "",
        "client_ip_address": one.ip,
        "client_user_agent": one.user_agent,
    }
    return {name: value for name, value in found.items() if value}


def _event(one: Conversion) -> dict[str, object]:
    custom: dict[str, object] = {}
    if one.currency:
        custom |= {"currency": one.currency, "value": f"{one.value:f}"}  # Pinterest wants the value as a text
    if one.order_id:
        custom["order_id"] = one.order_id
    return {
        "event_name": one.action,
        "action_source": "web",
        "event_time": one.occurred_ms // 1000,
        "event_id": one.event_id,
        "event_source_url": one.url,
        "user_data": _user(one),
        "custom_data": custom,
    }

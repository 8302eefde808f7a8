"""What may leave: every row of the table of docs/forward.md."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from sink.forward.config import MetaDestination, WebhookDestination
from sink.forward.gate import StoredEvent, judge
from sink.forward.platforms.platform import ClickId, Conversion

NOW_MS = 1_795_334_400_000
ONE = MetaDestination(pixel="1", sites=("shop",), events={"purchase": "Purchase"}, credential_file="t")
EVENT = StoredEvent(
    event_id="e",
    site="shop",
    event="purchase",
    occurred_ms=NOW_MS - 60_000,
    value=Decimal(199),
    currency="EUR",
    visitor_id="a",
    user_id="u-1",
    client_event_id="o1",
    url="https://shop.example/thanks",
    user_agent="Mozilla/5.0",
    ip="203.0.113.0",
    country="AT",
    consent="given",
    is_bot=False,
    props={"email": "a@shop.example"},
    authenticated=True,
    click_ids=(ClickId("fbclid", "FB1", NOW_MS - 120_000),),
)
REFUND = msgspec.structs.replace(
    EVENT, event_id="r", event="refund", value=Decimal(-50), client_event_id="r1", consent="unknown",
    props={"order_id": "o1"}, visitor_id="", click_ids=(), order=msgspec.structs.replace(EVENT, remaining=Decimal(149)),
)  # fmt: skip


def judged(stored: StoredEvent, one: MetaDestination = ONE, /, **fields: Any) -> Conversion | str:
    return judge(msgspec.structs.replace(stored, **fields), one, one.platform(), NOW_MS)


def test_an_event_goes() -> None:
    made = judged(EVENT)
    assert isinstance(made, Conversion)
    assert (made.action, made.value, made.order_id, made.ip, made.user) == ("Purchase", Decimal(199), "o1", "", {})


def test_only_what_the_destination_names_of_a_person() -> None:
    one = msgspec.structs.replace(ONE, user_data=("email", "external_id"), address=True)
    made = judged(EVENT, one)
    assert isinstance(made, Conversion)
    assert made.user == {"email": "a@shop.example", "external_id": "u-1"}
    assert made.ip == "203.0.113.0"


@pytest.mark.parametrize("consent", ["refused", "unknown", "assumed"])
def test_only_consent_that_was_given(consent: str) -> None:
    assert judged(EVENT, consent=consent) == "consent"


@pytest.mark.parametrize(
    ("fields", "held"),
    [
        ({"is_bot": True}, "bot"),
        ({"props": {"consent_advertising": "0"}}, "purpose"),
        ({"props": {"consent_advertising": "denied"}}, "purpose"),
        ({"refused_ms": NOW_MS}, "refused_since"),
        ({"event": "signup"}, "event"),
        ({"occurred_ms": NOW_MS - 7 * 86_400_000}, "too_old"),
        ({"click_ids": ()}, "no_user_data"),
        ({"currency": "ZZZ"}, "no_currency"),
    ],
)
def test_held_back(fields: dict[str, Any], held: str) -> None:
    assert judged(EVENT, **fields) == held


@pytest.mark.parametrize("props", [{}, {"consent_advertising": "granted"}, {"consent_analytics": "0"}])
def test_another_purpose_holds_nothing_back(props: dict[str, str]) -> None:
    assert isinstance(judged(EVENT, props=props), Conversion)


def test_a_refusal_before_a_new_consent_holds_nothing_back() -> None:
    assert isinstance(judged(EVENT, refused_ms=EVENT.occurred_ms - 1), Conversion)


def test_an_event_of_a_clock_that_is_ahead_is_of_now() -> None:
    made = judged(EVENT, occurred_ms=NOW_MS + 5_000)
    assert isinstance(made, Conversion)
    assert made.occurred_ms == NOW_MS


def test_what_remains_is_in_the_orders_currency() -> None:
    made = judged(REFUND, currency="USD")
    assert isinstance(made, Conversion)
    assert made.order is not None
    assert made.order.currency == "EUR"


def test_a_webhook_takes_any_currency() -> None:
    one = WebhookDestination(url="https://x.test", sites=("shop",), events={"purchase": "p"}, credential_file="t")
    assert isinstance(judge(msgspec.structs.replace(EVENT, currency="PTS"), one, one.platform(), NOW_MS), Conversion)


def test_a_refund_goes_with_its_order() -> None:
    made = judged(REFUND)
    assert isinstance(made, Conversion)
    assert made.is_refund
    assert (made.order_id, made.value, made.action) == ("o1", Decimal(50), "Purchase")
    assert made.order is not None
    assert made.order.remaining == Decimal(149)
    assert made.click_id("fbclid")


def test_a_refund_without_a_value_takes_all_back() -> None:
    made = judged(REFUND, value=Decimal(0))
    assert isinstance(made, Conversion)
    assert made.value == Decimal(199)


@pytest.mark.parametrize(
    ("fields", "held"),
    [
        ({"order": None}, "no_order"),
        ({"authenticated": False}, "not_authenticated"),
        ({"order": msgspec.structs.replace(EVENT, consent="refused")}, "consent"),
        ({"order": msgspec.structs.replace(EVENT, refused_ms=NOW_MS)}, "refused_since"),
        ({"order": msgspec.structs.replace(EVENT, event="signup")}, "event"),
    ],
)
def test_a_refund_is_held_back_with_its_order(fields: dict[str, Any], held: str) -> None:
    assert judged(REFUND, **fields) == held


def test_refunds_can_be_left_out() -> None:
    assert judged(REFUND, msgspec.structs.replace(ONE, refunds=False)) == "no_refunds"

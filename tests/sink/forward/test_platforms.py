"""The mappings: hashes as the platforms publish them, requests by their rules, and what each answer means.

Long: the platforms are tested by the same functions.
"""

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sink.forward.config import Ga4Destination
from sink.forward.platforms import google_csv, hashing
from sink.forward.platforms.ga4 import Ga4
from sink.forward.platforms.google_ads import GoogleAds
from sink.forward.platforms.linkedin import LinkedIn
from sink.forward.platforms.meta import Meta
from sink.forward.platforms.microsoft import Microsoft
from sink.forward.platforms.pinterest import Pinterest
from sink.forward.platforms.platform import Again, ClickId, Conversion, Denied, Order, Refused, Request, Sent, by_status
from sink.forward.platforms.reddit import Reddit
from sink.forward.platforms.tiktok import TikTok
from sink.forward.platforms.webhook import Webhook
from sink.forward.transport import Http
from tests.sink.forward.platform_server import platform_server

VECTORS = yaml.safe_load((Path(__file__).parent / "vectors.yml").read_text())
CLICKS = (ClickId("fbclid", "FB1", 1_795_334_000_123), ClickId("gclid", "G1", 1_795_333_000_000))
PURCHASE = Conversion(
    event_id="019aa0b1-c2d3-7e4f-8a9b-acbdcedfe0f1",
    site="shop",
    event="purchase",
    action="Purchase",
    occurred_ms=1_795_334_400_123,
    value=Decimal("199.0000"),
    currency="EUR",
    order_id="o1",
    visitor_id="9f86d081884c7d659a2feaa0c55ad015",
    url="https://shop.example/thanks",
    user_agent="Mozilla/5.0",
    click_ids=CLICKS,
    user={"email": "John_Smith@gmail.com"},
)
META = Meta("123", endpoint="https://graph.test", version="v25.0")
GOOGLE = GoogleAds("4711", endpoint="https://google.test")
GA4 = Ga4("G-ABCD", endpoint="https://ga.test")


def replaced(**fields: Any) -> Conversion:
    return Conversion(**{name: getattr(PURCHASE, name) for name in Conversion.__struct_fields__} | fields)


@pytest.mark.parametrize("vector", VECTORS["email"])
def test_email(vector: dict[str, str]) -> None:
    assert hashing.email(vector["text"]) == vector["hash"]


@pytest.mark.parametrize("vector", VECTORS["gmail"])
def test_gmail(vector: dict[str, str]) -> None:
    assert hashing.email(vector["text"], gmail=True) == hashing.hashed(vector["same_as"])


@pytest.mark.parametrize("vector", VECTORS["phone"])
def test_phone(vector: dict[str, str]) -> None:
    assert hashing.phone(vector["text"], plus=False) == vector["hash"]


@given(st.text(max_size=80))
def test_what_leaves_is_a_hash_or_nothing(text: str) -> None:
    for made in (
        hashing.email(text),
        hashing.email(text, gmail=True),
        hashing.phone(text, plus=True),
        hashing.phone(text, plus=False),
        hashing.external_id(text),
    ):
        assert made == "" or hashing._HASHED.fullmatch(made)


def test_meta() -> None:
    request = META.request([PURCHASE], "a token&more")
    assert request.url == "https://graph.test/v25.0/123/events?access_token=a%20token%26more"
    assert json.loads(request.body) == {
        "data": [
            {
                "event_name": "Purchase",
                "event_time": 1_795_334_400,
                "event_id": PURCHASE.event_id,
                "action_source": "website",
                "event_source_url": "https://shop.example/thanks",
                "user_data": {
                    "em": [VECTORS["email"][0]["hash"]],
                    "fbc": "fb.1.1795334000123.FB1",
                    "client_user_agent": "Mozilla/5.0",
                },
                "custom_data": {"currency": "EUR", "value": 199.0, "order_id": "o1"},
            }
        ]
    }


def test_google_restates_the_order_of_a_refund() -> None:
    refund = replaced(
        is_refund=True,
        value=Decimal("50"),
        action="99",
        occurred_ms=PURCHASE.occurred_ms + 60_000,
        order=Order(PURCHASE.occurred_ms, Decimal("149.00"), "EUR"),
    )
    (first, second) = json.loads(GOOGLE.request([replaced(action="99"), refund], "t").body)["events"]
    assert first["transactionId"] == second["transactionId"] == "o1"
    assert first["eventTimestamp"] == second["eventTimestamp"] == "2026-11-22T08:00:00.123Z"
    assert (first["conversionValue"], second["conversionValue"]) == (199.0, 149.0)
    assert second["lastUpdatedTimestamp"] == "2026-11-22T08:01:00.123Z"


def test_google_names_each_action_once() -> None:
    body = json.loads(GOOGLE.request([replaced(action="7"), replaced(action="9"), replaced(action="7")], "t").body)
    assert [each["reference"] for each in body["destinations"]] == ["7", "9"]
    assert [each["destinationReferences"] for each in body["events"]] == [["7"], ["9"], ["7"]]


def test_ga4() -> None:
    request = GA4.request([replaced(action="purchase")], "s")
    assert request.url == "https://ga.test/mp/collect?measurement_id=G-ABCD&api_secret=s"
    body = json.loads(request.body)
    assert body["timestamp_micros"] == 1_795_334_400_123_000
    assert body["events"][0]["params"]["transaction_id"] == "o1"


@pytest.mark.parametrize(("purpose", "consent"), [("analytics", "DENIED"), ("advertising", "GRANTED")])
def test_ga4_is_told_of_no_consent_to_ads_that_was_not_asked_for(purpose: Any, consent: str) -> None:
    one = Ga4Destination(
        measurement_id="G-ABCD", sites=("shop",), events={"purchase": "purchase"}, credential_file="t", purpose=purpose
    )
    body = json.loads(one.platform().request([PURCHASE], "s").body)
    assert body["consent"] == {"ad_user_data": consent, "ad_personalization": consent}


@pytest.mark.parametrize("name", ["google_ads", "microsoft"])
def test_what_remains_keeps_the_orders_currency(name: str) -> None:
    body = ALL[name].request([replaced(is_refund=True, currency="USD", order=REFUND.order, click_ids=MORE)], "t").body
    assert b'"EUR"' in body
    assert b'"USD"' not in body


def test_a_refund_without_a_user_agent_is_no_pages() -> None:
    (event,) = json.loads(META.request([replaced(is_refund=True, user_agent="", order=REFUND.order)], "t").body)["data"]
    assert event["action_source"] == "system_generated"
    assert "event_source_url" not in event


def test_meta_without_such_a_pixel_is_a_matter_of_the_destination() -> None:
    body = json.dumps({"error": {"message": "does not exist", "code": 100, "error_subcode": 33}}).encode()
    assert isinstance(META.outcome(400, "", body, 1), Denied)


def test_pinterest_tells_of_each_event() -> None:
    results = [{"status": "processed", "error_message": None}, {"status": "failed", "error_message": "too old"}]
    body = json.dumps({"num_events_received": 2, "num_events_processed": 1, "events": results}).encode()
    assert ALL["pinterest"].outcome(200, "", body, 2) == Refused("too old", frozenset({1}))


async def test_an_answer_in_parts_is_read_to_its_end() -> None:
    parts = [b'{"elements": [', b'{"status": 422}]}', b""]

    async def read(_: int) -> bytes:
        return parts.pop(0)

    @contextlib.asynccontextmanager
    async def post(*_: object, **__: object) -> AsyncIterator[Any]:
        yield SimpleNamespace(status=200, headers={}, content=SimpleNamespace(read=read))

    found = await Http(SimpleNamespace(post=post)).post(Request("https://x.test", b"{}", {}), "")  # type: ignore[arg-type]
    assert isinstance(ALL["linkedin"].outcome(found.status, "", found.body, 1), Refused)


@dataclass(frozen=True)
class Lack:
    platform: Any
    fields: dict[str, Any]
    need: str


@pytest.mark.parametrize(
    "lack",
    [
        Lack(META, {}, ""),
        Lack(META, {"click_ids": (), "user": {}}, "no_user_data"),
        Lack(META, {"url": ""}, "no_page"),
        Lack(META, {"user_agent": ""}, "no_page"),
        Lack(META, {"currency": ""}, "no_currency"),
        Lack(GOOGLE, {}, ""),
        Lack(GOOGLE, {"click_ids": (), "user": {}}, "no_click_id"),
        Lack(GOOGLE, {"click_ids": ()}, ""),
        Lack(GOOGLE, {"order_id": ""}, "no_order_id"),
        Lack(GA4, {}, ""),
        Lack(GA4, {"visitor_id": ""}, "no_visitor"),
        Lack(GA4, {"is_refund": True, "order_id": ""}, "no_order_id"),
    ],
)
def test_what_an_event_lacks(lack: Lack) -> None:
    assert lack.platform.lacks(replaced(**lack.fields)) == lack.need


@pytest.mark.parametrize(
    ("status", "meant"),
    [
        *((each, Sent) for each in (200, 204)),
        *((each, Denied) for each in (302, 401, 403, 404)),
        *((each, Refused) for each in (400, 413)),
        *((each, Again) for each in (408, 429, 500, 503)),
    ],
)
def test_what_a_status_means(status: int, meant: type) -> None:
    assert isinstance(by_status(status, "", b"words"), meant)


def test_retry_after() -> None:
    assert by_status(429, "120", b"") == Again("429", 120.0)
    assert by_status(503, "Wed, 21 Oct 2026 07:28:00 GMT", b"") == Again("503", None)


@pytest.mark.parametrize(("code", "meant"), [(4, Again), (190, Denied), (100, Refused)])
def test_meta_tells_by_a_code(code: int, meant: type) -> None:
    body = json.dumps({"error": {"message": "x", "code": code}}).encode()
    assert isinstance(META.outcome(400, "", body, 1), meant)


MORE = (*CLICKS, *(ClickId(name, name, PURCHASE.occurred_ms) for name in ("ttclid", "epik", "rdt_cid", "li_fat_id")),
        ClickId("msclkid", "M1", PURCHASE.occurred_ms))  # fmt: skip
ALL: dict[str, Any] = {
    "meta": Meta("123", endpoint="{url}", version="v25.0"),
    "google_ads": GoogleAds("4711", endpoint="{url}"),
    "ga4": Ga4("G-ABCD", endpoint="{url}"),
    "webhook": Webhook("{url}/hook"),
    "tiktok": TikTok("CABC", endpoint="{url}"),
    "pinterest": Pinterest("44", endpoint="{url}"),
    "reddit": Reddit("t2_1", endpoint="{url}"),
    "linkedin": LinkedIn(endpoint="{url}", version="202611"),
    "microsoft": Microsoft(endpoint="{url}", developer_token="d", customer="1", account="2"),
}
TAKES_REFUNDS = {"meta", "google_ads", "ga4", "webhook", "microsoft"}
REFUND = replaced(
    is_refund=True, event_id="019aa0b1-c2d3-7e4f-8a9b-acbdcedfe0f2", value=Decimal("50"), click_ids=MORE,
    occurred_ms=PURCHASE.occurred_ms + 60_000, order=Order(PURCHASE.occurred_ms, Decimal("149.00"), "EUR"),
)  # fmt: skip


@pytest.mark.parametrize("name", ALL)
async def test_a_platform_takes_our_requests(name: str) -> None:
    platform = ALL[name]
    conversion = replaced(click_ids=MORE, action="purchase" if name == "ga4" else "99", ip="203.0.113.0")
    async with platform_server() as server, aiohttp.ClientSession() as session:
        for one in (conversion, REFUND):
            need = platform.lacks(one)
            if one.is_refund and name not in TAKES_REFUNDS:
                assert need == "no_refunds"
                continue
            assert need == ""
            made = platform.request([one], "a-token")
            request = Request(made.url.replace("{url}", server.url), made.body, made.headers)
            answer = await Http(session).post(request, "key" if name == "webhook" else "")
            assert server.wrong == []
            assert platform.outcome(answer.status, answer.retry_after, answer.body, 1) == Sent()


@pytest.mark.parametrize("name", ALL)
def test_nothing_of_a_person_leaves_unhashed(name: str) -> None:
    one = replaced(click_ids=MORE, user={"email": "jane@shop.example", "phone": "+43 660 1234567", "external_id": "u1"})
    made = ALL[name].request([one], "t")
    for secret in ("jane@shop.example", "660", *(() if name == "ga4" else ('"u1"',))):
        assert secret not in made.body.decode() + made.url


def test_linkedin_tells_of_each_event() -> None:
    body = json.dumps({"elements": [{"status": 201}, {"status": 422}, {"status": 201}]}).encode()
    outcome = ALL["linkedin"].outcome(200, "", body, 3)
    assert isinstance(outcome, Refused)
    assert outcome.only == frozenset({1})


@pytest.mark.parametrize(("code", "meant"), [(0, Sent), (40100, Again), (40105, Denied), (40002, Refused)])
def test_tiktok_tells_by_a_code(code: int, meant: type) -> None:
    assert isinstance(ALL["tiktok"].outcome(200, "", json.dumps({"code": code}).encode(), 1), meant)


def test_microsoft_tells_by_partial_errors() -> None:
    body = json.dumps({"PartialErrors": [{"ErrorCode": "OfflineConversionClickIdInvalid", "Message": "m"}]}).encode()
    assert ALL["microsoft"].outcome(200, "", body, 1) == Refused("OfflineConversionClickIdInvalid m")


def test_google_tables() -> None:
    assert google_csv.table([PURCHASE, REFUND], "conversions") == (
        "Parameters:TimeZone=+0000\n"
        "Google Click ID,Conversion Name,Conversion Time,Conversion Value,Conversion Currency,Order ID\n"
        "G1,Purchase,2026-11-22 08:00:00+0000,199.0000,EUR,o1\n"
    )
    assert google_csv.table([PURCHASE, REFUND], "adjustments").splitlines()[2:] == [
        "o1,Purchase,2026-11-22 08:01:00+0000,RESTATE,149.00,EUR"
    ]


def test_a_table_has_no_formula() -> None:
    text = google_csv.table([replaced(order_id="=1+1")], "conversions")
    assert text.endswith(",'=1+1\n")

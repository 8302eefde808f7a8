"""Bodies of a POST: any bytes give events or a named refusal, and no event costs its neighbours.

Long, because it is a list: what bodies may be.
"""

import gzip
import json
import zlib
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.policy.events_body import (
    MOST_BYTES,
    MOST_EVENTS,
    Event,
    TooLarge,
    Unreadable,
    inflate,
    judge,
    split,
)
from collector.policy.refusal import Refusal
from collector.policy.ruleset import BACK_MS
from tests.collector import scale

NOW = 1_795_334_400_000


def judged(event: object, *, server: bool = False) -> Event | Refusal:
    return judge(event, NOW, back_ms=BACK_MS, server=server)


def plain(good: Event | Refusal) -> object:
    """Return what an event holds, in a form that can be compared."""
    if isinstance(good, Refusal):
        return good
    kept = (good.site, good.consent, good.visitor_id, good.ip, good.user_agent)
    return (*kept, good.body(with_user_id=True))


def body_of(event: object, *, server: bool = False) -> Any:
    good = judged(event, server=server)
    assert isinstance(good, Event), good
    return json.loads(good.body(with_user_id=True))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (b"{}", 1),
        (b'{"event":"a"}', 1),
        (b"[]", 0),
        (b"[{},{}]", 2),
        (b'{"events":[]}', 0),
        (b'{"events":[{},1,null]}', 3),
        (b" \n[{}]\n", 1),
        (b"[" + b",".join([b"{}"] * MOST_EVENTS) + b"]", MOST_EVENTS),
    ],
)
def test_three_forms_of_a_body(text: bytes, count: int) -> None:
    assert len(split(text)) == count


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"1",
        b'"text"',
        b"{",
        b"{}{}",
        b"{'a':1}",
        b"[NaN]",
        b"\xff",
        b'{"events":{}}',
        b'{"events":null}',
        b'{"events":[],"site":"shop"}',
        b"[" * 2000 + b"]" * 2000,
        b"\x1f\x8b{}",
    ],
)
def test_what_is_no_body(text: bytes) -> None:
    with pytest.raises(Unreadable):
        split(text)


SALE = b'{"site":"demo","event":"purchase","value":"7"}'


@pytest.mark.parametrize(
    ("title", "read"),
    [
        (b"cut \\ud83d", "cut \ufffd"),
        (b"\\ude00 cut", "\ufffd cut"),
        (b"\\ud83d\\ud83d\\ude00", "\ufffd\U0001f600"),
        (b"\\ud83d\\u0041", "\ufffdA"),
        (b"a\\\\ud83d", "a\\ud83d"),
        (b"a\\\\\\ud83d", "a\\\ufffd"),
        (b"Gr\xfc\xdfe", "Gr\ufffd\ufffde"),
        (b"\xed\xa0\xbd", "\ufffd\ufffd\ufffd"),
    ],
)
def test_text_that_utf_8_cannot_hold_costs_itself_only(title: bytes, read: str) -> None:
    sale, other = split(b'[%b,{"site":"demo","title":"%b"}]' % (SALE, title))
    assert (sale.event, sale.value) == ("purchase", "7")
    assert other.title == read


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b" \n"])
def test_bytes_before_the_first_brace(mark: bytes) -> None:
    assert [event.value for event in split(mark + SALE)] == ["7"]


@pytest.mark.parametrize("coding", ["utf-16", "utf-8-sig"])
def test_a_body_as_windows_programs_write_it(coding: str) -> None:
    assert [event.value for event in split(SALE.decode().encode(coding))] == ["7"]


def test_json_in_a_json_string_is_read_once() -> None:
    text = orjson.dumps((b"[%b]" % SALE).decode())
    assert len(split(text)) == 1
    with pytest.raises(Unreadable):
        split(orjson.dumps(text.decode()))


def test_gzip_is_known_by_its_first_bytes() -> None:
    packed = gzip.compress(SALE)
    assert inflate(packed, "") == inflate(packed, "identity") == inflate(packed, "br") == SALE
    assert inflate(SALE, "gzip") == inflate(SALE, "x-gzip") == SALE


def test_an_empty_array_of_properties_is_none() -> None:
    event = judged({"event": "a", "props": []})
    assert isinstance(event, Event)
    assert event.body(with_user_id=True) == b'{"event":"a"}'


def test_too_many_events() -> None:
    with pytest.raises(TooLarge):
        split(b"[" + b",".join([b"{}"] * (MOST_EVENTS + 1)) + b"]")


def test_gzip_is_undone_within_a_bound() -> None:
    assert inflate(gzip.compress(b"{}"), "gzip") == b"{}"
    assert inflate(gzip.compress(b"{}"), " GZIP ") == b"{}"
    assert inflate(b"{}", "") == inflate(b"{}", "identity") == b"{}"
    whole = b" " * MOST_BYTES
    assert inflate(gzip.compress(whole), "gzip") == whole
    with pytest.raises(TooLarge):
        inflate(gzip.compress(whole + b" "), "gzip")
    with pytest.raises(TooLarge):
        inflate(gzip.compress(bytes(1 << 28), 1), "gzip")
    with pytest.raises(TooLarge):
        inflate(whole + b" ", "")


@pytest.mark.parametrize(
    ("raw", "coding"),
    [
        (gzip.compress(b"{}", mtime=0)[:-1], "gzip"),
        (gzip.compress(b"{}", mtime=0)[:-1], ""),
        (gzip.compress(b"{}", mtime=0) + b"x", "gzip"),
        (gzip.compress(b"{}", mtime=0) * 2, "gzip"),
        (b"{}", "br"),
        (zlib.compress(b"{}"), "deflate"),
    ],
)
def test_a_coding_that_is_not_gzip(raw: bytes, coding: str) -> None:
    with pytest.raises(Unreadable):
        inflate(raw, coding)


@settings(max_examples=scale.of(small=100, full=2_000), deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["", "gzip", "br", "x"]))
def test_any_bytes_are_read_or_refused(raw: bytes, coding: str) -> None:
    try:
        events = split(inflate(raw, coding))
    except (TooLarge, Unreadable):
        return
    for event in events:
        judged(event)


FULL = {
    "site": "shop",
    "event": "purchase",
    "url": "https://shop.example/thanks",
    "referrer": "https://shop.example/",
    "title": "Danke ♥",
    "id": "order-4711",
    "value": "19.90",
    "currency": "EUR",
    "user_id": "u-17",
    "consent": "1",
    "props": {"plan": "pro", "items": 3, "gift": True, "note": None, "weight": 1.5},
    "time": "2026-11-22T07:59:00Z",
}


def test_an_event_in_full() -> None:
    good = judged(FULL)
    assert isinstance(good, Event)
    assert (good.site, good.consent) == ("shop", "1")
    props = {"plan": "pro", "items": "3", "gift": "true", "weight": "1.5"}
    kept = {name: value for name, value in FULL.items() if name not in ("site", "consent")}
    assert json.loads(good.body(with_user_id=True)) == {**kept, "props": props}
    assert json.loads(good.body(with_user_id=False)) == {
        name: value for name, value in {**kept, "props": props}.items() if name != "user_id"
    }


def test_nothing_and_null_are_not_sent() -> None:
    assert body_of({"site": "shop", "event": "", "value": None, "props": None, "title": ""}) == {}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("33.333333", "33.333333"),
        (19.9, "19.9"),
        (20, "20"),
        (0.1 + 0.2, "0.3"),
        (-5.0, "-5"),
        ("19.90", "19.90"),
        (1e-9, "0"),
        (10.0, "10"),
    ],
)
def test_money_may_be_a_number(sent: object, kept: str) -> None:
    assert body_of({"value": sent}) == {"value": kept}


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (None, Refusal.BAD_BODY),
        ([], Refusal.BAD_BODY),
        ({"unknown": "x"}, Refusal.BAD_BODY),
        ({"m": "x"}, Refusal.BAD_BODY),
        ({"visitor_id": "v"}, Refusal.BAD_BODY),
        ({"ip": "203.0.113.9"}, Refusal.BAD_BODY),
        ({"user_agent": "x"}, Refusal.BAD_BODY),
        ({"sent_at": NOW}, Refusal.BAD_BODY),
        ({"site": ["shop"]}, Refusal.UNKNOWN_SITE),
        ({"site": "x" * 8193}, Refusal.UNKNOWN_SITE),
        ({"event": "a b"}, Refusal.BAD_EVENT),
        ({"event": "x" * 65}, Refusal.BAD_EVENT),
        ({"event": 7}, Refusal.BAD_EVENT),
        ({"id": "x" * 257}, Refusal.BAD_ID),
        ({"id": 1.5}, Refusal.BAD_ID),
        ({"id": {}}, Refusal.BAD_ID),
        ({"time": NOW - 72 * 3_600_000 - 1}, Refusal.BAD_TIME),
        ({"age": 72 * 3_600_000 + 1}, Refusal.BAD_TIME),
    ],
)
def test_what_identifies_or_dates_an_event_refuses_it(event: object, reason: Refusal) -> None:
    assert judged(event) is reason


UNUSABLE = {
    "url": [5, "x" * 8193, {}],
    "referrer": [5, "x" * 8193, []],
    "title": [4.5, "x" * 8193, True],
    "value": ["1,50", True, 1e16, {}, "9" * 15, float("inf"), "1e3", 10**30],
    "currency": ["euro", 978, "E1R", []],
    "user_id": ["a@b.example", ["u"], "x" * 257, 1.5],
    "time": ["yesterday", 1.5, NOW + 5 * 60_000 + 1, {}, "2026-11-22T07:59:00"],
    "age": [-1, 1.5, "x", True],
    "webdriver": ["yes", 2, {}],
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_value_that_cannot_be_used_costs_its_field_only(name: str) -> None:
    for value in UNUSABLE[name]:
        good = judged({"site": "shop", "event": "purchase", "id": "o-1", name: value})
        assert isinstance(good, Event), value
        assert good.dropped == (name,), value
        assert json.loads(good.body(with_user_id=True)) == {"event": "purchase", "id": "o-1"}


def test_all_fields_that_cannot_be_used_are_named_in_the_order_of_the_table() -> None:
    sent = {name: values[0] for name, values in reversed(UNUSABLE.items())}
    good = judged({**sent, "props": 1, "event": "a"})
    assert isinstance(good, Event)
    assert good.dropped == (*UNUSABLE, "props")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (["a"], {}),
        ("text", {}),
        ({"a": {}, "b": "c"}, {"b": "c"}),
        ({"a": [], "b": 1}, {"b": "1"}),
        ({"": "x", "b": "c"}, {"b": "c"}),
        ({"n" * 65: "x", "b": None}, {}),
        ({"a": "x" * 1025, "b": "x" * 1024}, {"b": "x" * 1024}),
        ({str(n): "x" for n in range(33)}, {str(n): "x" for n in range(32)}),
        ({"a": float("-inf")}, {}),
    ],
)
def test_a_property_that_cannot_be_used_costs_itself_only(sent: object, kept: dict[str, str]) -> None:
    good = judged({"site": "shop", "props": sent})
    assert isinstance(good, Event)
    assert good.dropped == ("props",)
    assert json.loads(good.body(with_user_id=True)) == ({"props": kept} if kept else {})


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (True, "1"), (1, "1"), ("1", "1"), (False, "0"), (0, "0"), ("no", "no"), ({"analytics": False}, "0"),
        ([1], "0"), (1.0, "0"), ("1" * 9000, "0"), (2, "2"), (None, ""),
    ],
)  # fmt: skip
def test_a_consent_that_cannot_be_read_is_a_refusal(sent: object, read: str) -> None:
    good = judged({"site": "shop", "consent": sent})
    assert isinstance(good, Event)
    assert (good.consent, good.dropped) == (read, ())


def test_a_title_that_is_a_number_is_read_as_text() -> None:
    assert body_of({"title": 404}) == {"title": "404"}


HUGE = [b"1e999", b"-1e999", b"1" * 5000, b"-" + b"1" * 5000]


@pytest.mark.parametrize("number", HUGE)
def test_a_number_beyond_every_machine_costs_its_field_only(number: bytes) -> None:
    sale, other = split(b'[%b,{"event":"read","title":"\\ud83d","value":%b,"props":{"a":%b}}]' % (SALE, number, number))
    assert isinstance(judged(sale), Event)
    good = judged(other)
    assert isinstance(good, Event)
    assert good.dropped == ("value", "props")
    assert json.loads(good.body(with_user_id=True)) == {"event": "read", "title": "\ufffd"}


@pytest.mark.parametrize(
    ("time", "sent_at", "age"),
    [
        (NOW - 7_200_000, NOW - 3_600_000, "3600000"),  # the clock is an hour slow
        (NOW + 86_400_000, NOW + 86_460_000, "60000"),  # a day fast
        ("2001-01-01T00:00:00Z", "2001-01-01T00:00:01Z", "1000"),
        (NOW - 1000, NOW - 1001, "0"),
    ],
)
def test_the_time_of_a_server_is_corrected_by_its_time_of_sending(time: object, sent_at: object, age: str) -> None:
    assert body_of({"time": time, "sent_at": sent_at, "age": 5}, server=True) == {"age": age}


@pytest.mark.parametrize(
    ("sent", "kept", "dropped"),
    [
        ({"time": NOW - 5, "sent_at": "now"}, {"time": str(NOW - 5)}, ("sent_at",)),
        ({"time": "now", "sent_at": NOW}, {}, ("time",)),
        ({"time": NOW, "sent_at": NOW - 300_001}, {}, ("time",)),
        ({"sent_at": NOW - 5, "age": 7}, {"age": "7"}, ()),
        ({"time": "now", "age": 7}, {"age": "7"}, ("time",)),
    ],
)
def test_times_that_cannot_be_used(sent: object, kept: object, dropped: tuple[str, ...]) -> None:
    good = judged(sent, server=True)
    assert isinstance(good, Event)
    assert good.dropped == dropped
    assert json.loads(good.body(with_user_id=True)) == kept


def test_an_event_that_is_too_old_by_its_senders_own_clock() -> None:
    sent = {"time": NOW - 72 * 3_600_000, "sent_at": NOW + 1}
    assert judged(sent, server=True) is Refusal.BAD_TIME
    assert isinstance(judged({**sent, "sent_at": NOW}, server=True), Event)
    assert isinstance(judged({"time": NOW, "age": 72 * 3_600_000 + 1}), Event), "the time wins"


def test_times_at_the_bounds() -> None:
    for at in (NOW - 72 * 3_600_000, NOW + 5 * 60_000, str(NOW)):
        assert body_of({"time": at}) == {"time": str(at)}


def test_a_server_names_its_visitor() -> None:
    good = judged({"site": "shop", "visitor_id": "v-1", "ip": "203.0.113.9", "user_agent": "UA"}, server=True)
    assert plain(good) == ("shop", "", "v-1", "203.0.113.9", "UA", b"{}")
    for unusable in ("a@b.example", "v" * 129, 7):
        good = judged({"site": "shop", "visitor_id": unusable, "ip": 4, "user_agent": ["x"]}, server=True)
        assert plain(good) == ("shop", "", "", "", "", b"{}")
        assert isinstance(good, Event)
        assert good.dropped == ("visitor_id", "ip", "user_agent")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
events = st.dictionaries(
    st.sampled_from([*FULL, "visitor_id", "ip", "user_agent", "sent_at", "age", "x"]), json_values, max_size=6
)


@settings(max_examples=scale.of(small=100, full=2_000), deadline=None)
@given(events | json_values, st.booleans())
def test_any_json_value_is_judged(event: object, server: bool) -> None:
    good = judged(event, server=server)
    if isinstance(good, Event):
        body = json.loads(good.body(with_user_id=True))
        assert body.keys() <= (FULL.keys() | {"age"}) - {"site", "consent"}
        assert all(isinstance(value, str) for name, value in body.items() if name != "props")
        assert all(isinstance(value, str) for value in body.get("props", {}).values())


@settings(max_examples=scale.of(small=100, full=2_000), deadline=None)
@given(st.lists(events | st.just(FULL), max_size=8))
def test_an_event_is_judged_alike_alone_and_in_company(batch: list[object]) -> None:
    together = [plain(judged(event)) for event in split(json.dumps(batch).encode())]
    alone = [plain(judged(split(json.dumps([event]).encode())[0])) for event in batch]
    assert together == alone
    assert [plain(judged(event)) for event in split(json.dumps({"events": batch}).encode())] == together

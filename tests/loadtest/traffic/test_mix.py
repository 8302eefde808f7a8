"""The mix of the benchmarks: its shares, the tag's requests in it, ids in the order of time, distinct requests."""

import itertools
import re
import uuid
from collections import Counter

import msgspec
import pytest

from collector import contract
from loadtest.traffic import mix, profiles, request_template, tag_visits
from loadtest.traffic.visitors import Surface

SURFACE = Surface(site="shop", token="secret", link_code="letter", page_origin="https://shop.example")
RECORDED = tag_visits.recording()


def taken(count: int, surface: Surface = SURFACE, seed: int = 1) -> list[request_template.Request]:
    return list(itertools.islice(mix.requests(seed, surface), count))


def shares(requests: list[request_template.Request]) -> dict[str, float]:
    counts: Counter[str] = Counter()
    for request in requests:
        counts[request.kind] += len(request.expected)
    return {kind: 100 * count / counts.total() for kind, count in counts.items()}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_shares_of_hits_are_those_of_the_file(seed: int) -> None:
    expected = {"tag": 60, "pixel": 20, "mail": 5, "click": 5, "server": 10}
    assert shares(taken(4_000, seed=seed)) == pytest.approx(expected, abs=1)


def test_what_the_target_has_not_is_sent_by_the_tag() -> None:
    expected = {"tag": 75, "pixel": 20, "mail": 5}
    assert shares(taken(4_000, Surface())) == pytest.approx(expected, abs=1)


def test_the_tags_requests_have_the_form_of_the_recording() -> None:
    headers = {name.lower() for step in RECORDED.values() for name, _ in step["headers"]} - {"host", "content-length"}
    fields = {tuple(event) for step in RECORDED.values() for event in step["events"]}
    steps: Counter[tuple[str, ...]] = Counter()
    for request in taken(3_000):
        if request.kind != "tag":
            continue
        assert {name.lower() for name, _ in request.headers} <= headers
        events = msgspec.json.decode(request.body)
        steps[tuple(event["event"] for event in events)] += 1
        for event in events:
            optional = {"consent", "user_id", "referrer", "age"}
            known = [name for name in event if name not in optional]
            assert any(known == [n for n in names if n not in optional] for names in fields), event
            assert event["id"] in (request_template.UUID_SLOT, request_template.ID_SLOT)
            assert (event["id"] == request_template.ID_SLOT) == (event["event"] == "purchase")
    assert {("pageview",), ("engagement",), ("engagement", "pageview"), ("add_to_cart",)} <= steps.keys()
    assert any(len(names) >= 4 for names in steps), "a batch after an outage"


def test_raw_requests_are_all_different_with_ids_in_the_order_of_time() -> None:
    found = list(mix.raw(1, SURFACE, 5_000, at_ms=1_795_334_400_000))
    assert len(set(found)) == 5_000
    assert found == list(mix.raw(1, SURFACE, 5_000, at_ms=1_795_334_400_000))
    assert not any(b"~" in one for one in found)
    ids = [uuid.UUID(found_id.decode()) for one in found for found_id in re.findall(rb'"id":"([0-9a-f-]{36})"', one)]
    assert len(set(ids)) == len(ids) > 2_000
    assert {one.version for one in ids} == {7}
    times = [one.int >> 80 for one in ids]
    assert times == sorted(times)
    assert (times[0] >= 1_795_334_400_000) & (times[-1] < 1_795_334_405_000)


def test_hits_are_what_the_collector_writes_in_the_same_shares() -> None:
    hits = list(itertools.islice(profiles.hits("mix", 9, SURFACE), 4_000))
    assert [contract.decode(contract.encode(hit)) for hit in hits] == hits
    assert len({hit.id for hit in hits}) == len(hits)
    counts = Counter(hit.kind for hit in hits)
    expected = {"tag": 60, "pixel": 20, "open": 5, "click": 5, "server": 10}
    assert {kind: 100 * count / len(hits) for kind, count in counts.items()} == pytest.approx(expected, abs=1)
    assert not any("~" in hit.query + hit.body + hit.visitor_id for hit in hits)
    assert not any("x.lt" in hit.query for hit in hits)
    for hit in hits:
        if hit.body:
            event = msgspec.json.decode(hit.body)
            assert isinstance(event, dict)
            assert not {"ip", "user_agent", "visitor_id"} & event.keys()


def test_an_id_in_the_tags_form_holds_run_sender_and_number() -> None:
    found = request_template.hit_uuid("0badcafe", 255, 0xFFFFFFFF, 1_795_334_400_123)
    assert len(found) == len(request_template.UUID_SLOT)
    assert uuid.UUID(found).version == 7
    assert uuid.UUID(found).int >> 80 == 1_795_334_400_123
    assert found[14:26] == request_template.uuid_middle("0badcafe")
    assert found[26:] == "ffffffffff"

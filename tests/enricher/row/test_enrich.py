"""The whole way from a record to a row: what the steps make together, and that nothing at all breaks them.

Long, because it is a list: what a row is made of.
"""

import itertools
import json
import string
import tomllib
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, get_args
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.contract import Hit, Kind, decode, encode
from collector.contract.fields import BY_QUERY, TABLE
from collector.policy.client_address import PRESETS, Cdn
from collector.policy.sites import parse as parse_sites
from enricher.commands.explain import answers
from enricher.contract import COLUMNS, DeadReason, Event, decode_row, encode_row
from enricher.row.enrich import Enricher
from enricher.rules import own_hosts
from enricher.rules.event_id import RULES, version
from enricher.rules.own_hosts import OwnHosts
from enricher.rules.sent_fields import Reader, Refusal
from enricher.stream.chunk import ChunkEnrichment, enrich_record
from enricher.stream.record_batch import BatchWriter
from enricher.tables import load_enricher
from tests.enricher.stream.test_record_batch import read as records_of

GOLDEN = Path(__file__).parents[2] / "contracts"
PLAIN = Hit(id="019aa0b1c2d37e4f8a9bacbdcedfe0f1", at=1795334400123, kind="pixel", site="shop")
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)


@pytest.fixture(scope="module")
def enricher() -> Enricher:
    return load_enricher()


def event(enricher: Enricher, **fields: str) -> Event:
    return read(enricher.enrich(msgspec.structs.replace(PLAIN, **fields)))


def read(judged: bytes | Refusal) -> Event:
    assert isinstance(judged, bytes), judged
    return decode_row(judged)


def test_every_golden_hit_becomes_an_event(enricher: Enricher) -> None:
    for line in (GOLDEN / "hit.jsonl").read_bytes().splitlines():
        assert read(enricher.enrich(decode(line))).enriched_by == RULES


def test_a_row_is_in_the_columns_order(enricher: Enricher) -> None:
    hit = decode((GOLDEN / "hit.jsonl").read_bytes().splitlines()[2])
    row = enricher.enrich(hit)
    assert isinstance(row, bytes)
    told = dict(zip(COLUMNS, msgspec.json.decode(row), strict=True))
    assert told["site"] == "shop"
    assert told["event"] == "purchase"
    assert told["kind"] == "tag"
    assert told["received_at"] == "1795334400.125"
    assert told["visitor_id"] == hit.visitor_id
    assert told["client_event_id"] == "order-4711"
    assert told["url"] == "https://shop.example/thanks"
    assert told["value"] == "19.90"
    assert told["currency"] == "EUR"
    assert told["os"] == "Windows"
    assert told["device"] == "desktop"
    assert (told["country"], told["region"], told["city"]) == ("AT", "9", "Wien")
    assert told["ip"] == "2001:db8:1::"
    assert told["consent"] == "assumed"
    assert told["props"] == {"plan": "pro"}


def test_the_page_defaults_to_the_referer(enricher: Enricher) -> None:
    assert event(enricher, referer="https://Shop.example/p").url == "https://shop.example/p"


def test_a_broken_default_page_costs_nothing(enricher: Enricher) -> None:
    assert event(enricher, referer="https://shop.example:99999/").url == ""


def test_a_server_has_no_default_page_and_needs_no_user_agent(enricher: Enricher) -> None:
    made = event(enricher, kind="server", body="{}", referer="https://shop.example/p")
    assert (made.url, made.is_bot) == ("", False)
    assert event(enricher, kind="server", body="{}", user_agent="curl/8").is_bot


def test_a_driven_browser_is_a_bot_unless_its_agent_names_another(enricher: Enricher) -> None:
    def reason(agent: str, webdriver: str) -> str:
        body = f'{{"webdriver":"{webdriver}"}}'
        return event(enricher, kind="tag", query="", body=body, user_agent=agent).bot_reason

    chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
    assert [reason(chrome, webdriver) for webdriver in "01"] == ["", "webdriver"]
    assert reason("curl/8", "1") == reason("curl/8", "0") != ""


def test_an_age_counts_back_from_the_receipt_where_there_is_no_time(enricher: Enricher) -> None:
    made = event(enricher, kind="tag", query="", body='{"age":"60000"}')
    assert round(float(made.received_at) - float(made.occurred_at), 3) == 60
    made = event(enricher, kind="tag", query="", body='{"age":"60000","time":"1795334399000"}')
    assert float(made.occurred_at) == 1795334399


@pytest.mark.parametrize(
    "url",
    [
        "shop", "undefined", "null", "{{page_url}}", "https:/x", "https://", "https://shop.example:99999/",
        "https%3A%2F%2Fshop.example%2F", "just some words", "http://[::1", "://x", "https://a b/",
    ],
)  # fmt: skip
def test_an_unusable_page_costs_itself_and_not_the_event(enricher: Enricher, url: str) -> None:
    query = f"e=purchase&id=o-1&v=19.90&c=EUR&u={quote(url, safe='')}"
    made = event(enricher, query=query, referer="https://shop.example/thanks")
    assert (made.event, made.client_event_id, made.value, made.currency) == ("purchase", "o-1", "19.90", "EUR")
    assert (made.url, made.host, made.path, made.dropped) == ("", "", "", ("url",))


def test_every_unusable_field_is_named_once(enricher: Enricher) -> None:
    hit = msgspec.structs.replace(PLAIN, query="u=shop&r=nonsense&v=many&c=gold&ts=then&x.=1", dropped=("value", "id"))
    made = read(enricher.enrich(hit))
    assert made.dropped == ("value", "id", "props", "currency", "time", "url", "referrer")
    assert (made.referrer, made.referrer_kind, made.value, made.occurred_at) == ("", "other", "0", made.received_at)


def test_a_header_that_cannot_be_read_names_no_field(enricher: Enricher) -> None:
    assert event(enricher, referer="nonsense").dropped == ()
    assert event(enricher, kind="click", body="{}", referer="nonsense").dropped == ()
    assert event(enricher, kind="click", body='{"referrer":"other"}', referer="nonsense").dropped == ("referrer",)
    assert event(enricher, kind="tag", body='{"url":"shop"}', referer="nonsense").dropped == ("url",)


def test_dropped_fields_are_counted_by_site(enricher: Enricher) -> None:
    enricher.dropped_fields.clear()
    for _ in range(2):
        event(enricher, query="u=shop&v=many")
    event(enricher, query="u=https://shop.example/")
    assert enricher.dropped_fields == {("shop", "url"): 2, ("shop", "value"): 2}


def test_the_site_itself_is_no_referrer(enricher: Enricher) -> None:
    made = event(enricher, query="u=https://shop.example.co.uk/&r=https://www.example.co.uk/x?q=1")
    assert (made.referrer_kind, made.source, made.channel) == ("internal", "(direct)", "Direct")
    assert made.referrer == "https://www.example.co.uk/x?q=1"


OWN = {"shop": OwnHosts(["shop-checkout.example", "paypal.com"])}


@pytest.mark.parametrize("host", ["shop-checkout.example", "www.shop-checkout.example", "paypal.com", "www.paypal.com"])
def test_a_sites_own_and_ignored_hosts_are_internal(host: str) -> None:
    query = f"u=https://shop.example/thanks&r=https://{host}/pay?x=1"
    for enricher in (load_enricher(own_hosts=OWN), load_enricher(own_hosts=OWN, remember=False)):
        for _ in range(3):
            made = event(enricher, query=query)
            assert (made.referrer_kind, made.referrer_name, made.source, made.channel) == (
                "internal", "", "(direct)", "Direct",
            )  # fmt: skip
            assert made.referrer_host == host
            tagged = event(enricher, kind="tag", body=f'{{"url":"https://shop.example/","referrer":"https://{host}/"}}')
            assert tagged.referrer_kind == "internal"
            sold = event(enricher, query=query + "&e=purchase&v=1&utm_source=x")
            assert (sold.referrer_kind, sold.source) == ("internal", "x"), "a campaign still counts"
            assert event(enricher, site="blog", query=query).referrer_kind == "other", "of that site only"
            assert event(enricher, query=query.replace(host, f"{host}.other.example")).referrer_kind == "other"


def test_own_hosts_are_read_from_the_file_that_the_collector_takes() -> None:
    text = (GOLDEN.parents[1] / "deploy" / "sites.example.toml").read_bytes()
    found = own_hosts.load(tomllib.loads(text.decode()))
    collected = parse_sites(text)
    assert found.keys() == {key for key, site in collected.items() if site.hosts or site.ignored_referrers} == {"shop"}
    assert all(
        found["shop"].contains(host) for host in (*collected["shop"].hosts, *collected["shop"].ignored_referrers)
    )
    assert not found["shop"].contains("example")


@pytest.mark.parametrize("text", ["[sites.a]\nhosts = 'x.example'", "[sites.a]\nignored_referrers = [1]"])
def test_hosts_that_are_no_list_of_texts_are_refused_by_site(text: str) -> None:
    with pytest.raises(ValueError, match=r"site 'a': (hosts|ignored_referrers)"):
        own_hosts.load(tomllib.loads(text))


def test_another_site_under_one_public_suffix_is_one(enricher: Enricher) -> None:
    made = event(enricher, query="u=https://one.github.io/&r=https://two.github.io/")
    assert (made.referrer_kind, made.source, made.medium) == ("other", "two.github.io", "referral")


def test_a_search_brings_organic_traffic(enricher: Enricher) -> None:
    made = event(enricher, query="u=https://shop.example/&r=https%3A%2F%2Fwww.google.de%2Fsearch%3Fq%3Dmug")
    assert (made.source, made.medium, made.channel) == ("google", "organic", "Organic Search")
    assert (made.referrer_name, made.referrer_kind, made.search_term) == ("Google", "search", "mug")


def test_a_campaign_stands_before_the_referrer(enricher: Enricher) -> None:
    made = event(
        enricher,
        query="u=https%3A%2F%2Fshop.example%2F%3Futm_source%3DFB%26utm_medium%3Dcpc&r=https://www.google.com/",
    )
    assert (made.utm_source, made.source, made.medium, made.channel) == ("FB", "facebook", "cpc", "Paid Social")
    assert made.referrer_kind == "search"


def test_the_hits_own_query_speaks_where_the_page_is_silent(enricher: Enricher) -> None:
    made = event(enricher, query="u=https://shop.example/&utm_source=flyer&utm_medium=qr")
    assert (made.source, made.medium) == ("flyer", "qr")
    made = event(enricher, query="u=https%3A%2F%2Fshop.example%2F%3Futm_source%3Dpage&utm_source=own&utm_medium=qr")
    assert (made.source, made.medium) == ("page", "qr")


def test_a_cache_buster_in_the_query_hides_no_campaign(enricher: Enricher) -> None:
    made = event(enricher, query="s=shop&cb=123", referer="https://shop.example/?utm_source=page")
    assert made.source == "page"
    made = event(enricher, query="s=shop&utm_medium=qr", referer="https://shop.example/?utm_source=page")
    assert (made.source, made.medium) == ("page", "qr")


def test_a_click_id_alone_implies_source_and_medium(enricher: Enricher) -> None:
    made = event(enricher, query="u=https%3A%2F%2Fshop.example%2F%3Fgclid%3Dabc")
    assert (made.click_id_name, made.click_id, made.source, made.channel) == ("gclid", "abc", "google", "Paid Search")


def test_an_open_comes_by_mail(enricher: Enricher) -> None:
    made = event(enricher, kind="open", query="s=news&m=m-1&l=Customers", user_agent="Mozilla/5.0")
    assert (made.open_kind, made.is_bot, made.channel, made.campaign) == ("prefetch", False, "Email", "customers")
    assert (made.message_id, made.list_id) == ("m-1", "Customers")
    scanned = event(enricher, kind="open", user_agent="Barracuda Sentinel (EE)")
    assert (scanned.open_kind, scanned.is_bot, scanned.bot_reason) == ("scanner", True, "Barracuda")


_FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"


@pytest.mark.parametrize("purpose", ["prefetch", "prefetch;prerender", "preview", "Prefetch;anonymous-client-ip"])
def test_what_a_browser_fetches_ahead_is_no_person(enricher: Enricher, purpose: str) -> None:
    def marks(**fields: Any) -> tuple[bool, str, str]:
        made = event(enricher, **{"purpose": purpose, **fields})
        return made.is_bot, made.bot_reason, made.open_kind

    for kind, body in (("pixel", ""), ("click", '{"event":"click"}'), ("tag", '{"webdriver":"1"}')):
        assert marks(kind=kind, body=body, user_agent=_FIREFOX) == (True, "prefetch", "")
        assert marks(kind=kind, body=body, user_agent="curl/8.5.0") == (True, "curl", "")
    assert marks(kind="pixel", user_agent=_FIREFOX, purpose="") == (False, "", "")
    assert marks(kind="open", user_agent=_FIREFOX) == (False, "", "prefetch")
    assert marks(kind="open", user_agent="Barracuda Sentinel (EE)") == (True, "Barracuda", "scanner")


def test_the_same_agent_elsewhere_is_a_bot(enricher: Enricher) -> None:
    assert event(enricher, user_agent="Mozilla/5.0").bot_reason == "absurd"


def test_the_senders_id_makes_two_hits_one_event(enricher: Enricher) -> None:
    browser = event(enricher, kind="tag", body='{"event":"purchase","id":"o-1"}')
    server = event(enricher, id="f" * 32, kind="server", body='{"event":"purchase","id":"o-1"}')
    assert browser.event_id == server.event_id
    assert browser.version > server.version


def test_versions_are_ordered_as_promised() -> None:
    assert version("tag", 5, 1) > version("server", 4, 9), "the browser's copy first"
    assert version("tag", 5, 2) > version("tag", 4, 1), "then later rules"
    assert version("tag", 4, 1) > version("pixel", 5, 1), "then the earliest receipt"
    assert 0 < version("server", 2**44 - 1, 0) < version("tag", 0, 65_535) < 2**63


def test_personal_data_is_masked_wherever_a_url_goes(enricher: Enricher) -> None:
    address = "joe.doe%2Bx%40mail.example"
    inner = f"https://u:p@shop.example/{address}?email={address}&q={address}&utm_source={address}&utm_term={address}"
    quoted = inner.replace("%", "%25").replace("&", "%26").replace("?", "%3F").replace(":", "%3A")
    made = event(
        enricher,
        query=f"u={quoted}&r={quoted}&t={address}&utm_content={address}&gclid={address}&m={address}",
        user_agent=CHROME,
    )
    row = encode_row(made).decode()
    for leak in ("joe", "doe", "mail.example", "u:p@"):
        assert leak not in row, leak


def test_each_new_user_agent_is_judged_once(enricher: Enricher) -> None:
    hits = [decode(line) for line in (GOLDEN / "hit.jsonl").read_bytes().splitlines()]
    fresh = load_enricher()
    assert fresh.enrich_all([*hits, *hits]) == [enricher.enrich(hit) for hit in hits] * 2
    assert fresh.caches["user_agents"].misses == len({(hit.user_agent, hit.sec_ch_ua) for hit in hits})


@cache
def any_enricher() -> Enricher:
    return load_enricher()


@cache
def forgetful() -> Enricher:
    """The definition: every result is computed again."""
    return load_enricher(remember=False)


def sound(judged: bytes | Refusal) -> None:
    if isinstance(judged, Refusal):
        assert judged.reason in get_args(DeadReason)
        return
    assert encode_row(decode_row(judged)) == judged, "what is put together of pieces is what the contract encodes"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_an_event_or_a_named_refusal(record: bytes) -> None:
    sound(enrich_record(any_enricher().enrich, record))


_TEXTS = st.text(max_size=40) | st.sampled_from(["{{page_url}}", "https:/x", "1e3", "2026-11-22t07:59:59z", "\ud83d"])
_ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=12,
)
_BODIES = st.dictionaries(
    st.sampled_from([field.name for field in TABLE] + ["props", "link_code", "click_id", "other"]), _ANY_JSON
).map(json.dumps)
_QUERIES = st.lists(
    st.tuples(st.sampled_from([*BY_QUERY, "m", "l", "x.a", "x.", "amp;u", "utm_source"]), _TEXTS), max_size=10
).map(lambda pairs: "&".join(f"{name}={quote(text, safe='', errors='replace')}" for name, text in pairs))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["tag", "server", "click"]), _BODIES, st.text(max_size=20))
def test_any_json_object_becomes_a_row(kind: Kind, body: str, referer: str) -> None:
    sound(made := any_enricher().enrich(msgspec.structs.replace(PLAIN, kind=kind, body=body, referer=referer)))
    assert isinstance(made, bytes), "nothing that a sender writes is dead, so that nothing of it counts for the brake"


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["pixel", "open"]), _QUERIES | st.text(max_size=60), st.text(max_size=20))
def test_any_query_becomes_a_row(kind: Kind, query: str, referer: str) -> None:
    query = query.encode(errors="replace").decode()
    sound(made := any_enricher().enrich(msgspec.structs.replace(PLAIN, kind=kind, query=query, referer=referer)))
    assert isinstance(made, bytes)


def test_a_body_nested_too_deep_becomes_no_traceback(enricher: Enricher) -> None:
    deep = '{"event":"a","other":' + "[" * 5000 + "]" * 5000 + "}"
    assert enricher.enrich(msgspec.structs.replace(PLAIN, kind="tag", body=deep)) == Refusal(
        "undecodable", "body: not JSON"
    ), "the collector writes the fields of its table only, so it never writes this"


@pytest.mark.parametrize("hit_id", ["A" * 32, "0" * 31, "0" * 33, "00 " * 10 + "00", "é" * 16, "g" * 32, "٣" * 32, ""])
def test_an_id_that_no_collector_writes_is_refused(enricher: Enricher, hit_id: str) -> None:
    wrong = msgspec.structs.replace(PLAIN, id=hit_id)
    refusal, row = enricher.enrich_all([wrong, PLAIN])
    assert refusal == Refusal("undecodable", "id or time of receipt that no collector writes")
    assert row == enricher.enrich(PLAIN), "and costs nobody else anything"


@pytest.mark.parametrize("at", [-1, 9_000_000_000_000])
def test_a_time_that_no_collector_writes_is_refused(enricher: Enricher, at: int) -> None:
    refusal = enricher.enrich(msgspec.structs.replace(PLAIN, at=at))
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "undecodable"
    assert read(enricher.enrich(msgspec.structs.replace(PLAIN, at=8_999_999_999_999))).received_at == "8999999999.999"
    assert read(enricher.enrich(msgspec.structs.replace(PLAIN, at=7))).received_at == "0.007"


_HITS = st.builds(
    Hit,
    id=st.sampled_from(["019aa0b1c2d37e4f8a9bacbdcedfe0f1", "0" * 32, "0" * 31, "A" * 32, "é" * 16]),
    at=st.sampled_from([0, 7, 1795334400123, -1, 2**60]),
    kind=st.sampled_from(get_args(Kind)),
    site=st.sampled_from(["shop", 'a"b']),
    query=st.sampled_from(["", "s=shop&e=view&x.a=1", "u=https://a:99999/", "u=https://b.example/?gclid=1&v=2&id=7"]),
    body=st.sampled_from(["{}", "", '{"event":"buy","value":3,"time":1795334400000,"id":"o-1","link_code":"x"}']),
    user_agent=st.sampled_from(["", CHROME, "curl/8"]),
    referer=st.sampled_from(["", "https://b.example/", "https://t.co/x"]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(_HITS, max_size=12))
def test_many_hits_at_once_become_what_each_becomes(hits: list[Hit]) -> None:
    assert any_enricher().enrich_all(hits) == [forgetful().enrich(hit) for hit in hits]


_RECORDS = _HITS.map(encode) | st.sampled_from([b"", b"{", b'{"v":2}', b'{"v":1,"id":3}'])


@settings(max_examples=60, deadline=None)
@given(records=st.lists(_RECORDS, min_size=1, max_size=12), serial=st.integers(0, 10**9), order=st.randoms())
def test_a_chunk_becomes_what_each_of_its_records_becomes(records: list[bytes], serial: int, order: Random) -> None:
    """Two blocks and a half; some of the user agents are new. The clock advances by 1.5 ms with each look."""
    chunk = [
        order.choice(records).replace(b"curl/8", b"curl/8.%d" % order.randrange(serial, serial + 9))
        for _ in range(1200)
    ]
    rows = BatchWriter("none", 1 << 20, transactional=False)
    clock = itertools.count(0.0, 0.0015).__next__
    enrichment = ChunkEnrichment(any_enricher(), chunk, list(range(1000, 1000 + len(chunk))), rows, clock)
    assert sum(1 for _ in enrichment.steps()) > 60, "it pauses by time"
    made: dict[int, bytes | Refusal] = {
        timestamp - 1000: value for batch in rows.batches() for _, timestamp, _, value in records_of(batch)
    }
    assert rows.count == len(made), "each once"
    assert made.keys().isdisjoint(enrichment.refused)
    assert made | enrichment.refused == {
        place: enrich_record(forgetful().enrich, each) for place, each in enumerate(chunk)
    }


def test_a_hit_of_a_new_client_waits_until_the_client_is_read() -> None:
    enricher = load_enricher()
    assert enricher.enrich_familiar(PLAIN) is None
    (row,) = enricher.enrich_all([PLAIN])
    assert enricher.enrich_familiar(PLAIN) == row
    refused = msgspec.structs.replace(PLAIN, kind="tag", body="[]")
    assert isinstance(enricher.enrich_familiar(refused), Refusal)


_PROP_NAMES = st.sampled_from(["id", "a", '"id":"x"', "\\"])
_BODIES = st.lists(
    st.tuples(
        st.sampled_from(["id", "id", "event", "url", "title", "props", "user_id", "other"]),
        st.sampled_from(
            ["IDENT", "view", "https://b.example/", 'say "id":"IDENT" twice', "\\", "\n", "IDENT\\", 7, None]
        )
        | st.dictionaries(_PROP_NAMES, st.sampled_from(["IDENT", 'x","id":"IDENT', 1]), max_size=2),
    ),
    max_size=5,
).map(lambda fields: _object([("url", "https://b.example/"), *fields]))


def _object(fields: list[tuple[str, object]]) -> str:
    return (
        "{" + ",".join(f"{json.dumps(name)}:{json.dumps(said, separators=(',', ':'))}" for name, said in fields) + "}"
    )


_RECURRING_BODIES = [
    f'{{"url":"https://b.example/",{rest}}}'
    for rest in (
        '"id":"IDENT"',
        '"id":"IDENT","id":"same"',
        '"id":"same","id":"IDENT"',
        '"id":"IDENT","id":"not-1"',
        '"other":{"id":"IDENT"},"id":"not-1"',
        '"props":{"id":"IDENT"}',
        '"props":{"id":"IDENT"},"id":"IDENT"',
        '"user_id":"\\"id\\":","id":"IDENT"',
    )
]


@settings(max_examples=300, deadline=None)
@given(
    body=_BODIES | st.sampled_from(_RECURRING_BODIES),
    idents=st.lists(
        st.sampled_from(["1", "o-2", "not-1", "é", "\x00", "", "\\", '"', "x" * 1022, "x" * 2000]), min_size=4
    ),
)
def test_a_tags_event_is_read_anew_whatever_its_id(body: str, idents: list[str]) -> None:
    """For bodies that differ only in the id the cached fields must be right; `id` may be anywhere, and twice."""
    enricher = any_enricher()
    enricher.caches["bodies"].forget()
    for ident in idents:
        hit = msgspec.structs.replace(PLAIN, kind="tag", body=body.replace("IDENT", ident), user_agent=CHROME)
        assert enricher.enrich(hit) == forgetful().enrich(hit)


def test_a_tags_event_is_remembered_but_for_its_id() -> None:
    reader = Reader()
    body = '{"event":"buy","url":"https://b.example/","id":"%s","props":{"plan":"pro"}}'
    said = [reader.read("tag", "", body % ident, "") for ident in ("1", "2", "3", "4")]
    assert [each[3] for each in said] == ["1", "2", "3", "4"]
    assert said[3][5] is said[2][5] is said[1][5], "from the second on the same properties, not equal ones"
    assert (reader.bodies.held, reader.bodies.misses) == (1, 2)
    long = body.replace('"pro"', f'"{"x" * 1000}","more":"{"y" * 1000}"')
    for ident in ("1", "2", "3"):
        reader.read("tag", "", long % ident, "")
    assert reader.bodies.held == 1, "long ones are not"


def test_a_hits_fields_are_taken_in_their_order() -> None:
    """`enrich.py` takes them by place; two texts that change places would go unnoticed."""
    assert " ".join(Hit.__struct_fields__) == (
        "id at kind site query body user_agent referer accept_language sec_ch_ua sec_ch_ua_mobile sec_ch_ua_platform "
        "purpose geo_country geo_region geo_city ip visitor_id visitor_kind consent dropped"
    )


_TEXT = st.text(max_size=80) | st.sampled_from(
    ["https://a.example/?email=x@y.example", "//", "http://[", "%", "%%41", "\x00", "a@b.example", "🦊", "1e9", "NaN"]
)
_QUERY = st.lists(
    st.tuples(
        st.sampled_from(["s", "e", "u", "r", "t", "id", "v", "c", "ts", "x.a", "m", "l", "utm_source", "gclid"]), _TEXT
    )
).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs))
_BODY = st.dictionaries(
    st.sampled_from(["event", "url", "referrer", "title", "id", "value", "currency", "time", "props", "click_id"]),
    _TEXT | st.integers() | st.floats() | st.none() | st.booleans() | st.dictionaries(_TEXT, _TEXT, max_size=3),
    max_size=6,
).map(lambda body: msgspec.json.encode(body).decode())


@settings(max_examples=500, deadline=None)
@given(
    kind=st.sampled_from(get_args(Kind)),
    query=_QUERY | _TEXT,
    body=_BODY | _TEXT,
    agent=_TEXT,
    referer=_TEXT,
    hints=_TEXT,
    language=_TEXT,
    ip=_TEXT,
    country=_TEXT,
)
def test_any_hit_gives_an_event_or_a_named_refusal(
    kind: Kind, query: str, body: str, agent: str, referer: str, hints: str, language: str, ip: str, country: str
) -> None:
    hit = msgspec.structs.replace(
        PLAIN,
        kind=kind,
        query=query,
        body=body,
        user_agent=agent,
        referer=referer,
        sec_ch_ua=hints,
        sec_ch_ua_mobile=hints,
        sec_ch_ua_platform=hints,
        accept_language=language,
        ip=ip,
        geo_country=country,
    )
    judged = enrich_record(any_enricher().enrich, encode(hit))
    sound(judged)
    assert judged == forgetful().enrich(hit), "what is remembered changes no answer"
    assert judged == any_enricher().enrich(hit) == any_enricher().enrich(hit), "nor later, when what recurs is"
    if isinstance(judged, bytes):
        made = decode_row(judged)
        assert "a@b.example" not in made.url + made.referrer + made.utm_source


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=string.ascii_letters + string.digits + ".@%+-_/=&?", max_size=200))
def test_no_address_survives_in_a_stored_url(text: str) -> None:
    made = any_enricher().enrich(
        msgspec.structs.replace(PLAIN, query="u=https://shop.example/" + text + "joe@mail.example")
    )
    if isinstance(made, bytes):
        assert "joe@mail.example" not in decode_row(made).url


def test_explain_answers_each_line(enricher: Enricher) -> None:
    lines = [
        b'{"url":"https://shop.example/?utm_source=fb","user_agent":"curl/8"}',
        b"",
        b'{"query":"s=shop&v=abc"}',
        b'{"kind":"tag","event":"signup","headers":{"Accept-Language":"de"}}',
    ]
    told = [msgspec.json.decode(line) for line in answers(lines, enricher.enrich)]
    assert [each.get("source") or each["dead"] for each in told] == ["facebook", "(direct)", "(direct)"]
    assert told[1]["dropped"] == ["value"]
    assert told[2]["language"] == "de"


@pytest.mark.parametrize("cdn", [cdn for cdn in PRESETS.values() if cdn.country], ids=lambda cdn: cdn.country)
def test_explain_knows_the_place_headers_of_every_cdn(enricher: Enricher, cdn: Cdn) -> None:
    question = {"headers": {cdn.country.title(): "AT", cdn.region: "9", cdn.city: "Wien"}}
    (told,) = (msgspec.json.decode(line) for line in answers([msgspec.json.encode(question)], enricher.enrich))
    assert (told["country"], told["region"], told["city"]) == ("AT", "9", "Wien")


def test_explain_names_the_line_it_cannot_read(enricher: Enricher) -> None:
    with pytest.raises(ValueError, match=r"line 2: .*colour"):
        list(answers([b"{}", b'{"colour":"red"}'], enricher.enrich))

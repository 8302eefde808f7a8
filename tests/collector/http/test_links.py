"""Links lead only where the operator listed or signed, for any text in them.

Long, because it is a list: the texts of links.
"""

import hmac
import os
from base64 import urlsafe_b64encode
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.contract import click_ids, decode
from collector.policy.client import NO_CLIENT
from collector.policy.cookies import NONE
from collector.policy.ids import Ids
from collector.policy.link_file import Link, parse
from collector.policy.links import (
    BadLinks,
    Destination,
    _signature,
    host_of,
    passed_on,
    sign,
    verify,
    with_parameters,
    wrong_with,
)
from collector.policy.outcome import Outcomes, Sent
from collector.policy.ruleset import Ruleset
from collector.policy.sites import Site
from tests.collector import scale

KEY = b"a key of the operator"
SITES = {"shop": Site()}
UTM = (("utm_source", "youtube"), ("utm_campaign", "späte & süße"))


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example",
        "http://shop.example/",
        "HTTPS://Shop.Example/A?b=c#d",
        "https://shop.example:8443/p/1?a=1&b=%20#/route?x=1",
        "https://shop.example?only=query",
        "https://shop.example/~user/(a)!$&'*+,;=:@%41",
        "https://xn--bcher-kva.example/",
        "http://localhost:8000/",
        "http://127.0.0.1/",
        "http://[2001:db8::1]:80/",
        "http://[2001:DB8::1]/",
        "https://shop.example/x_pcl=1?a_pcl=2",
    ],
)
def test_good_destinations(url: str) -> None:
    assert wrong_with(url) == ""


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop.example",
        "/path",
        "//evil.example/",
        "https:/evil.example",
        "https:evil.example",
        "https:///evil.example",
        "https:\\\\evil.example",
        "https://shop.example\\@evil.example/",
        "https://shop.example/\\evil",
        "javascript:alert(1)",
        "java\tscript:alert(1)",
        "data:text/html,x",
        "ftp://shop.example/",
        "https://user@shop.example/",
        "https://shop.example:pw@evil.example/",
        "https://shop.example@evil.example",
        "https://shop.example%40evil.example/",
        "https://shop.example%2eevil.example/",
        "https://bücher.example/",
        "https://shop.example\uff0fevil",
        "https://sh\u043ep.example/",
        "https://shop.example/ü",
        "https://shop.example/\r\nSet-Cookie: a=b",
        "https://shop.example/\n",
        "https://shop.example/\0",
        " https://shop.example/",
        "https://shop.example/ x",
        "https://shop.example/\x7f",
        "https://shop.example:99999/",
        "https://shop.example:0/",
        "https://shop.example:/",
        "https://-shop.example/",
        "https://shop..example/",
        "https://.example/",
        "https://[evil]/",
        "https://shop.example/?_pcl=1",
        "https://shop.example/" + "a" * 4096,
    ],
)
def test_bad_destinations(url: str) -> None:
    assert wrong_with(url)
    with pytest.raises(BadLinks):
        sign("shop", url, KEY)
    with pytest.raises(BadLinks, match="line 1"):
        parse(b"[links.x]\nsite = 'shop'\nto = " + toml_string(url), SITES)


def toml_string(text: str) -> bytes:
    return ('"' + "".join(f"\\U{ord(c):08x}" for c in text) + '"\n').encode()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example", "https://a.example/?x=1&y=%20%C3%BC"),
        ("https://a.example/", "https://a.example/?x=1&y=%20%C3%BC"),
        ("https://a.example?", "https://a.example?x=1&y=%20%C3%BC"),
        ("https://a.example/p#top", "https://a.example/p?x=1&y=%20%C3%BC#top"),
        ("https://a.example#top", "https://a.example/?x=1&y=%20%C3%BC#top"),
        ("https://a.example/p?b=2#/r?c=3", "https://a.example/p?b=2&x=1&y=%20%C3%BC#/r?c=3"),
        ("https://a.example/p?b=2&", "https://a.example/p?b=2&x=1&y=%20%C3%BC"),
        ("https://a.example/p??", "https://a.example/p??&x=1&y=%20%C3%BC"),
        ("https://a.example/p?x=own", "https://a.example/p?x=own&y=%20%C3%BC"),
        ("https://a.example/p?%78=own&y", "https://a.example/p?%78=own&y"),
        ("https://a.example/%2F?b=%2f;c&&d", "https://a.example/%2F?b=%2f;c&&d&x=1&y=%20%C3%BC"),
    ],
)
def test_parameters_are_added_without_touching_the_rest(url: str, expected: str) -> None:
    assert with_parameters(url, (("x", "1"), ("y", " ü"))) == expected


def test_no_parameters_no_change() -> None:
    assert with_parameters("https://a.example?#", ()) == "https://a.example?#"


hosts = st.sampled_from(["shop.example", "xn--bcher-kva.example", "127.0.0.1", "[2001:db8::1]", "a.b-c.example:8443"])
visible = st.text(alphabet=[chr(c) for c in range(0x21, 0x7F) if chr(c) != "\\"], max_size=30)
destinations = st.builds(
    lambda scheme, host, sign, rest: f"{scheme}://{host}{sign + rest if sign else ''}",
    st.sampled_from(["http", "https"]),
    hosts,
    st.sampled_from(["", "/", "?", "#"]),
    visible,
).filter(lambda url: not wrong_with(url))
pairs = st.lists(st.tuples(st.sampled_from(["utm_source", "utm_medium", "_pcl"]), st.text(max_size=20)), max_size=3)


@settings(max_examples=scale.of(small=100, full=2_000), deadline=None)
@given(destinations, pairs)
def test_a_redirect_never_leaves_its_destination(url: str, added: list[tuple[str, str]]) -> None:
    led = with_parameters(url, added)
    before, after = urlsplit(url), urlsplit(led)
    assert (after.scheme, after.netloc, after.fragment) == (before.scheme, before.netloc, before.fragment)
    assert after.path == before.path or (before.path, after.path) == ("", "/")
    assert after.query.startswith(before.query)
    assert led.isascii()
    assert led.isprintable()
    own = {name for name, _ in parse_qsl(before.query, keep_blank_values=True)}
    got = parse_qsl(after.query, keep_blank_values=True, errors="replace")
    for name, text in added:
        if name not in own:
            assert (name, text) in got


@settings(max_examples=scale.of(small=100, full=2_000), deadline=None)
@given(destinations, pairs, pairs)
def test_parameters_may_be_added_in_two_steps(
    url: str, first: list[tuple[str, str]], second: list[tuple[str, str]]
) -> None:
    assert Destination(url, first).url(second) == with_parameters(url, [*first, *second])


@settings(max_examples=scale.of(small=50, full=2_000), deadline=None)
@given(destinations, st.sampled_from(["", "gclid=a%22b", "fbclid=%C3%BC+1&x=2"]), st.booleans())
def test_a_click_is_stored_with_the_address_that_it_leads_to(url: str, query: str, named: bool) -> None:
    links = {"one": Link(site="shop", to=url, source='a"b')}
    outcomes = Outcomes(Ruleset({"shop": Site(consent="assumed")}, links=links, link_keys=(KEY,)), Ids(os.urandom))
    outcomes.tick(1_795_334_400_000)
    sent = Sent(NO_CLIENT, b"", NONE, "192.0.2.1")
    if named:
        outcome = outcomes.named_click("one", query, sent, counts=True)
    else:
        outcome = outcomes.signed_click(f"{sign('shop', url, KEY)}&{query}", sent, counts=True)
    (record,) = outcome.records
    hit = decode(record)
    expected = {"event": "click", "click_id": hit.id, "url": outcome.location} | ({"link_code": "one"} if named else {})
    assert msgspec.json.decode(hit.body) == expected
    added = (*(links["one"].utm if named else ()), *passed_on(query), (click_ids.OWN, hit.id))
    assert outcome.location == with_parameters(url, added)


def leads(query: str, *keys: bytes) -> tuple[object, ...]:
    """Return the site, the URL and what is passed on of a signed link; empty where no key signed it."""
    target = verify(query, keys or (KEY,))
    return () if target is None else (target.site, target.url, target.passed_on)


@settings(max_examples=scale.of(small=100, full=2_000), deadline=None)
@given(st.lists(st.sampled_from(["gclid=1", "GCLID=%20", "x=1", "amp;fbclid=a%2Bb", "fbclid=", "%66bclid=2", "", "="])))
def test_a_signed_link_passes_on_what_any_link_does(more: list[str]) -> None:
    query = "&".join((sign("shop", "https://shop.example/", KEY), *more))
    assert leads(query) == ("shop", "https://shop.example/", passed_on(query))


@settings(max_examples=scale.of(small=100, full=2_000), deadline=None)
@given(destinations)
def test_what_was_signed_leads_there(url: str) -> None:
    query = sign("shop", url, KEY)
    assert query.isascii()
    assert leads(query) == ("shop", url, ())
    assert leads(query, b"the next key", KEY) == ("shop", url, ())
    assert leads(query + "&fbclid=IwAR0&utm_source=x") == ("shop", url, (("fbclid", "IwAR0"),))
    assert verify(query, [b"another key"]) is None
    assert verify(query, []) is None


@settings(max_examples=scale.of(small=100, full=2_000), deadline=None)
@given(destinations, destinations, st.sampled_from(["shop", "blog"]))
def test_a_signature_holds_for_one_site_and_one_destination(url: str, other: str, site: str) -> None:
    signature = sign("shop", url, KEY).rpartition("k=")[2]
    forged = verify(f"s={site}&u={quote(other, safe='')}&k={signature}", [KEY])
    assert forged is None or (site, other) == ("shop", url)


@settings(max_examples=scale.of(small=100, full=2_000), deadline=None)
@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=30))
def test_nobody_else_can_sign(site: str, url: str, signature: str) -> None:
    assert verify(f"s={quote(site)}&u={quote(url)}&k={quote(signature)}", [KEY]) is None
    assert verify(f"{site}&{url}&{signature}", [KEY]) is None


@pytest.mark.parametrize("repeated", ["s=shop", "u=https%3A%2F%2Fevil.example%2F", "k=x"])
def test_a_repeated_parameter_is_refused(repeated: str) -> None:
    query = sign("shop", "https://shop.example/", KEY)
    assert verify(f"{query}&{repeated}", [KEY]) is None
    assert verify(f"{repeated}&{query}", [KEY]) is None


@given(st.text(max_size=70), st.text(max_size=70), st.binary(max_size=130))
def test_the_signature_is_an_hmac(site: str, url: str, key: bytes) -> None:
    digest = hmac.digest(key, f"{site}\n{url}".encode("utf-8", "surrogatepass"), "sha256")
    assert _signature(site, url, key) == urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()


def test_even_a_signed_destination_is_checked_again() -> None:
    url = "javascript:alert(1)"
    assert verify(f"s=shop&u={quote(url, safe='')}&k={_signature('shop', url, KEY)}", [KEY]) is None


def test_a_links_file() -> None:
    text = b"""
[links.yt-launch]
site = "shop"
to = "https://shop.example/p/1"
source = "youtube"
campaign = "launch"
"""
    links = parse(text, SITES)
    assert links == {"yt-launch": Link(site="shop", to="https://shop.example/p/1", source="youtube", campaign="launch")}
    assert links["yt-launch"].utm == (("utm_source", "youtube"), ("utm_campaign", "launch"))
    assert parse(b"", SITES) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"[links.a]\nsite='shop'\n", "line 1: link 'a': Object missing required field `to`"),
        (b"\n[links.a]\nsite='blog'\nto='https://a.example'\n", "line 2: link 'a': site 'blog' is not in sites.toml"),
        (
            b"[links.a]\nsite='shop'\nto='https://a.example'\nutm='x'\n",
            "line 1: link 'a': Object contains unknown field",
        ),
        (b"[links.'a/b']\nsite='shop'\nto='https://a.example'\n", "line 1: link 'a/b': a code is"),
        (b"links = 5\n", "line 1: links must be tables"),
        (b"[links]\na = 5\n", "line 2: link 'a': Expected `object`"),
        (b"[link.a]\n", "line 1: unknown table or key 'link'"),
        (b"[links\n", "not TOML"),
        (b"\xff", "not TOML"),
    ],
)
def test_a_broken_links_file_is_told_why(text: bytes, said: str) -> None:
    with pytest.raises(BadLinks) as told:
        parse(text, SITES)
    assert str(told.value).startswith(said)


def test_click_ids_of_ad_platforms_travel_on() -> None:
    query = "gclid=EAIaIQ&x=1&fbclid=Iw%41R0&gclid=second&msclkid=&utm_source=evil&_pcl=forged&ttclid=" + "t" * 513
    assert passed_on(query) == (("gclid", "EAIaIQ"), ("fbclid", "IwAR0"))


@pytest.mark.parametrize(
    ("url", "host"), [("https://Shop.Example:8443/x", "shop.example"), ("http://[::1]/", "[::1]"), ("x", "")]
)
def test_host(url: str, host: str) -> None:
    assert host_of(url) == host


def test_a_link_passes_on_every_parameter_that_the_enricher_knows() -> None:
    names = [network.name for network in click_ids.NETWORKS if network.name != click_ids.OWN]
    assert {"ysclid", "awc", "cjevent", "gclid"} <= set(names)
    for name in (*names, "gclsrc", "ScCid"):
        assert passed_on(f"a=b&{name}=x%2By&{name}=z") == ((name, "x+y"),)
    assert passed_on(f"{click_ids.OWN}=1&utm_source=x&gclidx=1") == ()


def test_a_link_whose_ampersands_were_escaped_again_leads_on() -> None:
    query = sign("shop", "https://shop.example/", KEY)
    for times in (1, 2):
        query = query.replace("&", "&amp;")
        assert leads(query + "&amp;gclid=1") == ("shop", "https://shop.example/", (("gclid", "1"),)), times
        assert passed_on(query + "&amp;gclid=1") == (("gclid", "1"),)
    assert verify(query.replace("amp;k=", "k=x&amp;k="), [KEY]) is None, "a signature twice"

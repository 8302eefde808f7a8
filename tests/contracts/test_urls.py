"""One judge of addresses: what the collector calls usable the enricher takes apart, and the other way round."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.contract.urls import is_url, unescaped
from enricher.rules.url import BadUrl, clean, decode
from tests.collector import scale

PIECES = st.sampled_from(
    [
        "http", "https", "HTTPS", "ftp", "android-app", "about", "mailto", "view-source", ":", ":/", "://", "//", "/",
        "\\", "?", "#", "@", "[", "]", "[::1]", "%", "%2F", "%252F", "%3A", "%E4", "%00", "%zz", "shop", ".example",
        ".",
        "shop.example", "xn--mnchen-3ya.de", "münchen.de", "ß", "a" * 253, "ü" * 64, "80", ":443", ":65536", ":0x1",
        "²", ":٣", " ", "\t", "\n", "\x7f", "\ufffd", "undefined", "user:pass", "a=1&b=2", "blank",
    ]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=8).map("".join) | st.text(max_size=40)


def enricher_can(text: str) -> bool:
    try:
        clean(text)
    except BadUrl:
        return False
    return True


@settings(max_examples=scale.of(small=1_500, full=100_000), deadline=None)
@given(TEXTS)
def test_both_ends_judge_an_address_alike(text: str) -> None:
    assert is_url(text) == enricher_can(text)


@settings(max_examples=scale.of(small=1_500, full=100_000), deadline=None)
@given(TEXTS)
def test_both_ends_unescape_alike(text: str) -> None:
    assert unescaped(text) == decode(text)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("https://shop.example/p?x=1", True),
        ("//shop.example/p", True),
        ("/p/1", True),
        ("about:blank", True),
        ("view-source:https://shop.example/", True),
        ("http://user:secret@shop.example:8080", True),
        ("http://[2001:db8::1]/", True),
        ("shop.example/x", False),
        ("undefined", False),
        ("https:/shop.example/x", False),
        ("https%3A%2F%2Fshop.example%2F", False),
        ("http://", False),
        ("http://shop.example:99999/", False),
        ("http://shop.example:" + "9" * 5000, False),
        ("http://a b/", False),
        ("shop", False),
    ],
)
def test_addresses(text: str, good: bool) -> None:
    assert is_url(text) is good
    assert enricher_can(text) is good

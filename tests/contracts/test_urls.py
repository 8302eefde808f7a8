"""One judge of addresses: what the collector calls usable the enricher takes apart, and the other way round."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.contract.urls import is_url, unescaped
from enricher.rules.url import BadUrl, clean, decode
from tests.collector import scale
from tests.contracts.events import ADDRESSES

EXAMPLES = 500
"""Texts of one seed."""
SEEDS = scale.of(small=3_000, full=100_000) // EXAMPLES


def texts(seed: int) -> list[str]:
    """Return EXAMPLES texts: of pieces of addresses, and of any characters."""
    rng = random.Random(seed)

    def character() -> str:
        return chr(rng.randrange(rng.choice((0x80, 0x100, 0x3000, 0xD800))))

    return [
        "".join(character() for _ in range(rng.randrange(40)))
        if rng.random() < 0.2
        else "".join(rng.choices(ADDRESSES, k=rng.randrange(9)))
        for _ in range(EXAMPLES)
    ]


def enricher_can(text: str) -> bool:
    try:
        clean(text)
    except BadUrl:
        return False
    return True


@settings(max_examples=SEEDS, deadline=None)
@given(st.integers(0, 2**64 - 1))
def test_both_ends_judge_an_address_alike(seed: int) -> None:
    for text in texts(seed):
        assert is_url(text) == enricher_can(text), text


@settings(max_examples=SEEDS, deadline=None)
@given(st.integers(0, 2**64 - 1))
def test_both_ends_unescape_alike(seed: int) -> None:
    for text in texts(seed):
        assert unescaped(text) == decode(text), text


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

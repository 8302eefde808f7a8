"""The last refusals: what is kept of them, and that nothing else is."""

import re

from hypothesis import given
from hypothesis import strategies as st

from collector.policy.outcome import EVENTS, PIXEL
from collector.policy.refusal import Refusal
from collector.policy.refused_hits import MOST, RefusedHit, RefusedHits, origin_of


def test_equal_refusals_are_one_entry_with_a_count() -> None:
    held = RefusedHits()
    for at in (1_000, 2_000, 3_000):
        held.note(at, EVENTS, Refusal.UNKNOWN_SITE, "shopp", "https://shop.example/cart?user=kim")
    held.note(2_500, PIXEL, Refusal.BAD_ID, "shop", "")
    assert held.all() == [
        RefusedHit("tag", "unknown_site", "shopp", "https://shop.example", 3, 1_000, 3_000),
        RefusedHit("pixel", "bad_id", "shop", "", 1, 2_500, 2_500),
    ]


def test_the_entry_that_was_repeated_longest_ago_goes_first() -> None:
    held = RefusedHits()
    for number in range(MOST):
        held.note(number, EVENTS, Refusal.UNKNOWN_SITE, f"site-{number}", "")
    held.note(MOST, EVENTS, Refusal.UNKNOWN_SITE, "site-0", "")
    held.note(MOST + 1, EVENTS, Refusal.UNKNOWN_SITE, "one-more", "")
    names = [one.name for one in held.all()]
    assert len(names) == MOST
    assert names[0] == "site-2"
    assert names[-2:] == ["site-0", "one-more"]


NAMES = st.one_of(st.text(max_size=80), st.emails(), st.sampled_from(["shop", "a" * 64, "a" * 65, ""]))
HOST = st.from_regex(r"[a-z0-9]{1,8}(\.[a-z0-9]{1,8}){0,2}", fullmatch=True)


@given(NAMES, st.text(max_size=100), st.text(max_size=100), st.sampled_from(list(Refusal)))
def test_any_name_and_page_give_an_entry_of_the_known_form(name: str, user: str, rest: str, reason: Refusal) -> None:
    held = RefusedHits()
    held.note(1, EVENTS, reason, name, f"https://{user}@shop.example/{rest}")
    held.note(1, EVENTS, reason, name, rest)
    for one in held.all():
        assert one.name in ("(none)", "(unreadable)") or one.name == name
        assert re.fullmatch(r"\(none\)|\(unreadable\)|[A-Za-z0-9_.-]{1,64}", one.name)
        assert re.fullmatch(r"|https?://(\[[0-9a-f:]+\]|[a-z0-9.-]{1,253})(:[0-9]{1,5})?", one.origin)
        assert "@" not in one.name + one.origin


@given(st.sampled_from(["http", "https"]), HOST, st.sampled_from(["", ":8088"]), st.text(max_size=30))
def test_of_a_page_the_origin_is_kept(scheme: str, host: str, port: str, rest: str) -> None:
    origin = f"{scheme}://{host}{port}"
    assert origin_of(origin) == origin
    for between in "/?#":
        assert origin_of(origin + between + rest) == origin
    assert origin_of(f"{scheme}://kim:secret@{host}/") == ""
    assert origin_of("null") == ""

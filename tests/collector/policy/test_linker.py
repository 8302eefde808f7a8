"""The linker: it gives back the visitor's id where it is meant for, and nothing anywhere else."""

from hypothesis import given
from hypothesis import strategies as st

from collector.policy.ids import LINKER_MS, linker, visitor_of, without_linker

KEY, OLD = b"the operator's link key", b"an earlier key of theirs"
ID = "0123456789abcdef0123456789abcdef"
NOW = 1_796_000_000_000
RANDOM = "00112233445566778899"

text = st.text(max_size=20)
ids = st.text("0123456789abcdef", min_size=32, max_size=32)


@given(ids, text, text, text, st.integers(0, LINKER_MS))
def test_it_gives_the_id_back(visitor: str, site: str, host: str, agent: str, later: int) -> None:
    made = linker(visitor, site, host, agent, NOW, RANDOM, KEY)
    assert len(made) == 60
    assert visitor_of(made, site, host, agent, NOW + later, [OLD, KEY]) == visitor


def test_it_is_for_one_place_one_browser_and_two_minutes() -> None:
    made = linker(ID, "shop", "shop.de", "Firefox", NOW, RANDOM, KEY)
    good = (made, "shop", "shop.de", "Firefox", NOW + 1000, [KEY])
    assert visitor_of(*good) == ID
    for at, wrong in (
        (1, "blog"), (2, "shop.at"), (3, "Chrome"), (4, NOW + LINKER_MS + 1), (4, NOW - 1), (5, [OLD]), (5, []),
    ):  # fmt: skip
        asked = list(good)
        asked[at] = wrong
        assert visitor_of(*asked) == ""  # type: ignore[arg-type]


def test_it_does_not_show_the_id() -> None:
    first = linker(ID, "shop", "shop.de", "Firefox", NOW, RANDOM, KEY)
    second = linker(ID, "shop", "shop.de", "Firefox", NOW, RANDOM[::-1], KEY)
    other = linker("f" * 32, "shop", "shop.de", "Firefox", NOW, RANDOM, KEY)
    assert len({first[20:], second[20:], other[20:]}) == 3


@given(st.integers(0, 59), st.sampled_from("ABCxyz012-_"))
def test_no_character_may_change(at: int, character: str) -> None:
    made = linker(ID, "shop", "shop.de", "Firefox", NOW, RANDOM, KEY)
    changed = made[:at] + character + made[at + 1 :]
    assert visitor_of(changed, "shop", "shop.de", "Firefox", NOW, [KEY]) == (ID if changed == made else "")


@given(st.text(max_size=80))
def test_any_text_is_taken(found: str) -> None:
    assert visitor_of(found, "shop", "shop.de", "Firefox", NOW, [KEY]) == ""


def test_it_leaves_the_address() -> None:
    for url, bare, found in (
        ("https://shop.de/", "https://shop.de/", ""),
        ("https://shop.de/?_plk=abc", "https://shop.de/", "abc"),
        ("https://shop.de/?_plk=abc&a=1#part", "https://shop.de/?a=1#part", "abc"),
        ("https://shop.de/?a=1&_plk=abc&b=2", "https://shop.de/?a=1&b=2", "abc"),
        ("https://shop.de/?a=1&_plk=abc#part", "https://shop.de/?a=1#part", "abc"),
        ("https://shop.de/?_plk=abc&_plk=d&a", "https://shop.de/?a", "d"),
        ("https://shop.de/?x_plk=abc", "https://shop.de/?x_plk=abc", ""),
    ):
        assert without_linker(url) == (bare, found)

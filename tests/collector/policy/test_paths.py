"""Own names of the public paths: which are taken, and which are refused with a reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.policy.paths import RENAMED, BadPaths, parse, standard_by_own


def test_names_are_read() -> None:
    assert parse("") == {}
    assert parse(" t.js = /shop.js ,e=save,") == {"t.js": "shop.js", "e": "save"}
    assert standard_by_own(parse("c=go, p.gif=dot.gif")) == {b"go": b"c", b"dot.gif": b"p.gif"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("save", "STANDARD=OWN"),
        ("robots.txt=r", "cannot be renamed"),
        ("e=a, e=b", "renamed twice"),
        ("e=a, c=a", "taken"),
        ("e=c", "taken"),
        ("e=e", "taken"),
        ("e=opt-out", "taken"),
        ("e=a/b", "not a name"),
        ("e=", "not a name"),
        ("e=..", "not a name"),
        ("e=a b", "not a name"),
        ("e=a?b", "not a name"),
        ("e=ü", "not a name"),
        ("e=" + "a" * 65, "not a name"),
    ],
)
def test_what_cannot_be_a_name(text: str, reason: str) -> None:
    with pytest.raises(BadPaths, match=reason):
        parse(text)


@given(st.text(alphabet="tjsecop.gif=,/ a-\u00fc", max_size=40))
def test_any_text_gives_distinct_names_or_a_reason(text: str) -> None:
    try:
        found = parse(text)
    except BadPaths:
        return
    assert set(found) <= set(RENAMED)
    assert len(standard_by_own(found)) == len(found)
    assert not set(found.values()) & set(RENAMED)

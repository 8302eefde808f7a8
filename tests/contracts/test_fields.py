"""The table of fields: its names are unique, and each check tells usable values from others, in linear time."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.contract import fields
from collector.contract.fields import BY_NAME, BY_QUERY, TABLE, is_email, is_usable, text_of
from tests.collector import scale

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def test_names_are_unique() -> None:
    assert len(BY_NAME) == len(TABLE)
    assert len(BY_QUERY) == sum(bool(field.query) for field in TABLE)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("event", ["a", "A-b_c.d:9", "x" * 64], ["", "a b", "x" * 65, "é"]),
        (
            "value",
            ["0", "-5", "+1.2345", "9" * 14, "33.333333"],
            ["", "1,5", "1.", "9" * 15, "1e3", "٣", "0." + "1" * 301],
        ),
        ("currency", ["EUR", "eur"], ["", "EURO", "E1R"]),
        ("user_id", ["u-17", "a@b", "x" * 256], ["a@b.example", " a@b.example ", "x" * 257]),
        ("visitor_id", ["v", "x" * 128], ["a@b.example", "x" * 129]),
        ("id", ["", "x" * 256], ["x" * 257]),
        ("url", ["anything at all", "x" * 8192], ["x" * 8193]),
        ("age", ["0", "259200000"], ["", "-1", "1.5", "٣", "1" * 13]),
        ("webdriver", ["1", "0"], ["", "true", "2"]),
        (
            "time",
            ["2026-11-22T07:59:00Z", "1795334400000", "1795334400"],
            ["", "yesterday", "2026-11-22T07:59:00", "17953344"],
        ),
    ],
)
def test_usable_and_other_values(name: str, good: list[str], bad: list[str]) -> None:
    assert all(is_usable(BY_NAME[name], text) for text in good)
    assert not any(is_usable(BY_NAME[name], text) for text in bad)


@settings(max_examples=scale.of(small=300, full=10_000), deadline=None)
@given(st.text(alphabet="ab@. \t\n\x1c\u2003é", max_size=12))
def test_an_email_address_is_what_the_pattern_says(text: str) -> None:
    assert is_email(text) == (EMAIL.fullmatch(text.strip()) is not None)


def test_a_json_value_becomes_the_text_of_a_query() -> None:
    assert text_of(BY_NAME["value"], 0.1 + 0.2) == "0.3"
    assert text_of(BY_NAME["value"], True) is None
    assert text_of(BY_NAME["consent"], False) == "0"
    assert text_of(BY_NAME["id"], 17) == "17"
    assert text_of(BY_NAME["url"], 17) is None
    assert set(fields.DEFAULT_EVENT) == {"pixel", "open", "tag", "click", "server"}


def test_a_time_in_seconds_is_the_same_moment() -> None:
    moment = "2026-11-22T08:00:00Z"
    assert fields.epoch_ms(moment) == fields.epoch_ms("1795334400") == fields.epoch_ms("1795334400000") == 1795334400000
    assert fields.epoch_ms(str(fields.SECONDS_BELOW - 1)) == (fields.SECONDS_BELOW - 1) * 1000
    assert fields.epoch_ms(str(fields.SECONDS_BELOW)) == fields.SECONDS_BELOW

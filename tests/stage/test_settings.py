"""The settings loader: every field is a variable, every mistake is one line that names the variable."""

import tempfile
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import collector.settings
import deploy.local.settings
import enricher.settings
import sink.settings
from stage.settings import Count, Port, Ratio, Seconds, Servers, SettingError, Settings, allowed, load

PROGRAMS: list[type[Settings]] = [
    collector.settings.Settings,
    enricher.settings.Settings,
    sink.settings.Settings,
    deploy.local.settings.Settings,
]


class Example(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    PREFIX: ClassVar[str] = "EXAMPLE_"

    needed: str
    secret: str = ""
    rows: Count = 1
    on: bool = True
    color: Literal["red", "green"] = "red"


def test_values_are_read_by_their_types() -> None:
    given_so = {
        "EXAMPLE_NEEDED": "x",
        "EXAMPLE_ROWS": "7",
        "EXAMPLE_ON": "false",
        "EXAMPLE_COLOR": "green",
        "PATH": "/",
    }
    assert load(Example, given_so) == Example(needed="x", rows=7, on=False, color="green")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"EXAMPLE_NEEDED": None}, "EXAMPLE_NEEDED: must be set"),
        ({"EXAMPLE_ROWS": "0"}, "EXAMPLE_ROWS: must be a whole number of at least 1"),
        ({"EXAMPLE_ROWS": "ten"}, "EXAMPLE_ROWS: must be a whole number of at least 1"),
        ({"EXAMPLE_ON": "maybe"}, "EXAMPLE_ON: must be true or false"),
        ({"EXAMPLE_COLOR": "blue"}, "EXAMPLE_COLOR: must be one of green, red"),
        ({"EXAMPLE_COLOUR": "red"}, "EXAMPLE_COLOUR: there is no such setting"),
        ({"EXAMPLE_rows": "1"}, "EXAMPLE_rows: there is no such setting"),
        ({"EXAMPLE_": "1"}, "EXAMPLE_: there is no such setting"),
        ({"EXAMPLE_FILE": "1"}, "EXAMPLE_FILE: there is no such setting"),
        ({"EXAMPLE_PREFIX": "1"}, "EXAMPLE_PREFIX: there is no such setting"),
        ({"EXAMPLE_SECRET": "a", "EXAMPLE_SECRET_FILE": "b"}, "EXAMPLE_SECRET_FILE: EXAMPLE_SECRET is set too"),
        ({"EXAMPLE_SECRET_FILE": "/no/such"}, "EXAMPLE_SECRET_FILE: cannot read '/no/such': No such file or directory"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_variable(changed: dict[str, str | None], message: str) -> None:
    environ = {"EXAMPLE_NEEDED": "x"} | changed
    with pytest.raises(SettingError) as caught:
        load(Example, {name: text for name, text in environ.items() if text is not None})
    assert str(caught.value) == message


TEXTS = st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]))


@given(TEXTS, st.sampled_from(["", "\n", "\r\n"]))
def test_a_file_gives_its_content_without_the_last_line_end(text: str, end: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "secret"
        path.write_bytes((text + end).encode())
        assert load(Example, {"EXAMPLE_NEEDED": "x", "EXAMPLE_SECRET_FILE": str(path)}).secret == text


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingError, match=r"EXAMPLE_SECRET_FILE: '.*' is no UTF-8 text file"):
        load(Example, {"EXAMPLE_NEEDED": "x", "EXAMPLE_SECRET_FILE": str(tmp_path / "binary")})


@given(st.sampled_from(PROGRAMS), st.data())
def test_any_text_is_a_value_within_its_bounds_or_a_named_mistake(program: type[Settings], data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(msgspec.structs.fields(program)))
    numbers = st.integers(-(2**70), 2**70).map(str) | st.floats().map(str)
    text = data.draw(st.text(max_size=20) | numbers | st.sampled_from(["", "true", "nan", "inf", "1e999", "SSL"]))
    name = program.variable(field.name)
    required = {program.variable(one.name): "x" for one in msgspec.structs.fields(program) if one.required}
    found = None
    message = ""
    try:
        found = getattr(load(program, required | {name: text}), field.name)
    except SettingError as problem:
        message = str(problem)
    if message:
        assert message.startswith(f"{name}: must be ")
        assert "\n" not in message
    else:
        assert found == msgspec.convert(found, field.type)
        assert not isinstance(found, float) or abs(found) < float("inf")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Port, "a whole number from 0 to 65535"),
        (Ratio, "a number greater than 0 and of at most 1"),
        (Seconds, "a number of at least 0"),
        (int, "a whole number"),
        (str, "a text"),
        (Servers, "one or more host:port, separated by commas"),
        (Annotated[str, msgspec.Meta(pattern="^a")], "a text that matches ^a"),
    ],
)
def test_the_allowed_values_are_described(kind: Any, words: str) -> None:
    assert allowed(kind) == words

"""Views within views, written out: what the text becomes, and that each has the last text of the others."""

import re

import pytest

from sink.migrations import load
from sink.schema.flat_views import flatten
from sink.sql_text import split

_COMMENT = re.compile(r"--[^\n]*")
_NAME = re.compile(r"\bpharos\.(\w+)")
_VIEW = re.compile(r"CREATE OR REPLACE VIEW pharos\.(\w+)")

INNER = """-- pharos.inner is not read here.
CREATE OR REPLACE VIEW pharos.inner SQL SECURITY DEFINER AS
SELECT a FROM rows WHERE a = {x:String} AND b = {n:UInt8}"""


def outer(call: str) -> str:
    """Return what a view becomes that reads the inner one like this."""
    return flatten([INNER, f"CREATE OR REPLACE VIEW pharos.outer AS\nSELECT * FROM {call}"], {})[1]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("pharos.inner(x = {y:String}, n = 1) AS i", "(SELECT a FROM rows WHERE a = {y:String} AND b = 1) AS i"),
        ("pharos.inner(n = 1,\n x = '(,pharos.inner')", "(SELECT a FROM rows WHERE a = '(,pharos.inner' AND b = 1)"),
        (
            "pharos.inner(x = f([1, {x:String}], 'a'), n = 1)",
            "(SELECT a FROM rows WHERE a = (f([1, {x:String}], 'a')) AND b = 1)",
        ),
        # Looked up: ClickHouse does it once for the arguments of a call.
        ("pharos.inner(x = plan.1, n = 1)", "pharos.inner(x = plan.1, n = 1)"),
        ("rows WHERE a = 'pharos.inner' -- pharos.inner", "rows WHERE a = 'pharos.inner' "),
        ("pharos.inner_too", "pharos.inner_too"),
    ],
    ids=["parameters", "text", "expression", "looked up", "texts and comments", "another name"],
)
def test_a_view_within_a_view(call: str, text: str) -> None:
    """It is replaced by its text, its parameters by the arguments."""
    assert outer(call) == f"CREATE OR REPLACE VIEW pharos.outer AS\nSELECT * FROM {text}"


@pytest.mark.parametrize("call", ["pharos.inner", "pharos.inner(x = '')", "pharos.inner(x = '', n = 1, z = 2)"])
def test_parameters_must_match(call: str) -> None:
    """A forgotten parameter would be one of the outer view, without a word."""
    with pytest.raises(ValueError, match="inner takes"):
        outer(call)


def test_built_on_the_last_definitions() -> None:
    """A migration that changes a view makes those again that read it: they have its old text in theirs."""
    texts = [text for file in load() for text in split(file.text) if _VIEW.search(text)]
    last = {_VIEW.search(text)[1]: number for number, text in enumerate(texts)}  # type: ignore[index]
    for view, number in last.items():
        own = _COMMENT.sub("", texts[number])
        later = [name for name in _NAME.findall(own) if last.get(name, -1) > number]
        assert not later, f"{view} is older than {later}, which it reads"

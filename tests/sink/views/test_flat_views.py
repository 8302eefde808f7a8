"""Views within views, written out: what the text becomes, and that each has the last text of the others."""

import re

import pytest

from sink.migrations import load
from sink.schema.flat_views import View, flatten

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


def test_a_changed_view_makes_those_again_that_read_it() -> None:
    """They have its old text in theirs. Each is made after what it reads, and once."""
    known: dict[str, View] = {}

    def view(name: str, reads: str) -> str:
        return f"CREATE OR REPLACE VIEW pharos.{name} AS\nSELECT * FROM {reads}"

    flatten([view("a", "rows"), view("b", "pharos.a"), view("c", "pharos.b"), view("other", "rows")], known)
    assert flatten([view("new", "rows"), view("a", "pharos.new"), "ALTER TABLE rows"], known) == [
        view("new", "rows"),
        view("a", "(SELECT * FROM rows)"),
        "ALTER TABLE rows",
        view("b", "(SELECT * FROM (SELECT * FROM rows))"),
        view("c", "(SELECT * FROM (SELECT * FROM (SELECT * FROM rows)))"),
    ]
    # `a` was first defined before `new`; what reads it is made after both.
    assert flatten([view("new", "changed"), view("c", "pharos.a")], known) == [
        view("new", "changed"),
        view("c", "(SELECT * FROM (SELECT * FROM changed))"),
        view("a", "(SELECT * FROM changed)"),
        view("b", "(SELECT * FROM (SELECT * FROM changed))"),
    ]


def test_built_on_the_last_definitions() -> None:
    """Of the migrations as they are applied, no view is made before another that it reads by name."""
    texts = [statement for file in load() for statement in file.flat if _VIEW.search(statement)]
    last = {_VIEW.search(text)[1]: number for number, text in enumerate(texts)}  # type: ignore[index]
    for view, number in last.items():
        own = _COMMENT.sub("", texts[number])
        later = [name for name in _NAME.findall(own) if last.get(name, -1) > number]
        assert not later, f"{view} is older than {later}, which it reads"

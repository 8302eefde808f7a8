"""The check of words finds what it looks for, in every kind of text, and only there."""

from pathlib import Path

import pytest

from tests.words import findings, rules, tracked


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("page.md", "# A page\n\nThe sink is told of it.\n", 3),
        ("module.py", '"""The sink is told of it."""\n', 1),
        ("module.py", 'def f():\n    """Do it.\n\n    The sink is told of it.\n    """\n', 4),
        ("module.py", "x = 1  # the sink is told of it\n", 1),
        ("module.py", 'raise ValueError("the sink was never told of it")\n', 1),
        ("module.py", 'raise ValueError(f"{x}: the sink was never told of it")\n', 1),
        ("module.py", 'X = 1\n"""What the sink is told."""\n', 2),
        ("schema.sql", "SELECT 1; -- as the sink is told\n", 1),
        ("tag.js", "x() // as the sink is told\n", 1),
        ("compose.yaml", "a: 1\n# as the sink is told\n", 2),
        ("Makefile", "run:  ## Start what the sink is told\n", 1),
    ],
)
def test_a_listed_word_is_found(name: str, text: str, line: int) -> None:
    (found,) = findings(Path(name), text)
    assert (found.path, found.line, found.word) == (name, line, "told")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("page.md", "```sql\nSELECT told\n```\nThe column `told` is a number.\n"),
        ("module.py", "told = 1\n"),
        ("module.py", 'x = "told"\n'),
        ("module.py", '"""The column `told` is a number, retold and told_at."""\n'),
        ("tests/test_x.py", 'x = "the sink was never told of it"\n'),
        ("schema.sql", "SELECT told\n"),
        ("data.json", "the sink is told of it"),
    ],
)
def test_code_and_data_are_not_read(name: str, text: str) -> None:
    assert list(findings(Path(name), text)) == []


@pytest.mark.parametrize("text", ["hop-by-hop headers", "standard", "wayward", "is no one", "a word like recommended"])
def test_longer_words_are_others(text: str) -> None:
    assert list(findings(Path("page.md"), text)) == []


def test_every_entry_has_an_advice_and_every_tracked_kind_is_read() -> None:
    assert all(write for _, write in rules())
    kinds = {path.suffix for path in tracked(["."])}
    assert {".md", ".py", ".sql", ".toml"} <= kinds

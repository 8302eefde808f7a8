"""The dictionary of columns: `python -m tests.sql.docs.columns [--write]` compares it with ClickHouse, or makes it.

sink/schema/columns.toml says what views and columns are. Of it are made docs/columns.md, with the types that DESCRIBE
gives, and the last migration, which puts the texts into ClickHouse as comments. ClickHouse keeps no columns of a view
with parameters: its comment names parameters and columns.
"""

import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import chdb

from sink.sql_text import split
from tests.sql.asked import QUESTIONS

ROOT: Final = Path(__file__).parents[3]
SCHEMA: Final = ROOT / "sink" / "schema"
PAGE: Final = ROOT / "docs" / "columns.md"
MIGRATION: Final = "_comments.sql"
_PART: Final = "A part of other views; it may change."

_HEAD: Final = """# Columns

`make fmt` makes this page from `sink/schema/columns.toml` and the types that ClickHouse gives; `make check` fails if it
is not current. ClickHouse has the same texts as comments: of each column for tables and views without parameters; of
the view for views with parameters, since ClickHouse keeps no columns of these. Definitions are in [sql.md](sql.md).
"""
_SQL_HEAD: Final = """\
-- What SQL editors show about tables, views and columns. `make fmt` makes this file from columns.toml.
-- It is the last migration: a view that is created again has no comment.

"""


class Dictionary:
    """The texts of columns.toml. Raises ValueError for a column without a text, or a text without a column."""

    def __init__(self) -> None:
        read = tomllib.loads((SCHEMA / "columns.toml").read_text(encoding="utf-8"))
        self.released: int = read["released"]
        self._shared: dict[str, str] = read["columns"]
        self.views: dict[str, dict[str, str]] = read["views"]
        self._used: set[str] = set()

    def of(self, view: str, column: str) -> str:
        """Return what the column is."""
        own = self.views[view].get(column)
        if own is None:
            self._used.add(column)
            own = self._shared.get(column)
        if own is None:
            raise ValueError(f"columns.toml: no text for {column} of {view}")
        return own

    def check(self, found: dict[str, list[tuple[str, str]]]) -> None:
        """Look for texts of columns that are in no view."""
        for view, texts in self.views.items():
            unknown = set(texts) - {"is"} - {name for name, _ in found[view]}
            if unknown:
                raise ValueError(f"columns.toml: {view} has no column {', '.join(sorted(unknown))}")
        unused = set(self._shared) - self._used
        if unused:
            raise ValueError(f"columns.toml: no view needs {', '.join(sorted(unused))}")


class Engine:
    """A ClickHouse in this process with our schema and one event. Only one at a time."""

    def __init__(self) -> None:
        self._connection: Any = chdb.connect(":memory:")  # type: ignore[no-untyped-call]
        self.run("CREATE DATABASE pharos")
        for path in sorted(SCHEMA.glob("*.sql")):
            for statement in split(path.read_text(encoding="utf-8")):
                self.run(statement)
        for event in ("purchase", "pageview"):  # questions about what was never sent are errors
            self.run(f"INSERT INTO pharos.event_log (site, event) SELECT 'shop', '{event}'")

    def run(self, sql: str) -> list[list[str]]:
        """Return the rows, as texts."""
        answer = str(self._connection.query(sql, "TSVRaw"))
        return [line.split("\t") for line in answer.splitlines()]

    def close(self) -> None:
        """End it."""
        self._connection.close()


def called(view: str) -> str:
    """Return how the view is asked: with its parameters, if it has some."""
    if view not in QUESTIONS:
        return f"pharos.{view}"
    given = [f"{name} = '{value}'" for name, value in ({"site": "shop"} | QUESTIONS[view]).items()]
    return f"pharos.{view}({', '.join(given)})"


def parameters(view: str) -> str:
    """Return the view with the names of its parameters."""
    return f"{view}({', '.join({'site': ''} | QUESTIONS[view])})" if view in QUESTIONS else view


def described(engine: Engine, views: dict[str, dict[str, str]]) -> dict[str, list[tuple[str, str]]]:
    """Return name and type of each column of each view."""
    return {
        view: [(row[0], row[1]) for row in engine.run(f"DESCRIBE {called(view)} SETTINGS print_pretty_type_names = 0")]
        for view in views
    }


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def page(dictionary: Dictionary, found: dict[str, list[tuple[str, str]]]) -> str:
    """Return docs/columns.md."""
    parts = [_HEAD]
    for view, columns in found.items():
        rows = "".join(f"| `{name}` | {_cell(kind)} | {_cell(dictionary.of(view, name))} |\n" for name, kind in columns)
        says = dictionary.views[view]["is"]
        head = f"\n## {view}\n\n{says}\n\n```\n{parameters(view)}\n```\n\n"
        parts.append(f"{head}| column | type | what it is |\n|---|---|---|\n{rows}")
    return "".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def migration(dictionary: Dictionary, found: dict[str, list[tuple[str, str]]], relations: list[list[str]]) -> str:
    """Return the statements that put the texts into ClickHouse. `relations`: name and engine of tables and views."""
    statements = []
    for name, engine in relations:
        if engine == "MaterializedView":
            continue
        says = dictionary.views[name]["is"] if name in found else _PART
        if name in QUESTIONS:
            says += f" Call it as {parameters(name)}. Columns: {', '.join(column for column, _ in found[name])}."
        statements.append(f"ALTER TABLE pharos.{name} MODIFY COMMENT {_quoted(says)};\n")
        if name in found and name not in QUESTIONS:
            texts = ",\n    ".join(
                f"COMMENT COLUMN {column} {_quoted(dictionary.of(name, column))}" for column, _ in found[name]
            )
            statements.append(f"ALTER TABLE pharos.{name}\n    {texts};\n")
    return _SQL_HEAD + "\n".join(statements)


def made() -> tuple[str, str]:
    """Return what docs/columns.md and the migration should be."""
    engine = Engine()
    try:
        dictionary = Dictionary()
        found = described(engine, dictionary.views)
        relations = engine.run("SELECT name, engine FROM system.tables WHERE database = 'pharos' ORDER BY name")
        text = page(dictionary, found)
        sql = migration(dictionary, found, relations)
        dictionary.check(found)
    finally:
        engine.close()
    return text, sql


def to_the_end(folder: Path, released: int) -> Path:
    """Give the comments the last number, and those that came after them one less; return their file.

    The first `released` files stay as they are, comments too: databases have applied them.
    """
    later = sorted(folder.glob("*.sql"))[released:]
    others = [path for path in later if not path.name.endswith(MIGRATION)]
    for old in set(later) - set(others):
        old.unlink()
    for number, path in enumerate(others, released + 1):
        path.rename(folder / f"{number:04}{path.name[4:]}")
    return folder / f"{released + len(others) + 1:04}{MIGRATION}"


def _last_is(sql: str) -> bool:
    last = sorted(SCHEMA.glob("*.sql"))[-1]
    return last.name.endswith(MIGRATION) and last.read_text(encoding="utf-8") == sql


def main(write: bool) -> int:
    """Return 0 if page and migration are current, or have been written."""
    if write:
        path = to_the_end(SCHEMA, Dictionary().released)
        text, sql = made()
        PAGE.write_text(text, encoding="utf-8")
        if not _last_is(sql):
            path.write_text(sql, encoding="utf-8")
        return 0
    text, sql = made()
    current = _last_is(sql)
    if not current:
        sys.stderr.write("the last migration has not the comments of columns.toml: run `make fmt`\n")
    if PAGE.read_text(encoding="utf-8") != text:
        sys.stderr.write("docs/columns.md is not current: run `make fmt`\n")
        current = False
    return int(not current)


if __name__ == "__main__":
    sys.exit(main("--write" in sys.argv[1:]))

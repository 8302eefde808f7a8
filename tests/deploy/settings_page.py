"""docs/settings.md from the programs' settings: `python -m tests.deploy.settings_page`, with `--write` to update it."""

import ast
import inspect
import sys
from pathlib import Path
from typing import Final

import msgspec

import collector.settings
import deploy.local.settings
import enricher.settings
import sink.settings
from stage.settings import Settings, StageSettings, allowed
from stage.units import hint

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs/settings.md"

_HEAD: Final = """# Settings

`make fmt` generates this page from the programs; `make check` fails if it is not current.

Every setting is an environment variable. An unknown variable with one of these prefixes, a missing or a malformed one
stops the start with one line that names it and the allowed values; the exit code is 2.

- **Units.** The end of a name is its unit: `_BYTES`, `_MS` (milliseconds), `_S` (seconds), `_H` (hours), `_DAYS`. A
  value is a number in that unit, or a number with a unit: `512MiB`, `10GB`, `500ms`, `5s`, `10min`, `12h`, `3d`.
- **Secrets.** Instead of `NAME` you can set `NAME_FILE` to the path of a file with the value.
- **Lists** are separated by commas.
"""


def documented(settings: type[Settings]) -> dict[str, str]:
    """Return the docstring of each field that the class itself declares, in their order.

    Raises:
        ValueError: a field has no docstring.
    """
    (declared,) = ast.parse(inspect.getsource(settings)).body
    assert isinstance(declared, ast.ClassDef)
    texts: dict[str, str] = {}
    for statement, after in zip(declared.body, [*declared.body[1:], None], strict=True):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        if "ClassVar" in ast.unparse(statement.annotation):
            continue
        match after:
            case ast.Expr(value=ast.Constant(value=str(text))):
                texts[statement.target.id] = " ".join(text.split())
            case _:
                raise ValueError(f"{settings.__module__}: {statement.target.id} has no docstring")
    return texts


def _default(field: msgspec.structs.FieldInfo) -> str:
    value = field.default
    if value is msgspec.NODEFAULT:
        return "must be set"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if value == "":
        return "empty"
    if field.name.endswith("_bytes") and isinstance(value, int):
        for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
            if value and value % unit == 0:
                return f"`{value // unit}{name}`"
    return f"`{str(value).removeprefix(f'{ROOT}/')}`"


def _table(settings: type[Settings], prefix: str) -> list[str]:
    fields = {field.name: field for field in msgspec.structs.fields(settings)}
    lines = ["", "| variable | default | values | meaning |", "|---|---|---|---|"]
    for name, text in documented(settings).items():
        if fields[name].required and settings is StageSettings:
            continue  # each stage declares it with its own default
        values = allowed(fields[name].type) + ("; unit optional" if hint(name) else "")
        cells = (f"`{prefix}{name.upper()}`", _default(fields[name]), values, text)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines


def page() -> str:
    """Return the text of docs/settings.md."""
    lines = [_HEAD, "## Every stage", "", "`STAGE` is `COLLECTOR`, `ENRICHER` or `SINK`."]
    lines[-1] += " The forwarder (`python -m sink forward`) reads those of `SINK`."
    lines += _table(StageSettings, "PHAROS_STAGE_")
    for title, settings in (
        ("Collector", collector.settings.Settings),
        ("Enricher", enricher.settings.Settings),
        ("Sink", sink.settings.Settings),
        ("`make run`", deploy.local.settings.Settings),
    ):
        lines += ["", f"## {title}", *_table(settings, settings.PREFIX)]
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Write the page, or compare it; return 1 if it is not current."""
    if arguments == ["--write"]:
        PAGE.write_text(page())
        return 0
    if not PAGE.exists() or PAGE.read_text() != page():
        print("docs/settings.md is not current: python -m tests.deploy.settings_page --write", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

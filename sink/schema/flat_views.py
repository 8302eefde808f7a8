"""Views within views, written out: ClickHouse analyses a view with parameters again for each view around it.

The files of `sink/schema` say each definition once, as a view with parameters, and build on it by name. They mean the
same without this module; a question only costs more. docs/sink.md has the rules.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

_VIEW: Final = re.compile(
    r"(?P<head>(?:\s|--[^\n]*\n)*CREATE OR REPLACE VIEW pharos\.(?P<name>\w+)\s(?:SQL SECURITY DEFINER )?AS\s)"
    r"(?P<body>.*)",
    re.DOTALL,
)
_TOKEN: Final = re.compile(
    r"(?P<text>'(?:[^'\\]|\\.|'')*')|(?P<comment>--[^\n]*)|\bpharos\.(?P<name>\w+)(?P<call>\()?", re.DOTALL
)
_ARGUMENT: Final = re.compile(r"'(?:[^'\\]|\\.|'')*'|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<comma>,)", re.DOTALL)
_PARAMETER: Final = re.compile(r"\{(\w+):[^}]+\}")
_GIVEN: Final = re.compile(r"'[^']*'|\{[^}]*\}")
_LOOKED_UP: Final = re.compile(r"\b[a-z_]\w*\b(?!\s*\()")
_SIMPLE: Final = re.compile(r"[\w.]+|'[^']*'|\{[^}]*\}")


class View(NamedTuple):
    """A view as its file has it, and with the views that it reads written out."""

    head: str
    own: str
    flat: str


def flatten(statements: Iterable[str], known: dict[str, View]) -> list[str]:
    """Return the statements; a view that reads views defined before has their text in its own.

    Views of earlier files that read a view that these statements change are made again, after them.

    Args:
        statements: of one file.
        known: the views of the files before, by name; each comes after those that it reads. Kept up to date.

    Raises:
        ValueError: a view does not get a parameter, or gets one that it does not have.
    """
    found, again = [], dict[str, None]()
    for statement in statements:
        match = _VIEW.fullmatch(statement)
        if match is None:
            found.append(statement)
            continue
        name, changed = match["name"], match["name"] in known
        known.pop(name, None)
        known[name] = View(match["head"], match["body"], _written_out(match["body"], known))
        found.append(known[name].head + known[name].flat)
        again.pop(name, None)
        if changed:
            again |= dict.fromkeys(_made_again(name, known))
    return found + [known[name].head + known[name].flat for name in known if name in again]


def made(statements: Iterable[str]) -> set[str]:
    """Return the names of the views that these statements make."""
    return {match["name"] for statement in statements if (match := _VIEW.fullmatch(statement))}


def _made_again(changed: str, known: dict[str, View]) -> list[str]:
    """Write out again the views that read the changed one, or one that does; return their names."""
    names = [changed]
    for name, view in list(known.items()):
        if not _read(view.own).isdisjoint(names):
            del known[name]
            known[name] = view._replace(flat=_written_out(view.own, known))
            names.append(name)
    return names[1:]


def _read(body: str) -> set[str]:
    return {match["name"] for match in _TOKEN.finditer(body) if match["name"]}


def _written_out(body: str, known: dict[str, View]) -> str:
    parts, at = [], 0
    while match := _TOKEN.search(body, at):
        parts.append(body[at : match.start()])
        at = match.end()
        if match["name"] in known:
            given, at = _arguments(body, at) if match["call"] else ({}, at)
            # What a question must look up for its arguments, it would look up wherever its text has them.
            looked_up = any(_LOOKED_UP.search(_GIVEN.sub("", value)) for value in given.values())
            call = body[match.start() : at]
            parts.append(call if looked_up else f"({_filled(match['name'], known[match['name']].flat, given)})")
        elif not match["comment"]:
            parts.append(match[0])
    return "".join([*parts, body[at:]])


def _arguments(body: str, begin: int) -> tuple[dict[str, str], int]:
    """Return the arguments of a call by name, and where it ends."""
    found, depth, at = [], 0, begin
    for match in _ARGUMENT.finditer(body, begin):
        if match["open"]:
            depth += 1
        elif match["close"]:
            depth -= 1
        if depth < 0 or (depth == 0 and match["comma"]):
            found.append(body[at : match.start()])
            at = match.end()
        if depth < 0:
            break
    pairs = (argument.split("=", 1) for argument in found)
    return {name.strip(): value.strip() for name, value in pairs}, at


def _filled(name: str, body: str, given: dict[str, str]) -> str:
    taken = {match[1] for match in _PARAMETER.finditer(body)}
    if taken != given.keys():
        raise ValueError(f"pharos.{name} takes {sorted(taken)}, not {sorted(given)}")
    values = {key: value if _SIMPLE.fullmatch(value) else f"({value})" for key, value in given.items()}
    return _PARAMETER.sub(lambda match: values[match[1]], body)

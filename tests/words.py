"""Look for words that our English does without: `python -m tests.words`; tests/words.toml has the list.

Reads pages (without their code), comments, docstrings, and the messages in the programs' strings.
"""

import ast
import functools
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
LIST: Final = Path(__file__).with_name("words.toml")

_FENCE: Final = re.compile(r"^ *(```|~~~)")
_INLINE: Final = re.compile(r"`[^`\n]*`")
_COMMENT: Final = {
    ".sql": "--", ".js": "//", ".lua": "--", ".vcl": "#", ".conf": "#", ".sh": "#", ".toml": "#", ".yml": "#",
    ".yaml": "#", ".tf": "#", ".service": "#", "": "#",
}  # fmt: skip
"""How a comment begins, by the file's suffix; an empty suffix is Makefile, Dockerfile and .ci/run."""
_MESSAGE_WORDS: Final = 4
"""A string with at least this many spaces is a message; shorter ones are names and data."""


class Finding(NamedTuple):
    """One word in one line."""

    path: str
    line: int
    word: str
    write: str


@functools.cache
def rules() -> list[tuple[re.Pattern[str], str]]:
    """Return each pattern with what to write in its place."""
    listed = tomllib.loads(LIST.read_text())["word"]
    return [(re.compile(rf"(?<![\w-])(?:{entry['find']})(?!\w)", re.IGNORECASE), entry["write"]) for entry in listed]


def prose(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Yield the parts of a file that a person reads, each with its line number."""
    if path.suffix == ".md":
        yield from _page(text)
    elif path.suffix == ".py":
        yield from _python(text, messages="tests" not in path.parts)
    elif path.suffix in _COMMENT:
        mark = _COMMENT[path.suffix]
        for number, line in enumerate(text.splitlines(), 1):
            _, found, comment = line.partition(mark)
            if found:
                yield number, _INLINE.sub(" ", comment)


def _page(text: str) -> Iterator[tuple[int, str]]:
    code = False
    for number, line in enumerate(text.splitlines(), 1):
        if _FENCE.match(line):
            code = not code
        elif not code:
            yield number, _INLINE.sub(" ", line)


def _python(text: str, *, messages: bool) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], _INLINE.sub(" ", token.string)
    tree = ast.parse(text)
    documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        if id(node) in documented or (messages and node.value.count(" ") >= _MESSAGE_WORDS):
            for offset, line in enumerate(node.value.splitlines()):
                yield node.lineno + offset, _INLINE.sub(" ", line)


def findings(path: Path, text: str) -> Iterator[Finding]:
    """Yield each listed word in the prose of one file."""
    for number, line in prose(path, text):
        for pattern, write in rules():
            for found in pattern.finditer(line):
                yield Finding(str(path), number, found.group(), write)


def tracked(folders: list[str]) -> list[Path]:
    """Return the files of the repository under `folders` that have prose, by path from its root."""
    listed = subprocess.run(["git", "ls-files", "--", *folders], cwd=ROOT, capture_output=True, text=True, check=True)
    paths = [Path(name) for name in listed.stdout.splitlines() if (ROOT / name).exists()]
    return [path for path in paths if path.suffix in {".md", ".py", *_COMMENT} and path.name != LIST.name]


def main(arguments: list[str]) -> int:
    """Print what was found in the given folders, by default in every file; return 1 where anything was."""
    found = [
        finding for path in tracked(arguments) for finding in findings(path, (ROOT / path).read_text(encoding="utf-8"))
    ]
    for finding in found:
        print(f"{finding.path}:{finding.line}: {finding.word!r}: write {finding.write}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

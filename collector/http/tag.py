"""The tag as it is served: compacted once at start, and kept in memory plain, in gzip and in brotli."""

import gzip
import hashlib
import re
from itertools import product
from pathlib import Path
from string import ascii_letters
from typing import Final, NamedTuple

import brotli

LARGEST_GZIP_BYTES: Final = 1500
"""What the tag may cost a page."""

_FIELDS: Final = frozenset({"body", "consent", "event", "id"})
"""Names that tag.js also uses as keys of an object in the short form `{ event }`; they keep their names."""

_TOKEN: Final = re.compile(
    r"""
    (?P<space> \s+ | //[^\n]* | /\*.*?\*/ )
  | (?P<text> "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' )
  | (?P<pattern> /(?:\\.|\[[^\]\n]*\]|[^/\\\n*])+/[a-z]* )
  | (?P<name> [A-Za-z_$][\w$]* )
  | (?P<number> [0-9][\w.]* )
  | (?P<sign> => | \.\.\. | [=!<>]==? | && | \|\| | \+\+ | -- | [-+*]= | [-+*%<>=!?:;,.(){}\[\]&|^~] )
    """,
    re.VERBOSE | re.DOTALL,
)
_DECLARED: Final = re.compile(r"\b(?:const|let)\s+(\w+)|\(([\w\s,]*)\)\s*=>|\((?:\.\.\.)(\w+)\)\s*=>")


class Tag(NamedTuple):
    """The served bytes by content coding ("" is plain), and the ETag's stem."""

    bodies: dict[str, bytes]
    stem: str


class Answer(NamedTuple):
    """Status, headers and body of `/t.js`."""

    status: int
    headers: dict[str, str]
    body: bytes


def load() -> Tag:
    """Read tag.js from beside this module and prepare it; about 20 ms."""
    return prepare(Path(__file__).with_name("tag.js").read_text("utf-8"))


def prepare(source: str) -> Tag:
    """Compact the source and compress it as far as it goes."""
    plain = compact(source).encode()
    return Tag(
        {"br": brotli.compress(plain, quality=11), "gzip": gzip.compress(plain, 9, mtime=0), "": plain},
        hashlib.sha256(plain).hexdigest()[:16],
    )


def compact(source: str) -> str:
    """Return the same program without comments and needless space, its own longer names shortened.

    Not for any JavaScript, but for tag.js: no template strings, no division, a
    semicolon after every statement, and in `{ name }` only names of `_FIELDS`.

    Raises:
        ValueError: something stands in the source that this reader does not know.
    """
    tokens: list[tuple[str, str]] = []
    at = 0
    while at < len(source):
        found = _TOKEN.match(source, at)
        if not found or not found.lastgroup:
            raise ValueError(f"tag.js: cannot read {source[at : at + 20]!r}")
        if found.lastgroup != "space":
            tokens.append((found.lastgroup, found.group().strip()))
        at = found.end()
    short = _short_names(source, {text for kind, text in tokens if kind == "name"})
    written = [""]
    for (_, before), (kind, text), (_, after) in zip(
        [("", ""), *tokens], tokens, [*tokens[1:], ("", "")], strict=False
    ):
        is_key = before == "." or (before in ("{", ",") and after == ":")
        if kind == "name" and not is_key:
            text = short.get(text, text)
        if text == "}" and written[-1] == ";":
            written.pop()
        joined = written[-1][-1:] + text[:1]
        written.append(" " + text if re.fullmatch(r"[\w$]{2}|\+\+|--", joined) else text)
    return "".join(written)


def _short_names(source: str, used: set[str]) -> dict[str, str]:
    code = re.sub(r"//[^\n]*", "", source)
    declared: list[str] = []
    for found in _DECLARED.finditer(code):
        names = (found[1] or found[2] or found[3] or "").replace(" ", "").split(",")
        declared += [name for name in names if len(name) > 1 and name not in _FIELDS and name not in declared]
    fresh = ("".join(name) for size in (1, 2) for name in product(ascii_letters, repeat=size))
    free = (name for name in fresh if name not in used)
    return {name: next(free) for name in declared}


def answer(tag: Tag, accept_encoding: str, if_none_match: str) -> Answer:
    """Return the answer to a GET: the smallest coding that the client takes, or 304 where it has it already."""
    coding = next((coding for coding in ("br", "gzip") if _takes(accept_encoding, coding)), "")
    etag = f'"{tag.stem}{"-" + coding if coding else ""}"'
    headers = {
        "Cache-Control": "public, max-age=3600",
        "ETag": etag,
        "Vary": "Accept-Encoding",
        "Access-Control-Allow-Origin": "*",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "X-Content-Type-Options": "nosniff",
    }
    held = {text.strip().removeprefix("W/") for text in if_none_match.split(",")}
    if etag in held or "*" in held:
        return Answer(304, headers, b"")
    headers["Content-Type"] = "text/javascript; charset=utf-8"
    if coding:
        headers["Content-Encoding"] = coding
    return Answer(200, headers, tag.bodies[coding])


def _takes(accept_encoding: str, coding: str) -> bool:
    for part in accept_encoding.lower().split(","):
        name, _, weight = part.strip().partition(";")
        if name.strip() == coding:
            return not re.fullmatch(r"\s*q\s*=\s*0(\.0{0,3})?\s*", weight)
    return False

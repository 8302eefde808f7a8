"""The tag's scripts and the helper as they are served: built by tag/build.mjs, compressed once at start."""

import gzip
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

import brotli

LARGEST_GZIP_BYTES: Final = {"tag.js": 2300, "tag_extra.js": 2500, "tag_helper.js": 5500}
"""Maximum size of each script after gzip, in bytes."""


_LITERALS: Final = {"e": b'("e")', "p.gif": b'"p.gif?"', "x.js": b'"x.js"', "linker": b'"linker?'}
"""How the built scripts write the names of paths; each at most once in a script."""


class Tag(NamedTuple):
    """The served bytes by content coding ("" is plain), and the ETag's stem."""

    bodies: dict[str, bytes]
    stem: str


class Answer(NamedTuple):
    """Status, headers and body of `/t.js`."""

    status: int
    headers: dict[str, str]
    body: bytes


def load(name: str = "tag.js", paths: Mapping[str, str] = MappingProxyType({})) -> Tag:
    """Read a built script of this folder and compress it as far as possible; about 20 ms.

    `paths` has the operator's own names, by the standard ones: the script uses them instead.
    """
    plain = Path(__file__).with_name(name).read_bytes()
    for standard, literal in _LITERALS.items():
        own = paths.get(standard, standard)
        plain = plain.replace(literal, literal.replace(standard.encode(), own.encode()))
    return Tag(
        {"br": brotli.compress(plain, quality=11), "gzip": gzip.compress(plain, 9, mtime=0), "": plain},
        hashlib.sha256(plain).hexdigest()[:16],
    )


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

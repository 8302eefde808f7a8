"""What the head of a ClickHouse statement says: does it read, does it carry rows, in which format?

This is not a SQL parser: it knows quotes, comments and brackets, and reads a few words outside of them. It passes what
it does not understand to the engine unchanged, whose error is better than ours.
"""

import itertools
import re
from typing import Final

import msgspec

HEAD_BYTES: Final = 262_144
"""An INSERT's rows must start within this many bytes; ClickHouse's own `max_query_size`."""

_TOKEN: Final = re.compile(
    rb"""
      (?P<blank> \s+ | --[^\n]* | \#[!\s][^\n]* | /\*.*?(?:\*/|\Z) )
    | (?P<quoted> '(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" | `(?:[^`\\]|\\.|``)*` | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ )
    | (?P<word> [A-Za-z_][A-Za-z0-9_]* )
    | (?P<number> [0-9][A-Za-z0-9_.]* )
    | (?P<open> [(\[{] )
    | (?P<close> [)\]}] )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)

_READS: Final = frozenset({"SELECT", "WITH", "FROM", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN", "CHECK", "KILL"})
_STREAMS: Final = frozenset({"SELECT", "WITH", "FROM"})
_KEEPS: Final = frozenset({"SET", "USE"})


class Rows(msgspec.Struct, frozen=True):
    """An INSERT whose rows follow in the same text."""

    head: str
    """The INSERT without its FORMAT clause. Example: "INSERT INTO t (a, b) SETTINGS async_insert = 0"."""
    format: str
    """ClickHouse's name of the rows' format. Example: "JSONCompactEachRow"."""
    rows_at: int
    """Offset of the first byte of rows."""


class Query(msgspec.Struct, frozen=True):
    """Any other statement, to be run as it is."""

    keyword: str
    """First word in capitals; empty for an empty text. Example: "SELECT"."""
    format: str = ""
    """The FORMAT clause's name; empty if it has no such clause."""
    temporary: bool = False
    """Whether it makes a temporary table, which lives in a session."""
    several: bool = False
    """Whether another statement follows after a semicolon."""
    files: bool = False
    """Whether it names a file of the client (INTO OUTFILE, FROM INFILE), which here would be the server's."""

    @property
    def answers(self) -> bool:
        """Whether it has a result, were it an empty one."""
        return self.keyword in _READS

    @property
    def streams(self) -> bool:
        """Whether its result can be had block by block."""
        return self.keyword in _STREAMS

    @property
    def only_reads(self) -> bool:
        """Whether a read-only user may ask it at all; what it then may see is the engine's to say."""
        return self.keyword in _READS - {"CHECK", "KILL"} | _KEEPS | {""}

    @property
    def keeps_state(self) -> bool:
        """Whether later statements of the same session depend on it."""
        return self.keyword in _KEEPS or self.temporary


class _Word(msgspec.Struct, frozen=True):
    text: str
    start: int
    end: int
    depth: int


def _words(text: bytes) -> list[_Word]:
    """Return the tokens that are no blank and no bracket, each with its depth in brackets."""
    found: list[_Word] = []
    depth = 0
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup if token.lastgroup != "tag" else "quoted"
        if kind == "blank":
            continue
        if kind == "open":
            depth += 1
        elif kind == "close":
            depth = max(0, depth - 1)
        else:
            raw = token.group()
            upper = raw.upper() if kind == "word" else raw
            found.append(_Word(upper.decode("utf-8", "replace"), token.start(), token.end(), depth))
    return found


def read(text: bytes) -> Rows | Query:
    """Return what `text` is; for an INSERT the rows may be cut off anywhere, as long as the head is whole."""
    start = _first(text)
    if start is None:
        return Query("")
    if text[start : start + 6].upper() == b"INSERT":
        rows = _insert(text)
        if rows is not None:
            return rows
    words = _words(text)
    keyword = "SELECT" if text[start : start + 1] == b"(" else words[0].text if words else ""
    temporary = keyword == "CREATE" and any(word.text == "TEMPORARY" for word in words[1:4])
    pairs = {(one.text, other.text) for one, other in itertools.pairwise(words)}
    return Query(
        keyword,
        _format(text, words),
        temporary,
        several=any(word.text == ";" and word.depth == 0 for word in words[:-1]),
        files=bool(pairs & {("INTO", "OUTFILE"), ("FROM", "INFILE")}),
    )


def _first(text: bytes) -> int | None:
    for token in _TOKEN.finditer(text):
        if token.lastgroup != "blank":
            return token.start()
    return None


def _format(text: bytes, words: list[_Word]) -> str:
    outer = [word for word in words if word.depth == 0]
    for word, name in zip(reversed(outer[:-1]), reversed(outer[1:]), strict=True):
        if word.text == "FORMAT" and re.fullmatch(r"[A-Z0-9_]+", name.text):
            return text[name.start : name.end].decode()
    return ""


def _insert(text: bytes) -> Rows | None:
    """Walk over the target, then look for the word that opens the rows; None for INSERT ... SELECT."""
    depth = 0
    step = "insert"
    name_open = False
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup if token.lastgroup != "tag" else "quoted"
        if kind == "blank":
            continue
        if kind == "open":
            depth += 1
            name_open = False
            continue
        if kind == "close":
            depth = max(0, depth - 1)
            continue
        if depth:
            continue
        word = token.group().upper() if kind == "word" else b""
        if step == "insert":
            step = "into"
        elif step == "into":
            if word in (b"INTO", b"TABLE", b"FUNCTION"):
                continue
            step, name_open = "target", False
        elif step == "target" and token.group() == b".":
            name_open = True
        elif name_open:
            name_open = False
        elif word in (b"SELECT", b"WITH", b"FROM", b"WATCH"):
            return None
        elif word == b"VALUES":
            return Rows(text[: token.start()].decode("utf-8", "replace"), "Values", token.end())
        elif word == b"FORMAT":
            return _after_format(text, token)
    return None


def _after_format(text: bytes, token: re.Match[bytes]) -> Rows | None:
    """Rows start after the format's name, blanks, and one line feed, as ClickHouse has it."""
    name = re.compile(rb"\s+([A-Za-z0-9_]+)[ \t\f]*\r?\n?").match(text, token.end())
    if name is None:
        return None
    return Rows(text[: token.start()].decode("utf-8", "replace"), name.group(1).decode(), name.end())

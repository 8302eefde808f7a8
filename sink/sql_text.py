"""SQL files as text: split into statements, and rewritten for a cluster.

A file is plain ClickHouse SQL that a client could run by hand. A statement ends with `;` at the
end of a line (blanks and a `--` comment may follow); a `;` inside a string, a quoted name or a comment ends nothing.
Every statement can be run again after a crash in the middle of its file: IF NOT EXISTS, IF EXISTS, OR REPLACE.
"""

import re
from typing import Final

_TOKEN: Final = re.compile(
    r"""(?P<skip>--[^\n]*|/\*.*?\*/|'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`)"""
    r"""|(?P<end>;[ \t\r]*(?=--[^\n]*(?:\n|\Z)|\n|\Z))""",
    re.DOTALL,
)
_COMMENT: Final = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


def split(text: str) -> list[str]:
    """Return the statements of a file, without their semicolons; a part that holds only comments is left out."""
    statements, begin = [], 0
    for match in _TOKEN.finditer(text):
        if match.lastgroup == "end":
            statements.append(text[begin : match.start()])
            begin = match.end()
    statements.append(text[begin:])
    return [statement.strip() for statement in statements if _COMMENT.sub("", statement).strip()]


_NAME: Final = r"(?P<name>(?:`[^`]+`|[\w]+)(?:\.(?:`[^`]+`|[\w]+))?)"
_DDL: Final = re.compile(
    r"^(?P<head>(?:CREATE(?:\s+OR\s+REPLACE)?|ALTER|DROP|TRUNCATE|RENAME|SYSTEM\s+\w+)\s+"
    r"(?:(?:MATERIALIZED\s+)?VIEW|TABLE|DATABASE|FUNCTION|DICTIONARY)\s+(?:IF\s+(?:NOT\s+)?EXISTS\s+)?)" + _NAME,
    re.IGNORECASE,
)
_ACCESS: Final = re.compile(
    r"^(?P<head>(?:CREATE|ALTER|DROP)\s+(?:USER|ROLE|QUOTA|SETTINGS\s+PROFILE|PROFILE|ROW\s+POLICY)\s+"
    r"(?:IF\s+(?:NOT\s+)?EXISTS\s+|OR\s+REPLACE\s+)?)" + _NAME,
    re.IGNORECASE,
)
_ENGINE: Final = re.compile(
    r"\bENGINE\s*=\s*(?P<kind>(?!Replicated)\w*MergeTree)\b(?:\((?P<arguments>[^()]*)\))?", re.IGNORECASE
)


def for_cluster(statement: str, cluster: str) -> str:
    """Return the statement for every node of `cluster`; unchanged where `cluster` is empty.

    DDL gets ON CLUSTER; a MergeTree becomes its Replicated kind, its path made of the server's macros `shard` and
    `replica`. SELECT and INSERT stay as they are: replication carries rows.
    """
    if not cluster:
        return statement
    comment = _leading_comment(statement)
    head, rest = statement[:comment], statement[comment:]
    match = _DDL.match(rest) or _ACCESS.match(rest)
    if match is None:
        return statement
    name = match["name"]
    rest = f"{rest[: match.end()]} ON CLUSTER '{cluster}'{rest[match.end() :]}"
    path = name.replace("`", "").replace(".", "/")

    def replicated(engine: re.Match[str]) -> str:
        arguments = f", {engine['arguments']}" if engine["arguments"] else ""
        return f"ENGINE = Replicated{engine['kind']}('/clickhouse/tables/{{shard}}/{path}', '{{replica}}'{arguments})"

    rest = _ENGINE.sub(replicated, rest, count=1)
    return head + rest.replace("non_replicated_deduplication_window", "replicated_deduplication_window")


def _leading_comment(statement: str) -> int:
    at = 0
    while True:
        while at < len(statement) and statement[at].isspace():
            at += 1
        match = _COMMENT.match(statement, at)
        if match is None:
            return at
        at = match.end()

"""The requests of the end-to-end test: requests.yml, expanded into bytes, and what must become of each."""

import gzip
import itertools
import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import yaml

_KEYS: Final = frozenset(
    {"says", "times", "pixel", "open", "query", "post", "server", "path", "raw", "type", "gzip", "token", "headers"}
    | {"status", "becomes", "refused", "dead", "not_counted"}
)
_PLACEHOLDER: Final = re.compile(r"\{n\}|\{(\d+) times (.)\}")


@dataclass(frozen=True)
class Request:
    """One request as it goes over the wire, and its fate."""

    says: str
    wire: bytes
    status: int
    is_pixel: bool
    refused: tuple[str, ...] = ()
    """Reasons that the answer must tell."""
    counted: bool = True
    """The refusals are in the metrics."""
    rows: tuple[dict[str, Any], ...] = ()
    """Columns of the rows it becomes, each with its `client_event_id`."""
    dead: str = ""
    """Reason of the one dead letter it becomes."""
    dead_mark: bytes = field(default=b"", repr=False)
    """Bytes that the dead letter's record must hold."""


def load(path: Path, *, token: str, scale: int = 1) -> list[Request]:
    """Expand the file, each entry `scale` times as often as it says, in an order that is mixed but always the same.

    `token` is the site's, for `server` entries that name none.

    Raises:
        ValueError: an entry with an unknown key.
    """
    numbers = itertools.count(1)
    requests = [
        _request(_filled(entry, next(numbers)), token)
        for entry in yaml.safe_load(path.read_text())
        for _ in range(_times(entry) * scale)
    ]
    random.Random(17).shuffle(requests)
    return requests


def _times(entry: Mapping[str, Any]) -> int:
    if unknown := entry.keys() - _KEYS:
        raise ValueError(f"{entry.get('says')}: unknown {sorted(unknown)}")
    return int(entry["times"])


def _filled(value: Any, n: int) -> Any:
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda found: found[2] * int(found[1]) if found[1] else str(n), value)
    if isinstance(value, list):
        return [_filled(each, n) for each in value]
    if isinstance(value, dict):
        return {name: _filled(each, n) for name, each in value.items()}
    return value


def _request(entry: dict[str, Any], token: str) -> Request:
    is_pixel = bool(entry.keys() & {"pixel", "open", "query"})
    becomes = entry.get("becomes", [])
    refused = entry.get("refused", [])
    return Request(
        says=entry["says"],
        wire=entry["raw"].encode("latin-1") if "raw" in entry else b"".join(_wire(entry, token)),
        status=entry.get("status", 202 if entry.keys() & {"post", "server"} else 200),
        is_pixel=is_pixel,
        refused=(refused,) if isinstance(refused, str) else tuple(refused),
        counted=not entry.get("not_counted", False),
        rows=(becomes,) if isinstance(becomes, dict) else tuple(becomes),
        dead=entry.get("dead", ""),
        dead_mark=_dead_mark(entry),
    )


def _dead_mark(entry: Mapping[str, Any]) -> bytes:
    if "dead" not in entry:
        return b""
    if "post" in entry:
        return str(entry["post"][0]["id"]).encode()
    return f"id={entry['pixel']['id']}".encode()


def _wire(entry: Mapping[str, Any], token: str) -> Iterator[bytes]:
    """Yield the request's bytes. Header values and text bodies are Latin-1: one character, one byte."""
    headers: dict[str, str] = {"Host": "pharos.test", **entry.get("headers", {})}
    body = b""
    if "pixel" in entry:
        target = "/p.gif?" + urlencode(entry["pixel"], quote_via=quote)
    elif "open" in entry:
        target = "/o.gif?" + urlencode(entry["open"], quote_via=quote)
    elif "query" in entry:
        target = "/p.gif?" + entry["query"]
    elif "path" in entry:
        target = entry["path"]
    else:
        target = "/e" if "post" in entry else "/v1/events"
        sent = entry.get("post", entry.get("server"))
        body = sent.encode("latin-1") if isinstance(sent, str) else json.dumps(sent).encode()
        headers.setdefault("Content-Type", entry.get("type", "application/json"))
        if entry.get("gzip"):
            body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
        headers["Content-Length"] = str(len(body))
        if "server" in entry:
            headers["Authorization"] = f"Bearer {entry.get('token', token)}"
    yield f"{'POST' if body else 'GET'} {target} HTTP/1.1\r\n".encode()
    for name, value in headers.items():
        yield f"{name}: ".encode() + str(value).encode("latin-1") + b"\r\n"
    yield b"\r\n" + body

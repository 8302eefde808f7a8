"""What a request of ClickHouse's HTTP interface asks: who, which settings and parameters, which form of answer."""

import base64
import ipaddress
import secrets
from collections.abc import Mapping
from typing import Final

import msgspec
from aiohttp import web

from deploy.local.clickhouse import coding
from deploy.local.clickhouse.engine import QueryError

_OWN: Final = frozenset(
    """query database default_format user password session_id session_timeout session_check query_id quota_key compress
    decompress buffer_size wait_end_of_query client_protocol_version role send_progress_in_http_headers
    http_headers_progress_interval_ms enable_http_compression http_zlib_compression_level add_http_cors_header
    cancel_http_readonly_queries_on_client_close stacktrace close_session http_response_headers log_comment""".split()  # noqa: SIM905
)
"""URL parameters that are the interface's own and not settings of a query."""

SESSION_MAX_S: Final = 3600


class User(msgspec.Struct, frozen=True):
    """Who may ask, and how much."""

    name: str
    password: str
    read_only: bool


class Request(msgspec.Struct, frozen=True):
    """The parts of a request that say how to run its statement."""

    user: User
    query_id: str
    database: str
    settings: dict[str, str]
    parameters: dict[str, str]
    session_id: str
    session_s: float
    default_format: str
    coding: str
    native: bool


def read(request: web.Request, users: Mapping[str, User], query_id: str) -> Request:
    """Read credentials, settings and parameters; raises QueryError."""
    user = _user(request, users)
    asked = request.query
    settings = {name: value for name, value in asked.items() if name not in _OWN and not name.startswith("param_")}
    if user.read_only and settings.pop("readonly", "1") not in ("1", "2"):
        raise QueryError.named(164, "READONLY", "Cannot modify 'readonly' setting in readonly mode.")
    settings["implicit_select"] = "0"  # chDB's own default is 1
    comment = asked.get("log_comment", "")
    settings["log_comment"] = f"{comment} {query_id}".lstrip()
    if user.read_only:
        settings["readonly"] = "1"
    elif request.method != "POST" and settings.get("readonly", "0") == "0":
        settings["readonly"] = "2"
    compressed = asked.get("enable_http_compression") in ("1", "true")
    return Request(
        user=user,
        query_id=query_id,
        database=asked.get("database", "") or request.headers.get("X-ClickHouse-Database", ""),
        settings=settings,
        parameters={name[6:]: value for name, value in asked.items() if name.startswith("param_")},
        session_id=asked.get("session_id", ""),
        session_s=_session_s(asked.get("session_timeout", "60")),
        default_format=asked.get("default_format", "") or request.headers.get("X-ClickHouse-Format", "TabSeparated"),
        coding=coding.choose(request.headers.get("Accept-Encoding", "")) if compressed else "",
        native=asked.get("compress") in ("1", "true"),
    )


def _user(request: web.Request, users: Mapping[str, User]) -> User:
    """Find who asks, as ClickHouse does: own headers, Basic, URL; an empty password serves loopback only."""
    name, password = request.query.get("user", "default"), request.query.get("password", "")
    if "Authorization" in request.headers:
        name, password = _basic(request.headers["Authorization"])
    if "X-ClickHouse-User" in request.headers:
        name, password = request.headers["X-ClickHouse-User"], request.headers.get("X-ClickHouse-Key", "")
    user = users.get(name)
    if (
        user is None
        or not secrets.compare_digest(user.password.encode(), password.encode())
        or (not user.password and not is_local(request))
    ):
        raise QueryError.named(
            516,
            "AUTHENTICATION_FAILED",
            f"{name}: Authentication failed: password is incorrect, or there is no user with such name.",
        )
    return user


def _session_s(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > SESSION_MAX_S:
        raise QueryError.named(374, "INVALID_SESSION_TIMEOUT", f"Invalid session timeout: '{text}'")
    return int(text)


def _basic(header: str) -> tuple[str, str]:
    """Return name and password of HTTP's Basic scheme; empty texts for any other scheme."""
    scheme, _, coded = header.partition(" ")
    try:
        name, _, password = base64.b64decode(coded, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return (name or "default", password) if scheme.lower() == "basic" else ("", "")


def is_local(request: web.Request) -> bool:
    """Whether the peer is on this machine, and not a browser that another site's page drives."""
    peer = request.transport.get_extra_info("peername") if request.transport is not None else None
    try:
        if peer is None or not ipaddress.ip_address(peer[0]).is_loopback:
            return False
        host = request.url.host or ""
        named = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
    return named and request.headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin")

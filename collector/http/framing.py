"""Where a request's head and body end, and which limit a head exceeds: strictly by RFC 9112, in pure functions."""

import re
from typing import Final

from collector.http.aiohttp_bridge import HEADERS_BYTES, REQUEST_LINE_BYTES

_MOST_LINES: Final = 120

_REQUEST_LINE: Final = re.compile(rb"[A-Z]+ [!-~\x80-\xff]+ HTTP/1\.([01])\r\n")
_PLAIN_LINE: Final = re.compile(rb"(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) /[!-~]* HTTP/1\.[01]\r\n")
_BEGINNING: Final = re.compile(rb"[A-Z]|\r\Z")
_LINES: Final = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n)*\r\n")
_FRAMING: Final = re.compile(
    rb"\r\n(host|content-length|transfer-encoding|upgrade|expect|connection):[ \t]*([^\r\n]*)", re.IGNORECASE
)
_LENGTH: Final = re.compile(rb"[0-9]{1,12}")
_BARE_LF: Final = re.compile(rb"(?:\A|[^\r])\n")


def may_grow(held: bytes) -> bool:
    """Tell whether these bytes, which hold no empty line, can still become a head within the limits."""
    return not _BARE_LF.search(held) and _BEGINNING.match(held) is not None and not too_long(held)


def too_long(head: bytes) -> str:
    """Return the status for a head, whole or not, that is over a limit; empty if it is not."""
    line = head.find(b"\r\n")
    if line > REQUEST_LINE_BYTES or (line < 0 and len(head) > REQUEST_LINE_BYTES):
        return "414 URI Too Long"
    if line >= 0 and (len(head) - line > HEADERS_BYTES or head.count(b"\r\n") > _MOST_LINES):
        return "431 Request Header Fields Too Large"
    return ""


def body_bytes(head: bytes) -> int | None:
    """Return the number of bytes of the body after a whole head.

    Returns None if that is not certain (HTTP/1.0, chunks, an upgrade), and -1 if RFC 9112 asks for a 400.
    """
    line = _REQUEST_LINE.match(head)
    if line is None or _LINES.fullmatch(head, line.end()) is None:
        return -1
    if _PLAIN_LINE.match(head) is None:
        return None
    hosts = 0
    length: int | None = None
    for name, value in _FRAMING.findall(head):
        match name.lower():
            case b"host":
                hosts += 1
            case b"content-length":
                if length is not None or _LENGTH.fullmatch(value.rstrip(b" \t")) is None:
                    return -1
                length = int(value)
            case b"connection":
                if value.rstrip(b" \t").lower() not in (b"keep-alive", b"close"):
                    return None
            case _:
                return None
    return -1 if hosts > 1 or (hosts == 0 and line[1] == b"1") else length or 0

"""A request's header lines as the connection reads them: strictly, and None for any line that is in any way unusual.

A line is taken only in the form `token: value` of visible ASCII: llhttp takes such a line too, and reads it alike.
Browsers send the same lines again and again: what a whole block of them says is remembered, up to a bound.
"""

import re
from typing import Final

from collector.policy.client import Client, client

_LINE: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([!-~](?:[ -~]*[!-~])?)?")
_UNUSUAL: Final = (
    b"transfer-encoding",
    b"expect",
    b"upgrade",
    b"trailer",
    b"te",
    b"http2-settings",
    b"referer",
    b"cookie",
    b"authorization",
)
"""Lines that are left to aiohttp. The last three are cut out before, where they are written in the usual way."""
_MOST_REMEMBERED: Final = 8192
_LONGEST_REMEMBERED: Final = 1024


class Blocks:
    """Reads blocks of header lines, and remembers them."""

    def __init__(self, cut: tuple[str, ...], geo_headers: tuple[str, str, str]) -> None:
        """Take the names, in lower case, of the headers that are cut out before, and of the CDN's place headers."""
        self._unusual: Final = frozenset((*_UNUSUAL, *(name.encode() for name in cut)))
        self._geo_headers: Final = geo_headers
        self.known: Final[tuple[dict[bytes, Client], dict[bytes, Client]]] = ({}, {})
        """Blocks of peers that are not a trusted proxy, and of those that are."""

    def read(self, block: bytes, *, trusted: bool) -> Client | None:
        """Read a block that `known` does not hold: a CRLF, lines each ended by CRLF, and an empty line.

        Returns None if aiohttp must read this request.
        """
        found = self._read(block, trusted=trusted)
        if found is not None and len(block) <= _LONGEST_REMEMBERED:
            known = self.known[trusted]
            if len(known) >= _MOST_REMEMBERED:
                known.clear()
            known[block] = found
        return found

    def _read(self, block: bytes, *, trusted: bool) -> Client | None:
        if not block.startswith(b"\r\n") or not block.endswith(b"\r\n\r\n"):
            return None
        seen: dict[str, str] = {}
        for line in block[2:-4].split(b"\r\n"):
            found = _LINE.fullmatch(line)
            if found is None:
                return None
            name = found[1].lower()
            text = name.decode("ascii")
            if text in seen or name in self._unusual:
                return None
            seen[text] = (found[2] or b"").decode("ascii")
        if not seen.get("host") or seen.get("connection", "keep-alive").lower() != "keep-alive":
            return None
        if seen.get("content-encoding", "identity").lower() != "identity" or "content-length" in seen:
            return None
        return client(seen, self._geo_headers if trusted else ("", "", ""))

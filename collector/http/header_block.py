"""Pure: what a request's header lines say, for the fast lane; strict, and None for whatever is in any way unusual.

Rule: a line is taken only in the form `token: value` of visible ASCII, so that llhttp would take it as well and read it
alike. Browsers send the same lines again and again: what a line, or a whole block of them, said is remembered, bounded.
"""

import re
from dataclasses import dataclass
from typing import Final

import msgspec

_LINE: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([!-~](?:[ -~]*[!-~])?)?")
_FULL_LANE: Final = frozenset(
    (
        b"transfer-encoding",
        b"expect",
        b"upgrade",
        b"trailer",
        b"te",
        b"http2-settings",
        b"origin",
        b"referer",
        b"cookie",
    )
)
_FRAGMENTS: Final = {
    b"accept-language": "accept_language",
    b"sec-ch-ua": "sec_ch_ua",
    b"sec-ch-ua-mobile": "sec_ch_ua_mobile",
    b"sec-ch-ua-platform": "sec_ch_ua_platform",
}
_MOST_REMEMBERED: Final = 2048
_LONGEST_REMEMBERED: Final = 2048


@dataclass(frozen=True, kw_only=True)
class Fields:
    """What a block of lines says, most of it as JSON ready to stand in a Hit's record."""

    user_agent: str
    agent_json: bytes
    """The query's closing quote, and `,"user_agent":"..."` where one was sent."""
    rest_json: bytes
    """`,"accept_language":"..."` and what follows it in a Hit, up to the place names."""
    placed: bool
    """A CDN's place headers are in it."""
    signals: int
    """1: `Sec-GPC: 1`, 2: `DNT: 1`, added up."""


def json_text(value: bytes) -> bytes:
    """Return a header's value as a JSON string with its quotes."""
    return msgspec.json.encode(value.decode("ascii"))


class Heads:
    """Reads blocks of header lines, and remembers."""

    def __init__(self, forwarded_header: str = "x-forwarded-for", geo_headers: tuple[str, str, str] = ("", "", "")):
        """Take the names, in lower case, of the headers in which a CDN tells the client's address and place."""
        self._full_lane: Final = _FULL_LANE | {forwarded_header.encode()}
        named = dict(_FRAGMENTS)
        for name, field in zip(geo_headers, ("geo_country", "geo_region", "geo_city"), strict=True):
            if name:
                named[name.encode()] = field
        self._fragments: Final = named
        self._fields: Final = tuple(named.values())
        self._places: Final = tuple(name.encode() for name in geo_headers if name)
        self.blocks: Final[dict[bytes, Fields]] = {}

    def read(self, block: bytes) -> Fields | None:
        """Read a block that `blocks` does not know: a CRLF, lines each ended by CRLF, and an empty line.

        None: the full lane must see this request. A Referer or Cookie in it means that too: the caller cuts out those
        that are written in the usual way.
        """
        fields = self._read(block)
        if fields is not None and len(block) <= _LONGEST_REMEMBERED:
            if len(self.blocks) >= _MOST_REMEMBERED:
                self.blocks.clear()
            self.blocks[block] = fields
        return fields

    def _read(self, block: bytes) -> Fields | None:
        if not block.startswith(b"\r\n") or not block.endswith(b"\r\n\r\n"):
            return None
        seen: dict[bytes, bytes] = {}
        for line in block[2:-4].split(b"\r\n"):
            found = _LINE.fullmatch(line)
            if found is None:
                return None
            name = found[1].lower()
            if name in seen or name in self._full_lane:
                return None
            seen[name] = found[2] or b""
        if not seen.get(b"host") or seen.get(b"connection", b"keep-alive").lower() != b"keep-alive":
            return None
        if seen.get(b"content-length", b"0") != b"0" or seen.get(b"sec-fetch-mode") == b"navigate":
            return None
        said = {field: seen[name] for name, field in self._fragments.items() if seen.get(name)}
        agent = seen.get(b"user-agent", b"")
        return Fields(
            user_agent=agent.decode("ascii"),
            agent_json=b'","user_agent":' + json_text(agent) if agent else b'"',
            rest_json=b"".join(b',"%b":%b' % (f.encode(), json_text(said[f])) for f in self._fields if f in said),
            placed=any(name in seen for name in self._places),
            signals=(seen.get(b"sec-gpc") == b"1") + 2 * (seen.get(b"dnt") == b"1"),
        )

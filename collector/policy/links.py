"""Links that record a click and redirect: their destinations, and the signature of those that carry their own.

Every destination is listed or signed by the operator. It is checked when it is listed or signed, and a signed one again
before each redirect.
"""

import hmac
import re
from binascii import b2a_base64
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from typing import Final
from urllib.parse import quote, unquote

from collector.contract import click_ids
from collector.policy.percent import decoded, encoded, name_of

LONGEST_URL: Final = 4096


_NO_NAMES: Final[frozenset[str]] = frozenset()


class BadLinks(ValueError):
    """Why a `links.toml` or a destination is not taken: one line."""


class Target:
    """Where a good signature leads."""

    __slots__ = ("passed_on", "site", "url")

    def __init__(self, site: str, url: str, passed_on: tuple[tuple[str, str], ...]) -> None:
        self.site: Final = site
        self.url: Final = url
        self.passed_on: Final = passed_on
        """As the function `passed_on` returns it for the whole query."""


_DESTINATION: Final = re.compile(
    r"[Hh][Tt][Tt][Pp][Ss]?://"
    r"(?P<host>(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"|\[[0-9A-Fa-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?:[/?#][!-\[\]-~]*)?"
)
"""Both cases written out: with re.IGNORECASE a match takes twice as long."""


def wrong_with(url: str) -> str:
    """Return why this URL may not be a destination; empty if it may."""
    if len(url) > LONGEST_URL:
        return f"the destination is longer than {LONGEST_URL} characters"
    if not url.isascii():
        return "the destination holds characters outside ASCII: write the host as xn--, the rest percent-encoded"
    found = _DESTINATION.fullmatch(url)
    if not found:
        return f"not a plain http or https URL (no userinfo, no space, no backslash, no control character): {url!r}"
    if found["port"] and not 0 < int(found["port"]) < 65536:
        return f"port out of range: {url!r}"
    if click_ids.OWN in url and any(pair.partition("=")[0] == click_ids.OWN for pair in _query_of(url).split("&")):
        return f"the destination already carries a click id: take {click_ids.OWN} out of it"
    return ""


def check(url: str) -> None:
    """Check a destination.

    Raises:
        BadLinks: it may not be a destination.
    """
    if reason := wrong_with(url):
        raise BadLinks(reason)


def host_of(url: str) -> str:
    """Return the host of a good destination, in lower case."""
    found = _DESTINATION.fullmatch(url)
    return found["host"].lower() if found else ""


class Destination:
    """A good destination, ready to have parameters added: its own path, query and fragment stay as they are."""

    __slots__ = ("_after", "_before", "_glue", "own")

    def __init__(self, url: str, pairs: Iterable[tuple[str, str]] = ()) -> None:
        """Take the URL, and parameters that are always added, unless the URL's own query holds them."""
        head, mark, fragment = url.partition("#")
        path, asked, query = head.partition("?")
        if asked:
            glue = "" if not query or query[-1] == "&" else "&"
        else:
            glue = "?" if "/" in path.partition("://")[2] else "/?"
        self.own: Final = _names(query)
        """Names of the URL's own parameters: these are not added again."""
        for name, text in pairs:
            if name not in self.own:
                head = f"{head}{glue}{encoded(name)}={encoded(text)}"
                glue = "&"
        self._before: Final = head
        self._glue: Final = glue
        self._after: Final = mark + fragment

    def url(self, pairs: Iterable[tuple[str, str]] = ()) -> str:
        """Return the URL with these parameters, too."""
        parts = [self._before]
        glue = self._glue
        for name, text in pairs:
            if name not in self.own:
                parts += (glue, name if name in click_ids.KNOWN else encoded(name), "=", encoded(text))
                glue = "&"
        parts.append(self._after)
        return "".join(parts)


def _names(query: str) -> frozenset[str]:
    """Return the names of a query's parameters, unescaped."""
    if not query:
        return _NO_NAMES
    names = [pair.partition("=")[0] for pair in query.split("&")]
    return frozenset([unquote(name) for name in names] if "%" in query else names)


def with_parameters(url: str, pairs: Iterable[tuple[str, str]]) -> str:
    """Add parameters to a good destination; see Destination."""
    return Destination(url, pairs).url()


def passed_on(query: str) -> tuple[tuple[str, str], ...]:
    """Return the ad platforms' click ids of a link's own query string, decoded, each once, at most 512 characters."""
    found: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, text = pair.partition("=")
        _note_click_id(found, name, text)
    return tuple(found.items())


def _note_click_id(found: dict[str, str], name: str, text: str) -> None:
    """Add a parameter to those that are passed on, if it is one of them."""
    if name not in click_ids.PASSED_ON:
        name = name_of(name)
        if name.lower() not in click_ids.PASSED_ON:
            return
    if 0 < len(text) <= 512 and name not in found:
        found[name] = decoded(text)


def sign(site: str, url: str, key: bytes) -> str:
    """Return the query string of a signed link.

    Raises:
        BadLinks: the destination is not allowed.
    """
    check(url)
    return f"s={quote(site, safe='')}&u={quote(url, safe='')}&k={_signature(site, url, key)}"


def verify(query: str, keys: Iterable[bytes]) -> Target | None:
    """Return where a signed link's query leads, or None where no key signed it.

    `keys` are the present key and any earlier ones. A repeated `s`, `u` or `k` is refused; of other parameters, which
    mail programs and ad platforms append, the click ids are passed on.
    """
    given: list[str | None] = [None, None, None]
    found: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, text = pair.partition("=")
        at = _SIGNED.get(name, -1)
        if at < 0 and (len(name) < 2 or (at := _SIGNED.get(name_of(name), -1)) < 0):
            _note_click_id(found, name, text)
            continue
        if given[at] is not None:
            return None
        given[at] = decoded(text)
    site, url, signature = given
    if site is None or url is None or signature is None or not signature.isascii():
        return None
    good = False
    for key in keys:
        good |= hmac.compare_digest(signature, _signature(site, url, key))
    return Target(site, url, tuple(found.items())) if good and not wrong_with(url) else None


_SIGNED: Final = {"s": 0, "u": 1, "k": 2}
_BLOCK_BYTES: Final = 64
"""SHA-256's block."""
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


def _signature(site: str, url: str, key: bytes) -> str:
    """HMAC-SHA256 over site and destination, cut to 128 bits so that a QR code stays small; 22 characters."""
    text = f"{site}\n{url}"
    signed = text.encode() if text.isascii() else text.encode("utf-8", "surrogatepass")
    inner, outer = _pads(key)
    digest = sha256(outer + sha256(inner + signed).digest()).digest()
    return b2a_base64(digest[:16], newline=False)[:22].translate(_URL_SAFE).decode("ascii")


@lru_cache(maxsize=32)
def _pads(key: bytes) -> tuple[bytes, bytes]:
    """Return the two blocks that a key becomes in HMAC (RFC 2104). Costs a quarter of `hmac.digest`."""
    block = (sha256(key).digest() if len(key) > _BLOCK_BYTES else key).ljust(_BLOCK_BYTES, b"\0")
    return block.translate(_INNER), block.translate(_OUTER)


def _query_of(url: str) -> str:
    return url.partition("#")[0].partition("?")[2]

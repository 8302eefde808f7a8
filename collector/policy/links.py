"""Links that record a click and redirect: their destinations, and the signature of those that carry their own.

Every destination is listed or signed by the operator. It is checked when it is listed or signed, and a signed one again
before each redirect.
"""

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from collector.contract import click_ids
from collector.policy.percent import decoded, encoded, name_of

LONGEST_URL: Final = 4096


class BadLinks(ValueError):
    """Why a `links.toml` or a destination is not taken: one line."""


class Target(NamedTuple):
    """Where a good signature leads."""

    site: str
    url: str


_DESTINATION = re.compile(
    r"https?://"
    r"(?P<host>(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?:[/?#][!-\[\]-~]*)?",
    re.IGNORECASE,
)


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
    if any(pair.partition("=")[0] == click_ids.OWN for pair in _query_of(url).split("&")):
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


def with_parameters(url: str, pairs: Iterable[tuple[str, str]]) -> str:
    """Add parameters to a good destination, leaving its own path, query and fragment as they are, byte for byte.

    A parameter that the destination's own query holds already is not added again.
    """
    head, mark, fragment = url.partition("#")
    query = head.partition("?")[2]
    if query:
        own = {unquote(pair.partition("=")[0]) for pair in query.split("&")}
        pairs = [(name, text) for name, text in pairs if name not in own]
    added = "&".join([f"{encoded(name)}={encoded(text)}" for name, text in pairs])
    if added:
        if "?" in head:
            head += added if not query or query[-1] == "&" else "&" + added
        else:
            head += ("" if "/" in head.partition("://")[2] else "/") + "?" + added
    return head + mark + fragment


def passed_on(query: str) -> tuple[tuple[str, str], ...]:
    """Return the ad platforms' click ids of a link's own query string, decoded, each once, at most 512 characters."""
    found: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, text = pair.partition("=")
        name = name_of(name)
        if name.lower() in click_ids.PASSED_ON and 0 < len(text) <= 512:
            found.setdefault(name, decoded(text))
    return tuple(found.items())


def sign(site: str, url: str, key: bytes) -> str:
    """Return the query string of a signed link.

    Raises:
        BadLinks: the destination is not allowed.
    """
    check(url)
    return f"s={quote(site, safe='')}&u={quote(url, safe='')}&k={_signature(site, url, key)}"


def verify(query: str, keys: Iterable[bytes]) -> Target | None:
    """Return where a signed link's query leads, or None where no key signed it.

    `keys` are the present key and any earlier ones. A repeated `s`, `u` or `k` is refused; other parameters, which mail
    programs and ad platforms append, are not looked at.
    """
    given: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, text = pair.partition("=")
        name = name_of(name)
        if name in ("s", "u", "k"):
            if name in given:
                return None
            given[name] = decoded(text)
    if len(given) != 3:
        return None
    site, url, signature = given["s"], given["u"], given["k"].encode()
    good = [hmac.compare_digest(signature, _signature(site, url, key).encode()) for key in keys]
    return Target(site, url) if any(good) and not wrong_with(url) else None


def _signature(site: str, url: str, key: bytes) -> str:
    """HMAC-SHA256 over site and destination, cut to 128 bits so that a QR code stays small; 22 characters."""
    signed = f"{site}\n{url}".encode("utf-8", "surrogatepass")
    return urlsafe_b64encode(hmac.digest(key, signed, "sha256")[:16]).rstrip(b"=").decode()


def _query_of(url: str) -> str:
    return url.partition("#")[0].partition("?")[2]

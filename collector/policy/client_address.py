"""The client's address: the peer's, or the one that a trusted proxy reports; and how much of it a site may keep.

A header counts only if it comes from a trusted proxy, and of a chain only the part that trusted proxies wrote, read
from the right. For a forged or broken header the peer's address is used, and `fault` names the case; the hit is kept.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_network
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Final, Literal, NamedTuple

MOST_PROXIES: Final = 32
"""Entries of a chain that are read; a longer chain counts as broken."""

HeaderForm = Literal["chain", "single", "single_with_port"]


class Cdn(NamedTuple):
    """Which headers one CDN or proxy adds. Header names are in lower case."""

    header: str
    """Carries the client's address."""
    form: HeaderForm
    """`chain`: X-Forwarded-For; `single`: one address; `single_with_port`: address, colon, port, also for bare IPv6."""
    country: str = ""
    region: str = ""
    city: str = ""
    request_id: str = "x-request-id"
    """Carries the id that the CDN gives a request; deploy/ shows the lines for those that add none by themselves."""


PRESETS: Final[dict[str, Cdn]] = {
    "nginx": Cdn("x-forwarded-for", "chain"),
    "cloudfront": Cdn(
        "cloudfront-viewer-address",
        "single_with_port",
        "cloudfront-viewer-country",
        "cloudfront-viewer-country-region",
        "cloudfront-viewer-city",
        "x-amz-cf-id",
    ),
    "cloudflare": Cdn("cf-connecting-ip", "single", "cf-ipcountry", "cf-region-code", "cf-ipcity", "cf-ray"),
    # Fastly and Akamai send no place of their own accord; deploy/cdn shows the lines that add these headers.
    "fastly": Cdn("fastly-client-ip", "single", "x-geo-country", "x-geo-region", "x-geo-city"),
    "akamai": Cdn("true-client-ip", "single", "x-geo-country", "x-geo-region", "x-geo-city"),
}
"""By the name that the setting takes. Sources: each CDN's page on request headers, linked in docs/privacy.md."""


class Address(NamedTuple):
    """Where a request came from."""

    ip: str
    """Canonical text: IPv4 also where it came mapped into IPv6; empty where the peer has no IP address."""
    fault: Literal["", "untrusted", "broken"]
    """Why a header was not believed: its sender is not a trusted proxy, or it has no address in the expected place."""


class Trusted:
    """The proxies whose header is used, and its form."""

    def __init__(self, networks: Iterable[str] = (), form: HeaderForm = "chain") -> None:
        """Take networks such as "10.0.0.0/8" or single addresses.

        Raises:
            ValueError: not a network, named.
        """
        self.form: Final = form
        parsed = [ip_network(text.strip()) for text in networks]
        self._masks: Final = [(net.max_prefixlen // 8, int(net.netmask), int(net.network_address)) for net in parsed]

    def __bool__(self) -> bool:
        """Tell whether any proxy is trusted at all."""
        return bool(self._masks)

    def __contains__(self, packed: bytes) -> bool:
        number, size = int.from_bytes(packed, "big"), len(packed)
        return any(size == width and number & mask == network for width, mask, network in self._masks)


@lru_cache(maxsize=8192)
def client_address(peer: str, forwarded: str, trusted: Trusted) -> Address:
    """Return the client's address. Total; the last answers are remembered (in memory only).

    `forwarded` is the value of the one header that the settings name, repeated ones joined by commas; empty: not sent.
    """
    near = _packed(peer)
    if near is None:
        return Address("", "untrusted" if forwarded else "")
    if not forwarded:
        return Address(_text(near), "")
    if near not in trusted:
        return Address(_text(near), "untrusted")
    far = _last_untrusted(forwarded, trusted) if trusted.form == "chain" else _single(forwarded, trusted.form)
    return Address(_text(near), "broken") if far is None else Address(_text(far), "")


@lru_cache(maxsize=8192)
def believed(peer: str, trusted: Trusted) -> bool:
    """Tell whether `peer` is a trusted proxy: only then do a CDN's place headers count."""
    near = _packed(peer)
    return near is not None and near in trusted


@lru_cache(maxsize=8192)
def truncate(ip: str, policy: Literal["truncate", "full", "none"]) -> str:
    """Return what the site's policy leaves of an `Address.ip`: its /24 or /48, all, or nothing."""
    if policy == "none" or not ip:
        return ""
    if policy == "full":
        return ip
    if ":" in ip:
        return inet_ntop(AF_INET6, inet_pton(AF_INET6, ip)[:6] + bytes(10))
    return ip[: ip.rindex(".")] + ".0"


def canonical(text: str) -> str | None:
    """Return an address in canonical text, or None for any other text; ports and brackets are refused."""
    packed = _packed(text)
    return None if packed is None else _text(packed)


def first_address(text: str) -> str:
    """Return the first address of a list, in canonical text; empty if there is none.

    A site's server writes it as it knows it: with a port, in brackets, or as its own X-Forwarded-For.
    """
    for hop in text.split(",", MOST_PROXIES)[:MOST_PROXIES]:
        packed = _packed(_without_port(hop.strip()))
        if packed is not None:
            return _text(packed)
    return ""


def _last_untrusted(chain: str, trusted: Trusted) -> bytes | None:
    hops = chain.split(",")
    if len(hops) > MOST_PROXIES:
        return None
    hop = None
    for text in reversed(hops):
        hop = _packed(_without_port(text.strip(" \t")))
        if hop is None or hop not in trusted:
            return hop
    return hop


def _single(value: str, form: HeaderForm) -> bytes | None:
    value = value.strip(" \t")
    if form == "single_with_port" and not value.startswith("["):
        address, _, port = value.rpartition(":")
        return _packed(address) if port.isdecimal() else None
    return _packed(_without_port(value))


def _without_port(text: str) -> str:
    """Cut "1.2.3.4:80" and "[::1]:80" to the address; a bare IPv6 address stays as it is."""
    if text.startswith("["):
        address, closed, rest = text[1:].partition("]")
        good = closed and ":" in address and (not rest or (rest[0] == ":" and rest[1:].isdecimal()))
        return address if good else ""
    if text.count(":") == 1:
        address, _, port = text.partition(":")
        return address if port.isdecimal() else ""
    return text


_MAPPED: Final = bytes(10) + b"\xff\xff"


def _packed(text: str) -> bytes | None:
    try:
        if ":" not in text:
            return inet_pton(AF_INET, text)
        packed = inet_pton(AF_INET6, text)
    except (OSError, ValueError):  # ValueError: a NUL, or a surrogate
        return None
    return packed[12:] if packed.startswith(_MAPPED) else packed


def _text(packed: bytes) -> str:
    return inet_ntop(AF_INET if len(packed) == 4 else AF_INET6, packed)

"""All by which a request is decided that is not in the request: sites, links and the operator's settings."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from collector.policy.client_address import Trusted
from collector.policy.link_file import Links
from collector.policy.sites import Sites

BACK_MS = 72 * 3600 * 1000
"""How far back an event's own time may lie where the settings give no other bound."""


class Ruleset(NamedTuple):
    """What a worker decides by; replaced as a whole when `sites.toml` or `links.toml` changes."""

    sites: Sites
    domain: str = ""
    """Of our cookies; empty: the collector's own host."""
    trusted: Trusted = Trusted()
    forwarded_header: str = "x-forwarded-for"
    """Name, in lower case, of the header in which a proxy gives the client's address."""
    geo_headers: tuple[str, str, str] = ("", "", "")
    """Names of the CDN's country, region and city headers; empty: none."""
    cookieless: Callable[[str, str, str], str] = lambda site, ip, user_agent: ""
    """(site key, full address, user agent) -> the day's id, 32 hex digits."""
    links: Links = MappingProxyType({})
    """The named links."""
    link_keys: tuple[bytes, ...] = ()
    """Keys that signed links are signed with: the present key, then earlier ones; empty: no signed links."""
    back_ms: int = BACK_MS
    """How far back an event's own time may lie, in milliseconds."""
    request_id_header: str = "x-request-id"
    """Name of the header with the id that the edge gives a request."""
    paths: Mapping[str, str] = MappingProxyType({})
    """The operator's own names for public paths, by the standard name."""

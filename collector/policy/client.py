"""What a request's headers say of its client, with the parts of a Hit's record that they give, ready as JSON."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from collector.contract.hit import PURPOSE_HEADERS, is_prefetch
from collector.policy.consent import DNT, GPC
from collector.policy.cors import OWN_SITE

_FIELDS: Final = (
    ("accept_language", "accept-language"),
    ("sec_ch_ua", "sec-ch-ua"),
    ("sec_ch_ua_mobile", "sec-ch-ua-mobile"),
    ("sec_ch_ua_platform", "sec-ch-ua-platform"),
)
_PLACES: Final = ("geo_country", "geo_region", "geo_city")

_json = msgspec.json.Encoder().encode


class Client(NamedTuple):
    """The same for all requests with the same headers, but for those that differ from visitor to visitor."""

    user_agent: str
    agent_json: bytes
    """The closing quote of the query or body, then `,"user_agent":"..."` if one was sent."""
    rest_json: bytes
    """The fields of the record from `accept_language` to `geo_city`, each with a comma before it."""
    signals: int
    """The sum of consent.GPC and consent.DNT."""
    navigates: bool
    """The browser opens the address as a page or frame, as by a link, not as an image."""
    origin: str
    """The `Origin` header; empty if not sent."""
    own_site: bool
    """The page is of the collector's own site; see `cors.OWN_SITE`."""


def client(headers: Mapping[str, str], geo_headers: tuple[str, str, str]) -> Client:
    """Read headers by their lower-case names.

    `geo_headers` are the names of the CDN's place headers; empty names for a peer that is no trusted proxy, which could
    have invented them.
    """
    parts = [(field, headers.get(name, "")) for field, name in _FIELDS]
    parts.append(("purpose", _purpose(headers)))
    parts += [(field, headers.get(name, "")) for field, name in zip(_PLACES, geo_headers, strict=True)]
    agent = headers.get("user-agent", "")
    return Client(
        user_agent=agent,
        agent_json=b'"' + text_json("user_agent", agent),
        rest_json=b"".join(text_json(field, text) for field, text in parts),
        signals=(GPC if headers.get("sec-gpc") == "1" else 0) + (DNT if headers.get("dnt") == "1" else 0),
        navigates=headers.get("sec-fetch-mode") == "navigate",
        origin=headers.get("origin", ""),
        own_site=headers.get("sec-fetch-site", "") in OWN_SITE,
    )


def _purpose(headers: Mapping[str, str]) -> str:
    """Return the header that says that the browser fetches ahead; empty if none does."""
    return next((headers[name] for name in PURPOSE_HEADERS if is_prefetch(headers.get(name, ""))), "")


def text_json(field: str, text: str) -> bytes:
    """Return a text field of a record with a comma before it; nothing for an empty text."""
    return b',"%b":%b' % (field.encode(), _json(text)) if text else b""


def inner_json(text: str) -> bytes:
    """Return a text as JSON writes it between the quotes."""
    return _json(text)[1:-1]


NO_CLIENT: Final = client({}, ("", "", ""))
"""Of a hit whose request came from the site's server: its headers are not the visitor's."""

"""What the collector writes to `hits.raw`: one Hit a record, as JSON.

The collector stamps, copies and forwards. It leaves parsing to the enricher, so that a replay of `hits.raw` repairs a
parser's mistake. What a site's policy forbids is not in a Hit.
"""

from typing import Final, Literal

import msgspec

HIT_VERSION: Final = 1
"""Raised when a field changes its meaning; a new optional field does not raise it."""

Kind = Literal["pixel", "open", "tag", "click", "server"]
"""The route: `/p.gif`, `/o.gif`, `POST /e`, `/c`, `POST /v1/events`."""

VisitorKind = Literal["cookie", "cookieless", "none"]
Consent = Literal["given", "refused", "assumed", "unknown"]


PURPOSE_HEADERS: Final = ("sec-purpose", "purpose", "x-purpose", "x-moz")
"""The headers by which a browser says that it fetches ahead, in lower case."""


def is_prefetch(purpose: str) -> bool:
    """Tell whether one of PURPOSE_HEADERS says that no person has asked for the page yet: a prefetch or a preview."""
    return "pre" in purpose.lower()


class Hit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="v", tag=HIT_VERSION, gc=False):
    """One accepted hit, before any parsing. Text fields are as received; empty means "not sent".

    The record's first field, `v`, is HIT_VERSION; any other version is refused by `decode`.
    """

    id: str
    """The hit's own id: a UUID version 7 as 32 lower-case hex digits. Example: "019aa0b1c2d37e4f8a9bacbdcedfe0f1"."""
    at: int
    """When the collector had it: milliseconds since the Unix epoch, UTC. Example: 1795334400123."""
    kind: Kind
    """The route. Example: "pixel"."""
    site: str
    """Key of a configured site. Example: "shop"."""
    query: str = ""
    """`/p.gif` and `/o.gif`: the query string as received, still percent-encoded. Example: "s=shop&e=signup&v=9.90"."""
    body: str = ""
    """`POST` and `/c`: the one event as the text of a JSON object, in the long names of the HTTP surface. A server's
    `ip`, `user_agent`, `visitor_id` are taken out of it into the fields below. Example: '{"event":"signup"}'."""
    user_agent: str = ""
    """`User-Agent`. Bytes that are not UTF-8 are read as Latin-1, here and in every other header."""
    referer: str = ""
    """`Referer`: the page that carries the pixel. Example: "https://shop.example/post/1"."""
    accept_language: str = ""
    """`Accept-Language`. Example: "de-AT,de;q=0.9,en;q=0.5"."""
    sec_ch_ua: str = ""
    """`Sec-CH-UA`. Example: '"Chromium";v="142", "Not_A Brand";v="99"'."""
    sec_ch_ua_mobile: str = ""
    """`Sec-CH-UA-Mobile`. Example: "?0"."""
    sec_ch_ua_platform: str = ""
    """`Sec-CH-UA-Platform`. Example: '"Windows"'."""
    purpose: str = ""
    """`Sec-Purpose`, or an older header of the same meaning, where it says that the browser fetches ahead; see
    `is_prefetch`. Example: "prefetch;prerender"."""
    geo_country: str = ""
    """Country from the configured CDN's header, as received. Example: "AT"."""
    geo_region: str = ""
    """Region from the configured CDN's header, as received. Example: "9"."""
    geo_city: str = ""
    """City from the configured CDN's header, as received. Example: "Wien"."""
    ip: str = ""
    """Client address after the site's policy: cut to /24 or /48, whole, or empty. Example: "203.0.113.0"."""
    visitor_id: str = ""
    """32 lower-case hex digits (or a server's own visitor id, at most 128 characters); empty without identity."""
    visitor_kind: VisitorKind = "none"
    """Where `visitor_id` comes from. Example: "cookie"."""
    consent: Consent = "unknown"
    """The consent under which the hit was taken. Example: "assumed"."""
    dropped: tuple[str, ...] = ()
    """Fields that were sent and may not be kept; already left out. Names as in a JSON body. Example: ["value"]."""


_encoder = msgspec.json.Encoder()


def encode(hit: Hit) -> bytes:
    """Return the record's bytes: a JSON object, fields in the order above, defaults left out."""
    return _encoder.encode(hit)


decode: Final = msgspec.json.Decoder(Hit).decode
"""Read a record; raises msgspec.ValidationError (a field is missing or of the wrong type) or msgspec.DecodeError (not
JSON). Not wrapped, since the enricher calls it for each hit."""

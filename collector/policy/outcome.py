"""Pure: what a pixel request means, for both lanes: query, headers, peer and now give a Hit or a Refusal.

Rule: a field of the query that is repeated must be good each time; the first one counts.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import unquote_plus

from collector.contract import Hit, Kind
from collector.policy import fields as form
from collector.policy.client_address import Trusted, believed, client_address, truncate
from collector.policy.consent import identify
from collector.policy.links import Links
from collector.policy.refusal import Refusal
from collector.policy.sites import Site, Sites


class Client(NamedTuple):
    """What a request's headers say, as text."""

    user_agent: str = ""
    referer: str = ""
    accept_language: str = ""
    sec_ch_ua: str = ""
    sec_ch_ua_mobile: str = ""
    sec_ch_ua_platform: str = ""
    geo_country: str = ""
    geo_region: str = ""
    geo_city: str = ""
    cookies: str = ""
    """Never stored: only our own cookies are looked at."""
    forwarded: str = ""
    """The header in which a proxy tells the client's address; repeated ones joined by commas."""
    gpc: bool = False
    dnt: bool = False
    navigates: bool = False
    """The browser opens the address as a page or frame, as by a link, not as an image."""


class Door(NamedTuple):
    """What a collector knows besides the request: the sites and the operator's settings."""

    sites: Sites
    domain: str = ""
    """Of our cookies; empty: the collector's own host."""
    trusted: Trusted = Trusted()
    forwarded_header: str = "x-forwarded-for"
    geo_headers: tuple[str, str, str] = ("", "", "")
    """Names of the CDN's country, region and city headers; empty: none."""
    cookieless: Callable[[str, str, str], str] = lambda site, ip, user_agent: ""
    """(site key, full address, user agent) -> the day's id, 32 hex digits."""
    links: Links = MappingProxyType({})
    """The named links."""
    link_keys: tuple[bytes, ...] = ()
    """What signed links are signed with: the present key, then earlier ones; none: no signed links."""
    back_ms: int = form.BACK_MS
    """How far back an event's own time may lie."""
    request_id_header: str = "x-request-id"
    """Name of the header with the edge's id of a request."""


class Asked(NamedTuple):
    """What a good query asks for."""

    site: str
    policy: Site
    consent: str
    """The consent parameter as sent; empty: not sent."""


class Outcome(NamedTuple):
    """What becomes of one hit, and what its answer sets."""

    hit: Hit | None
    refusal: Refusal | None
    site: str
    """The metric's label: a configured site's key, or empty."""
    set_cookies: tuple[str, ...] = ()


_CHECKS: Final[Mapping[str, Callable[[str], Refusal | None]]] = {
    "e": form.event,
    "uid": form.user_id,
    "id": form.client_id,
    "v": form.value,
    "c": form.currency,
}


def judge(query: str, sites: Sites, now_ms: int, back_ms: int = form.BACK_MS) -> Asked | Refusal:
    """Judge the form of a pixel's query string. Total: any text gives an answer."""
    site = consent = None
    props = 0
    for pair in query.split("&"):
        name, _, text = pair.partition("=")
        if name in ("u", "r", "t", ""):
            continue
        if "%" in text or "+" in text:
            text = unquote_plus(text)
        if name == "s":
            site = text if site is None else site
        elif name == "n":
            consent = text if consent is None else consent
        elif (check := _CHECKS.get(name)) is not None:
            # An empty field is a field not sent.
            if text and (refusal := check(text)):
                return refusal
        elif name == "ts":
            if text and (refusal := form.time(text, now_ms, back_ms)):
                return refusal
        elif name.startswith(("x.", "x%2")):
            props += 1
            if refusal := form.prop(unquote_plus(name)[2:], text):
                return refusal
    policy = sites.get(site or "")
    if policy is None:
        return Refusal.UNKNOWN_SITE
    if props > form.MOST_PROPS:
        return Refusal.BAD_PROPS
    return Asked(site or "", policy, consent or "")


def without_user_id(query: str) -> str:
    """Return the query without its `uid`: where a visitor may not be identified, neither may the sender name them."""
    return "&".join(pair for pair in query.split("&") if pair.partition("=")[0] != "uid")


def text_of(raw: bytes) -> str:
    """Return a header's value as text: UTF-8, or Latin-1 where it is not."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def client(fields: Mapping[str, str], door: Door, peer: str) -> Client:
    """Read the headers; `fields` has lower-case names, repeated headers joined by commas (cookies by semicolons).

    A CDN's place headers are read only where `peer` is a trusted proxy: anybody else could have made them up.
    """
    country, region, city = door.geo_headers if believed(peer, door.trusted) else ("", "", "")
    return Client(
        fields.get("user-agent", ""),
        fields.get("referer", ""),
        fields.get("accept-language", ""),
        fields.get("sec-ch-ua", ""),
        fields.get("sec-ch-ua-mobile", ""),
        fields.get("sec-ch-ua-platform", ""),
        fields.get(country, ""),
        fields.get(region, ""),
        fields.get(city, ""),
        fields.get("cookie", ""),
        fields.get(door.forwarded_header, ""),
        fields.get("sec-gpc", "") == "1",
        fields.get("dnt", "") == "1",
        fields.get("sec-fetch-mode", "") == "navigate",
    )


def pixel(
    kind: Kind, query: str, sent: Client, peer: str, door: Door, *, now_ms: int, hit_id: str, fresh_id: str
) -> Outcome:
    """Decide one pixel request. `peer` is the connection's address; `hit_id` and `fresh_id` are 32 hex digits.

    Where a browser was sent to the pixel's own address, by anybody's link, its consent parameter is nobody's word.
    """
    asked = judge(query, door.sites, now_ms, door.back_ms)
    if isinstance(asked, Refusal):
        return Outcome(None, asked, "")
    site = asked.site
    address = client_address(peer, sent.forwarded, door.trusted).ip
    who = identify(
        asked.policy,
        cookies=sent.cookies,
        gpc=sent.gpc,
        dnt=sent.dnt,
        consent_param="" if sent.navigates else asked.consent,
        fresh_id=fresh_id,
        domain=door.domain,
        cookieless=lambda: door.cookieless(site, address, sent.user_agent),
    )
    if not who.recorded:
        return Outcome(None, Refusal(who.refusal), site, who.set_cookies)
    hit = Hit(
        id=hit_id,
        at=now_ms,
        kind=kind,
        site=site,
        query=query if who.allowed or "uid=" not in query else without_user_id(query),
        user_agent=sent.user_agent,
        referer=sent.referer,
        accept_language=sent.accept_language,
        sec_ch_ua=sent.sec_ch_ua,
        sec_ch_ua_mobile=sent.sec_ch_ua_mobile,
        sec_ch_ua_platform=sent.sec_ch_ua_platform,
        geo_country=sent.geo_country,
        geo_region=sent.geo_region,
        geo_city=sent.geo_city,
        ip=truncate(address, asked.policy.ip),
        visitor_id=who.visitor_id,
        visitor_kind=who.visitor_kind,
        consent=who.consent,
    )
    return Outcome(hit, None, site, who.set_cookies)

"""Pure: what a pixel request means, for both lanes: query, headers, peer and now give a Hit or a Refusal.

Rule: a field of the query that is repeated must be good each time; the first one counts.
"""

from collections.abc import Mapping
from typing import NamedTuple

from collector.contract import Hit, Kind
from collector.policy.client_address import believed, client_address, truncate
from collector.policy.consent import identify
from collector.policy.query import judge, without_user_id
from collector.policy.refusal import Refusal
from collector.policy.ruleset import Ruleset


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


class Outcome(NamedTuple):
    """What becomes of one hit, and what its answer sets."""

    hit: Hit | None
    refusal: Refusal | None
    site: str
    """The metric's label: a configured site's key, or empty."""
    set_cookies: tuple[str, ...] = ()


def text_of(raw: bytes) -> str:
    """Return a header's value as text: UTF-8, or Latin-1 where it is not."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def client(fields: Mapping[str, str], ruleset: Ruleset, peer: str) -> Client:
    """Read the headers; `fields` has lower-case names, repeated headers joined by commas (cookies by semicolons).

    A CDN's place headers are read only where `peer` is a trusted proxy: anybody else could have made them up.
    """
    country, region, city = ruleset.geo_headers if believed(peer, ruleset.trusted) else ("", "", "")
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
        fields.get(ruleset.forwarded_header, ""),
        fields.get("sec-gpc", "") == "1",
        fields.get("dnt", "") == "1",
        fields.get("sec-fetch-mode", "") == "navigate",
    )


def pixel(
    kind: Kind, query: str, sent: Client, peer: str, ruleset: Ruleset, *, now_ms: int, hit_id: str, fresh_id: str
) -> Outcome:
    """Decide one pixel request. `peer` is the connection's address; `hit_id` and `fresh_id` are 32 hex digits.

    Where a browser was sent to the pixel's own address, by anybody's link, its consent parameter is nobody's word.
    """
    asked = judge(query, ruleset.sites, now_ms, ruleset.back_ms)
    if isinstance(asked, Refusal):
        return Outcome(None, asked, "")
    site = asked.site
    policy = ruleset.sites[site]
    address = client_address(peer, sent.forwarded, ruleset.trusted).ip
    who = identify(
        policy,
        cookies=sent.cookies,
        gpc=sent.gpc,
        dnt=sent.dnt,
        consent_param="" if sent.navigates else asked.consent,
        fresh_id=fresh_id,
        domain=ruleset.domain,
        cookieless=lambda: ruleset.cookieless(site, address, sent.user_agent),
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
        ip=truncate(address, policy.ip),
        visitor_id=who.visitor_id,
        visitor_kind=who.visitor_kind,
        consent=who.consent,
    )
    return Outcome(hit, None, site, who.set_cookies)

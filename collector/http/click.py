"""`/c/CODE` and `/c?u=...&k=...`: count a click and lead on, only where the operator listed or signed.

Rule: a person must arrive. Whatever becomes of the hit, a good link is followed by a redirect; a bad one never is.
"""

import orjson
from aiohttp import web

from collector.contract import Hit, click_ids
from collector.http import pixel
from collector.http.aiohttp_request import INTAKE, client_of, peer_of
from collector.http.ingest import SpoolRefused
from collector.policy import links
from collector.policy.client_address import client_address, truncate
from collector.policy.consent import identify
from collector.policy.outcome import Client, Outcome
from collector.policy.refusal import Refusal
from collector.policy.ruleset import Ruleset


async def named(sent: web.Request) -> web.Response:
    """Follow a link of `links.toml`."""
    code = sent.match_info["code"]
    link = sent.app[INTAKE].ruleset.links.get(code)
    if link is None:
        return _nowhere(sent, 404, Refusal.UNKNOWN_LINK)
    added = (*link.utm, *links.passed_on(sent.rel_url.raw_query_string))
    return await _lead(sent, link.site, links.with_parameters(link.to, added), code)


async def signed(sent: web.Request) -> web.Response:
    """Follow a link that carries its destination and a signature."""
    query = sent.rel_url.raw_query_string
    ruleset = sent.app[INTAKE].ruleset
    target = links.verify(query, ruleset.link_keys)
    if target is None or target.site not in ruleset.sites:
        return _nowhere(sent, 403, Refusal.BAD_SIGNATURE)
    hosts = ruleset.sites[target.site].redirect_hosts
    if hosts and links.host_of(target.url) not in hosts:
        return _nowhere(sent, 403, Refusal.BAD_SIGNATURE)
    return await _lead(sent, target.site, links.with_parameters(target.url, links.passed_on(query)), "")


def click(
    site: str,
    url: str,
    code: str,
    sent: Client,
    peer: str,
    ruleset: Ruleset,
    *,
    now_ms: int,
    hit_id: str,
    fresh_id: str,
) -> tuple[Outcome, str]:
    """Decide one click: what becomes of it, and the URL to lead to.

    A link takes no consent parameter: anyone may write one into a link. The click id is the hit's own id; a visitor who
    has refused gets none, for it would tie the click to the page.
    """
    policy = ruleset.sites[site]
    address = client_address(peer, sent.forwarded, ruleset.trusted).ip
    who = identify(
        policy,
        cookies=sent.cookies,
        gpc=sent.gpc,
        dnt=sent.dnt,
        consent_param="",
        fresh_id=fresh_id,
        domain=ruleset.domain,
        cookieless=lambda: ruleset.cookieless(site, address, sent.user_agent),
    )
    if not who.recorded:
        return Outcome(None, Refusal(who.refusal), site, who.set_cookies), url
    body = {"event": "click", "link_code": code}
    if who.consent != "refused":
        url = links.with_parameters(url, ((click_ids.OWN, hit_id),))
        body["click_id"] = hit_id
    hit = Hit(
        id=hit_id,
        at=now_ms,
        kind="click",
        site=site,
        body=orjson.dumps({name: text for name, text in {**body, "url": url}.items() if text}).decode(),
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
    return Outcome(hit, None, site, who.set_cookies), url


async def _lead(sent: web.Request, site: str, url: str, code: str) -> web.Response:
    intake = sent.app[INTAKE]
    if sent.method == "HEAD":  # a link checker's question, not a click
        return web.Response(status=302, headers={**pixel.COUNTED_HEADERS, "Location": url})
    ruleset = intake.ruleset
    now_ms = intake.now_ms()
    outcome, url = click(
        site,
        url,
        code,
        client_of(sent),
        peer_of(sent),
        ruleset,
        now_ms=now_ms,
        hit_id=intake.ids.hit(now_ms),
        fresh_id=intake.ids.visitor(),
    )
    refusal = outcome.refusal
    if outcome.hit is not None:
        try:
            await intake.accept([outcome.hit])
        except SpoolRefused:
            refusal = Refusal.SPOOL
    if refusal is not None:
        intake.refuse(site, refusal)
    headers = {
        **pixel.COUNTED_HEADERS,
        "Location": url,
        "X-Pharos": "accepted" if refusal is None else f"refused; {refusal}",
    }
    response = web.Response(status=302, headers=headers)
    for cookie in outcome.set_cookies:
        response.headers.add("Set-Cookie", cookie)
    return response


def _nowhere(sent: web.Request, status: int, reason: Refusal) -> web.Response:
    intake = sent.app[INTAKE]
    intake.refuse("", reason)
    return web.Response(
        status=status,
        text="This link leads nowhere. Perhaps a part of it was lost.\n",
        headers={**pixel.COUNTED_HEADERS, "X-Pharos": f"refused; {reason}"},
    )

"""Pure: what becomes of each event of a POST: an Outcome apiece, with consent decided for each on the server.

Rule: a batch is one visitor's request: all its events share one fresh id, and the last word on a cookie is set.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from hmac import compare_digest

from collector.contract import Hit, Kind
from collector.http.ids import Ids
from collector.policy import cors, events_body
from collector.policy.client_address import canonical, client_address, truncate
from collector.policy.consent import Identity, identify
from collector.policy.events_body import Event
from collector.policy.outcome import Client, Outcome
from collector.policy.refusal import Refusal
from collector.policy.ruleset import Ruleset
from collector.policy.sites import Site, Sites


def from_tag(
    events: Sequence[object], sent: Client, origin: str, peer: str, ruleset: Ruleset, *, now_ms: int, ids: Ids
) -> list[Outcome]:
    """Decide the events of a `POST /e`; `origin` is the header, empty if not sent."""
    address = client_address(peer, sent.forwarded, ruleset.trusted).ip
    fresh_id = ids.visitor()
    outcomes = []
    for raw in events:
        event = _judged(raw, ruleset, now_ms, server=False)
        if isinstance(event, Outcome):
            outcomes.append(event)
            continue
        policy = ruleset.sites[event.site]
        if cors.is_refused(origin, policy):
            outcomes.append(Outcome(None, Refusal.ORIGIN, event.site))
            continue
        who = identify(
            policy,
            cookies=sent.cookies,
            gpc=sent.gpc,
            dnt=sent.dnt,
            consent_param="" if sent.navigates else event.consent,  # a form of a stranger's page, see request.pixel
            fresh_id=fresh_id,
            domain=ruleset.domain,
            cookieless=lambda site=event.site: ruleset.cookieless(site, address, sent.user_agent),  # type: ignore[misc]
        )
        outcomes.append(_outcome("tag", event, policy, who, sent, address, ids.hit(now_ms), now_ms))
    return outcomes


def from_server(
    events: Sequence[object], allowed: Mapping[str, Site], ruleset: Ruleset, *, now_ms: int, ids: Ids
) -> list[Outcome]:
    """Decide the events of a `POST /v1/events` whose token is good for the sites in `allowed`.

    The request's own headers and address are the server's, not the visitor's: only what an event says is used. A
    visitor id is kept where the site's policy and the event's consent allow one.
    """
    outcomes = []
    for raw in events:
        event = _judged(raw, ruleset, now_ms, server=True)
        if isinstance(event, Outcome):
            outcomes.append(event)
            continue
        if event.site not in allowed:
            outcomes.append(Outcome(None, Refusal.UNAUTHORIZED, event.site))
            continue
        policy = allowed[event.site]
        address = canonical(event.ip) or ""
        if event.ip and not address:
            outcomes.append(Outcome(None, Refusal.BAD_BODY, event.site))
            continue
        who = identify(
            policy,
            cookies="",
            gpc=False,
            dnt=False,
            consent_param=event.consent,
            fresh_id=event.visitor_id,
            domain="",
            cookieless=lambda site=event.site, ip=address, browser=event.user_agent: (  # type: ignore[misc]
                ruleset.cookieless(site, ip, browser) if ip else ""
            ),
        )
        if not who.visitor_id:
            who = who._replace(visitor_kind="none")
        sent = Client(user_agent=event.user_agent)
        outcome = _outcome("server", event, policy, who, sent, address, ids.hit(now_ms), now_ms)
        outcomes.append(outcome._replace(set_cookies=()))
    return outcomes


def sites_of(authorization: str, sites: Sites) -> dict[str, Site]:
    """Return the sites whose token an `Authorization` header bears; compared in constant time, by digest."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        return {}
    digest = sha256(token.strip().encode("utf-8", "surrogateescape")).hexdigest()
    return {key: site for key, site in sites.items() if sum(compare_digest(digest, known) for known in site.tokens) > 0}


def cookies_of(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the cookies to set: of each name the last."""
    last = {cookie.partition("=")[0]: cookie for outcome in outcomes for cookie in outcome.set_cookies}
    return list(last.values())


def _judged(raw: object, ruleset: Ruleset, now_ms: int, *, server: bool) -> Event | Outcome:
    event = events_body.judge(raw, now_ms, back_ms=ruleset.back_ms, server=server)
    if isinstance(event, Refusal):
        # Named where it can be, so that the metric tells the operator whose events are refused.
        site = raw.get("site") if isinstance(raw, dict) else None
        return Outcome(None, event, site if isinstance(site, str) and site in ruleset.sites else "")
    if event.site not in ruleset.sites:
        return Outcome(None, Refusal.UNKNOWN_SITE, "")
    return event


def _outcome(
    kind: Kind, event: Event, policy: Site, who: Identity, sent: Client, address: str, hit_id: str, now_ms: int
) -> Outcome:
    if not who.recorded:
        return Outcome(None, Refusal(who.refusal), event.site, who.set_cookies)
    hit = Hit(
        id=hit_id,
        at=now_ms,
        kind=kind,
        site=event.site,
        body=event.body if who.allowed or not event.user_id else events_body.without_user_id(event.body),
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
    return Outcome(hit, None, event.site, who.set_cookies)

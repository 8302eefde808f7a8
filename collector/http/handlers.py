"""aiohttp's handlers of the routes that count hits: each reads a request, has it decided, and answers."""

from aiohttp import web

from collector.contract import Kind
from collector.http import pixel
from collector.http.aiohttp_request import BODIES, INGEST, accepted, response, sent_of
from collector.http.answer import Answer
from collector.http.body_budget import Crowded, TooMuch
from collector.policy import cors
from collector.policy.outcome import EVENTS, SERVER_EVENTS
from collector.policy.refusal import Refusal


async def page_pixel(request: web.Request) -> web.Response:
    """Answer `/p.gif`."""
    return await _pixel(request, "pixel")


async def mail_pixel(request: web.Request) -> web.Response:
    """Answer `/o.gif`. A HEAD is the question of a link checker or mail scanner, and no open."""
    if request.method == "HEAD":
        return response(Answer(200, (*pixel.COUNTED_HEADERS.items(), ("Content-Type", "image/gif")), pixel.GIF))
    return await _pixel(request, "open")


async def _pixel(request: web.Request, kind: Kind) -> web.Response:
    outcomes = request.app[INGEST].outcomes()
    return await accepted(request, outcomes.pixel(kind, request.rel_url.raw_query_string, sent_of(request, outcomes)))


async def post(request: web.Request) -> web.Response:
    """Answer `POST /e`, by which the tag sends events."""
    ingest = request.app[INGEST]
    sent = sent_of(request, ingest.outcomes())
    page = sent.client
    try:
        raw = await _body(request, sent.ip)
    except TooMuch:
        outcome = ingest.outcomes().unread(EVENTS, Refusal.TOO_LARGE, "body", page)
    except web.HTTPTooManyRequests as busy:
        busy.headers.update(cors.headers(page.origin, (), own_site=page.own_site))
        raise
    else:
        outcome = ingest.outcomes().post(raw, request.headers.get("Content-Encoding", ""), sent)
    return await accepted(request, outcome)


async def server_post(request: web.Request) -> web.Response:
    """Answer `POST /v1/events`, by which a site's own server sends events."""
    ingest = request.app[INGEST]
    authorization = request.headers.get("Authorization", "")
    # Before the body is read: a sender without a token must not make us read a megabyte.
    if not ingest.outcomes().sites_of(authorization):
        return await accepted(request, ingest.outcomes().unread(SERVER_EVENTS, Refusal.UNAUTHORIZED, ""))
    try:
        raw = await _body(request, None)  # a site's own server, by its token, may send much at once
    except TooMuch:
        outcome = ingest.outcomes().unread(SERVER_EVENTS, Refusal.TOO_LARGE, "body")
    else:
        outcomes = ingest.outcomes()
        coding = request.headers.get("Content-Encoding", "")
        outcome = outcomes.server_post(raw, coding, outcomes.sites_of(authorization))
    return await accepted(request, outcome)


async def linker(request: web.Request) -> web.Response:
    """Answer `/linker?s=SITE&to=HOST` to a page of the collector's own site, or of an origin that the site lists."""
    outcomes = request.app[INGEST].outcomes()
    sent = sent_of(request, outcomes)
    client, site = sent.client, request.query.get("s", "")
    policy = outcomes.ruleset.sites.get(site)
    readable = client.own_site or (policy is not None and client.origin in policy.origins)
    text = outcomes.linker(site, request.query.get("to", "").lower(), sent) if readable else ""
    allowed = cors.headers(client.origin, () if policy is None else (policy,), own_site=client.own_site)
    headers = (*pixel.COUNTED_HEADERS.items(), *allowed.items(), ("Content-Type", "text/plain; charset=utf-8"))
    return response(Answer(200 if text else 204, headers, text.encode()))


async def _body(request: web.Request, ip: str | None) -> bytes:
    try:
        async with request.app[BODIES].read(request, ip) as raw:
            return raw
    except Crowded as error:
        request.app[INGEST].tally.add("request_errors_total", "429")
        raise web.HTTPTooManyRequests(headers={"Retry-After": str(pixel.RETRY_AFTER_S)}) from error


async def named_link(request: web.Request) -> web.Response:
    """Answer `/c/CODE`: follow a link of `links.toml`."""
    outcomes = request.app[INGEST].outcomes()
    outcome = outcomes.named_click(
        request.match_info["code"],
        request.rel_url.raw_query_string,
        sent_of(request, outcomes),
        counts=request.method == "GET",
    )
    return await accepted(request, outcome)


async def signed_link(request: web.Request) -> web.Response:
    """Answer `/c?u=...&k=...`: follow a link that carries its destination and a signature."""
    outcomes = request.app[INGEST].outcomes()
    outcome = outcomes.signed_click(
        request.rel_url.raw_query_string, sent_of(request, outcomes), counts=request.method == "GET"
    )
    return await accepted(request, outcome)

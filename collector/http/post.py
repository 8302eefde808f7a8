"""`POST /e` of the tag and `POST /v1/events` of servers: a body in, one hit an event, and an answer that says which."""

from collections.abc import Sequence

import orjson
from aiohttp import web

from collector.http import pixel
from collector.http.aiohttp_request import BODIES, INTAKE, client_of, peer_of
from collector.http.body_budget import Crowded, TooMuch
from collector.http.ingest import SpoolRefused
from collector.policy import batch, cors, events_body
from collector.policy.events_body import TooLarge, Unreadable
from collector.policy.outcome import Outcome
from collector.policy.refusal import Refusal

_STATUS = {
    Refusal.OPTED_OUT: 403,
    Refusal.NO_CONSENT: 403,
    Refusal.ORIGIN: 403,
    Refusal.UNAUTHORIZED: 401,
    Refusal.TOO_LARGE: 413,
    Refusal.SPOOL: 503,
}
"""Of an answer to a POST of which nothing was accepted, by the first reason; any other: 400."""


async def from_tag(sent: web.Request) -> web.Response:
    """Take one event or a batch from a page."""
    intake = sent.app[INTAKE]
    ruleset = intake.ruleset
    origin = sent.headers.get("Origin", "")
    own_site = sent.headers.get("Sec-Fetch-Site", "") in cors.OWN_SITE
    try:
        events = await _events(sent)
    except (TooLarge, Unreadable) as problem:
        return _refused(sent, problem, cors.headers(origin, (), own_site=own_site))
    except web.HTTPTooManyRequests as busy:
        busy.headers.update(cors.headers(origin, (), own_site=own_site))
        raise
    client = client_of(sent)
    outcomes = batch.from_tag(events, client, origin, peer_of(sent), ruleset, now_ms=intake.now_ms(), ids=intake.ids)
    concerned = [ruleset.sites[outcome.site] for outcome in outcomes if outcome.site in ruleset.sites]
    return await _answer(sent, outcomes, cors.headers(origin, concerned, own_site=own_site))


async def from_server(sent: web.Request) -> web.Response:
    """Take one event or a batch from a site's own server."""
    intake = sent.app[INTAKE]
    ruleset = intake.ruleset
    # Before the body is read: who has no token may not make us read a megabyte.
    allowed = batch.sites_of(sent.headers.get("Authorization", ""), ruleset.sites)
    if not allowed:
        intake.refuse("", Refusal.UNAUTHORIZED)
        return _json(401, {"accepted": 0, "reason": Refusal.UNAUTHORIZED}, Refusal.UNAUTHORIZED, {})
    try:
        events = await _events(sent)
    except (TooLarge, Unreadable) as problem:
        return _refused(sent, problem, {})
    return await _answer(sent, batch.from_server(events, allowed, ruleset, now_ms=intake.now_ms(), ids=intake.ids), {})


async def _events(sent: web.Request) -> list[object]:
    try:
        async with sent.app[BODIES].read(sent) as raw:
            return events_body.split(events_body.inflate(raw, sent.headers.get("Content-Encoding", "")))
    except TooMuch as error:
        raise TooLarge("body") from error
    except Crowded as error:
        sent.app[INTAKE].tally.add("request_errors_total", "429")
        raise web.HTTPTooManyRequests(headers={"Retry-After": str(pixel.RETRY_AFTER_S)}) from error


def _refused(sent: web.Request, problem: TooLarge | Unreadable, headers: dict[str, str]) -> web.Response:
    reason = Refusal.TOO_LARGE if isinstance(problem, TooLarge) else Refusal.BAD_BODY
    sent.app[INTAKE].refuse("", reason)
    return _json(_STATUS.get(reason, 400), {"accepted": 0, "reason": reason, "detail": str(problem)}, reason, headers)


async def _answer(sent: web.Request, outcomes: Sequence[Outcome], headers: dict[str, str]) -> web.Response:
    intake = sent.app[INTAKE]
    hits = [outcome.hit for outcome in outcomes if outcome.hit is not None]
    try:
        await intake.accept(hits)
    except SpoolRefused:
        for outcome in outcomes:
            intake.refuse(outcome.site, Refusal.SPOOL)
        return _json(503, {"accepted": 0, "reason": Refusal.SPOOL}, Refusal.SPOOL, headers)
    refused: list[tuple[int, Refusal]] = []
    for index, outcome in enumerate(outcomes):
        if outcome.refusal is not None:
            intake.refuse(outcome.site, outcome.refusal)
            refused.append((index, outcome.refusal))
    reason = None if hits or not refused else refused[0][1]
    status = 202 if reason is None else _STATUS.get(reason, 400)
    listed = [{"index": index, "reason": why} for index, why in refused]
    response = _json(status, {"accepted": len(hits), "refused": listed}, reason, headers)
    for cookie in batch.cookies_of(outcomes):
        response.headers.add("Set-Cookie", cookie)
    return response


def _json(status: int, said: dict[str, object], reason: Refusal | None, headers: dict[str, str]) -> web.Response:
    verdict = "accepted" if reason is None else f"refused; {reason}"
    response = web.Response(
        status=status,
        body=orjson.dumps(said),
        content_type="application/json",
        headers={**pixel.COUNTED_HEADERS, **headers, "X-Pharos": verdict},
    )
    if status == 503:
        response.headers["Retry-After"] = str(pixel.RETRY_AFTER_S)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response

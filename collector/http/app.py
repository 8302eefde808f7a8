"""The full lane: aiohttp's routes, for everything and everyone; the fast lane answers some of it sooner."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from collector.contract import Kind
from collector.http import body_budget, click, doctor_probe, opt_out, pixel, post, request_id, static, tag
from collector.http.aiohttp_bridge import Lent
from collector.http.aiohttp_request import BODIES, INTAKE, client_of, peer_of, request_id_of
from collector.http.ingest import Intake, SpoolRefused
from collector.policy import cors
from collector.policy import outcome as request
from collector.policy.refusal import Refusal
from stage import log

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Middleware = Callable[..., Awaitable[web.StreamResponse]]


def build(intake: Intake, body_timeout_s: float = 20) -> web.Application:
    """Return the application. A way in is a handler in a module of its own and a line here."""
    around: list[Middleware] = [_own_up, _in_time(body_timeout_s)]
    app = web.Application(client_max_size=body_budget.MOST_BYTES, middlewares=around)
    app[INTAKE] = intake
    app[BODIES] = body_budget.Bodies()
    routes: list[tuple[str, str, Handler]] = [
        ("GET", "/p.gif", pixel_of("pixel")),
        ("HEAD", "/p.gif", pixel_of("pixel")),
        ("GET", "/o.gif", pixel_of("open")),
        ("HEAD", "/o.gif", pixel_of("open")),
        ("POST", "/e", post.from_tag),
        ("POST", "/v1/events", post.from_server),
        ("GET", "/c", click.signed),
        ("HEAD", "/c", click.signed),
        ("GET", "/c/{code}", click.named),
        ("HEAD", "/c/{code}", click.named),
        ("GET", "/t.js", static.tag_of(tag.load())),
        ("HEAD", "/t.js", static.tag_of(tag.load())),
        ("GET", "/x.js", static.tag_of(tag.load("tag_extra.js"))),
        ("HEAD", "/x.js", static.tag_of(tag.load("tag_extra.js"))),
        ("GET", "/opt-out", opt_out.opt_out),
        ("GET", "/opt-in", opt_out.opt_in),
        ("GET", "/robots.txt", static.robots),
        ("GET", doctor_probe.PATH, doctor_probe.tell),
        ("OPTIONS", "/{any:.*}", static.preflight),
        ("*", "/{any:.*}", static.nothing),
    ]
    for method, path, handler in routes:
        app.router.add_route(method, path, handler, expect_handler=_expect)
    app.on_response_prepare.append(_finish_headers)
    return app


async def _expect(sent: web.Request) -> None:
    """Let a client that waits for it send its body; aiohttp's own answer to anything else can fail on odd bytes."""
    if sent.headers.get("Expect", "").lower() != "100-continue":
        raise web.HTTPExpectationFailed
    if sent.transport is not None:
        sent.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


@web.middleware
async def _own_up(sent: web.Request, handler: Handler) -> web.StreamResponse:
    """Write a line for what is our own fault, with the id that the answer carries too; nothing else of the request."""
    try:
        answer = await handler(sent)
    except (web.HTTPException, web.RequestPayloadError, ConnectionError):
        raise  # an answer; or the client's own doing, which aiohttp knows how to end
    except Exception as problem:  # noqa: BLE001  whatever it is, it is one request's
        answer = web.Response(status=500)
        faults = {"problem": type(problem).__name__, "where": log.where(problem)}
        log.line("error", "a request failed", request_id=request_id_of(sent), route=_route(sent), **faults)
    if answer.status == 503:
        log.line("warning", "answered 503", request_id=request_id_of(sent), route=_route(sent))
    return answer


def _route(sent: web.Request) -> str:
    """Return the path's pattern, not the path."""
    resource = sent.match_info.route.resource
    return "" if resource is None else resource.canonical


def _in_time(body_timeout_s: float) -> Middleware:
    """Return the middleware that answers 408, and closes, where a body does not come in time."""

    @web.middleware
    async def in_time(sent: web.Request, handler: Handler) -> web.StreamResponse:
        if not sent.can_read_body:
            return await handler(sent)
        try:
            async with asyncio.timeout(body_timeout_s):
                return await handler(sent)
        except TimeoutError:
            sent.app[INTAKE].tally.add("request_errors_total", "408")
            late = web.Response(status=408)
            late.force_close()
            return late

    return in_time


async def _finish_headers(sent: web.Request, response: web.StreamResponse) -> None:
    intake = sent.app[INTAKE]
    intake.tally.add("requests_total", "full")
    response.headers.pop("Server", None)
    if response.status >= 400:
        response.headers[request_id.HEADER] = request_id_of(sent)
    protocol = sent.protocol
    if intake.draining or (isinstance(protocol, Lent) and protocol.given):
        response.force_close()
        # aiohttp has written its own by now. A proxy that is not told sends its next request into the closing.
        response.headers["Connection"] = "close"


def pixel_of(kind: Kind) -> Handler:
    """Return the handler of a pixel that counts hits of this kind."""

    async def answer(sent: web.Request) -> web.Response:
        intake = sent.app[INTAKE]
        ruleset = intake.ruleset
        origin = sent.headers.get("Origin", "")
        now_ms = intake.now_ms()
        outcome = request.pixel(
            kind,
            sent.rel_url.raw_query_string,
            client_of(sent),
            peer_of(sent),
            ruleset,
            now_ms=now_ms,
            hit_id=intake.ids.hit(now_ms),
            fresh_id=intake.ids.visitor(),
        )
        if outcome.hit is not None and cors.is_refused(origin, ruleset.sites[outcome.site]):
            outcome = request.Outcome(None, Refusal.ORIGIN, outcome.site)
        if outcome.hit is not None:
            try:
                await intake.accept([outcome.hit])
            except SpoolRefused:
                intake.refuse(outcome.site, Refusal.SPOOL)
                return counted(503, refusal=Refusal.SPOOL)
        elif outcome.refusal is not None:
            intake.refuse(outcome.site, outcome.refusal)
        response = counted(200, refusal=outcome.refusal, body=pixel.GIF, content_type="image/gif")
        if origin:
            response.headers.update(cors.headers(origin, [ruleset.sites[outcome.site]] if outcome.site else ()))
        for cookie in outcome.set_cookies:
            response.headers.add("Set-Cookie", cookie)
        return response

    return answer


def counted(
    status: int, *, refusal: Refusal | None = None, body: bytes = b"", content_type: str = "text/plain"
) -> web.Response:
    """Return an answer that counts a hit, or says why it does not: never cached, truthful."""
    verdict = "accepted" if refusal is None else f"refused; {refusal}"
    headers = {**pixel.COUNTED_HEADERS, "X-Pharos": verdict}
    if status == 503:
        headers["Retry-After"] = str(pixel.RETRY_AFTER_S)
    return web.Response(status=status, body=body, content_type=content_type, headers=headers)

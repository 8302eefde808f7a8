"""aiohttp's routes: all there are. The connection answers most requests for them before aiohttp reads them."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from collector.http import body_budget, doctor_probe, handlers, opt_out, request_id, static, tag
from collector.http.aiohttp_bridge import Lent
from collector.http.aiohttp_request import BODIES, INGEST, request_id_of
from collector.http.ingest import Ingest
from stage import log

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Middleware = Callable[..., Awaitable[web.StreamResponse]]


def build(ingest: Ingest, body_timeout_s: float = 20) -> web.Application:
    """Return the application. A route is a handler and a line here."""
    around: list[Middleware] = [_own_up, _in_time(body_timeout_s)]
    app = web.Application(client_max_size=body_budget.MOST_BYTES, middlewares=around)
    app[INGEST] = ingest
    app[BODIES] = body_budget.Bodies()
    names = ingest.ruleset.paths
    base, extra = static.tag_of(tag.load("tag.js", names)), static.tag_of(tag.load("tag_extra.js", names))
    helper = static.tag_of(tag.load("tag_helper.js"))
    routes: list[tuple[str, str, Handler]] = [
        ("GET", "/p.gif", handlers.page_pixel),
        ("HEAD", "/p.gif", handlers.page_pixel),
        ("GET", "/o.gif", handlers.mail_pixel),
        ("HEAD", "/o.gif", handlers.mail_pixel),
        ("POST", "/e", handlers.post),
        ("POST", "/v1/events", handlers.server_post),
        ("GET", "/c", handlers.signed_link),
        ("HEAD", "/c", handlers.signed_link),
        ("GET", "/c/{code}", handlers.named_link),
        ("HEAD", "/c/{code}", handlers.named_link),
        ("GET", "/t.js", base),
        ("HEAD", "/t.js", base),
        ("GET", "/x.js", extra),
        ("HEAD", "/x.js", extra),
        ("GET", "/linker", handlers.linker),
        ("GET", "/pharos-helper.js", helper),
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
    except Exception as problem:  # noqa: BLE001  any error concerns this request only
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
            sent.app[INGEST].tally.add("request_errors_total", "408")
            late = web.Response(status=408)
            late.force_close()
            return late

    return in_time


async def _finish_headers(sent: web.Request, response: web.StreamResponse) -> None:
    ingest = sent.app[INGEST]
    ingest.tally.add("requests_total", "full")
    response.headers.pop("Server", None)
    if response.status >= 400:
        response.headers[request_id.HEADER] = request_id_of(sent)
    protocol = sent.protocol
    if ingest.draining or (isinstance(protocol, Lent) and protocol.given):
        response.force_close()
        # aiohttp has written its own by now. Without the header a proxy sends its next request to a closing connection.
        response.headers["Connection"] = "close"

"""A page's site and a collector for tests of the tag: the collector's routes over a real spool, behind a failing front.

The page is on `shop.localhost`, the collector on `px.shop.localhost`: one site, and a secure context without TLS.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from ssl import SSLContext
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

import orjson
from aiohttp import ClientSession, web

from collector.contract import Hit
from collector.contract.fields import BY_QUERY
from tests.collector.surface import Surface, running
from tests.waiting import until

Fault = Literal["", "503", "502", "reset", "reset after"]
"""What becomes of a request: it passes; the front answers 503 as the collector does, or 502 as a CDN does; the
connection is reset before the collector has the request, or after the collector has stored it."""

STUB: Final = "<script>window.pharos=window.pharos||function(){(pharos.q=pharos.q||[]).push(arguments)}</script>"
ONLINE: Final = "<script>Object.defineProperty(Navigator.prototype,'onLine',{get:()=>true,configurable:true})</script>"
HOSTS: Final = ("shop.localhost", "px.shop.localhost")
FAULTY: Final = ("/e", "/p.gif", "/v1/events")
_HOP: Final = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "date", "server"}


class Servers:
    """The two servers, and what has been stored."""

    def __init__(self, surface: Surface) -> None:
        self.surface = surface
        self.pages: dict[str, tuple[str, Mapping[str, str]]] = {}
        """HTML and headers by path."""
        self.fault: Callable[[web.Request], Fault] = lambda request: ""
        """Decides about each request for a path in FAULTY."""
        self.site = self.collector = ""
        self.always = ""
        """Attributes of every tag."""
        self.missing = "<title>none</title>"
        """HTML of the answer to any other path, a 404."""

    def tag(self, attributes: str = "", site: str = "demo", host: str = "") -> str:
        """Return the `<script>` element."""
        return (
            f'<script async src="{host or self.collector}/t.js" data-site="{site}" {self.always} {attributes}></script>'
        )

    def page(
        self, path: str, body: str = "", *, title: str = "Mug", attributes: str = "", head: str = "", **headers: str
    ) -> str:
        """Serve a page with the tag; returns its URL."""
        html = f"<!doctype html><title>{title}</title>{head}{self.tag(attributes)}<body>{body}"
        self.pages[path] = html, {name.replace("_", "-"): value for name, value in headers.items()}
        return self.site + path

    def events(self, path: str = "") -> list[dict[str, Any]]:
        """Return the stored events, in order of arrival: of all pages, or of one path under any query."""
        found = [_event(hit) for hit in self.surface.hits]
        pages = ([each, each.get("url", "").partition("?")[0].partition("#")[0]] for each in found)
        return [event for event, page in pages if not path or page == self.site + path]

    def with_hits(self, path: str) -> list[tuple[Hit, dict[str, Any]]]:
        """Return the stored events of one path with their hits, in order of arrival."""
        return [(hit, event) for hit in self.surface.hits if (event := _event(hit)).get("url") == self.site + path]

    async def until(self, path: str, *names: str) -> list[dict[str, Any]]:
        """Wait until events of these names of a page are stored; returns them in the order of the names."""

        def look() -> list[dict[str, Any]]:
            seen = {event["event"]: event for event in self.events(path)}
            return [seen[name] for name in names] if seen.keys() >= set(names) else []

        return await until(look, f"{names} of {path}")

    async def until_url(self, url: str, *names: str) -> list[dict[str, Any]]:
        """Do the same for a whole URL, of any host."""

        def look() -> list[dict[str, Any]]:
            seen = {event["event"]: event for event in self.events() if event.get("url") == url}
            return [seen[name] for name in names] if seen.keys() >= set(names) else []

        return await until(look, f"{names} of {url}")


def _event(hit: Hit) -> dict[str, Any]:
    told: dict[str, Any] = {"kind": hit.kind, "consent": hit.consent, "visitor": hit.visitor_id, "props": {}}
    if hit.body:
        told |= orjson.loads(hit.body)
    for name, text in parse_qsl(hit.query, keep_blank_values=True):
        if name.startswith("x."):
            told["props"][name[2:]] = text
        elif name in BY_QUERY and BY_QUERY[name].stored:
            told[BY_QUERY[name].name] = text
    return told


@asynccontextmanager
async def servers(
    folder: Path, tls: SSLContext | None = None, hosts: tuple[str, str] = HOSTS
) -> AsyncIterator[Servers]:
    """Run both servers on 127.0.0.1, over TLS if there is a context; `hosts` are the page's and the collector's."""
    async with running(folder) as surface, ClientSession(auto_decompress=False) as client:
        found = Servers(surface)
        inner = f"http://127.0.0.1:{surface.client.port}"

        async def forward(request: web.Request) -> web.StreamResponse:
            fault = found.fault(request) if request.path in FAULTY else ""
            body = await request.read()
            if fault == "503":
                return web.Response(status=503, headers={"Access-Control-Allow-Origin": "*", "Retry-After": "1"})
            if fault == "502":
                return web.Response(status=502, text="<html>bad gateway", content_type="text/html")
            if fault != "reset":
                async with client.request(
                    request.method, inner + request.raw_path, headers=_kept(request.headers), data=body or None
                ) as answer:
                    content = await answer.read()
                if not fault:
                    return web.Response(status=answer.status, headers=_kept(answer.headers), body=content)
            assert request.transport is not None
            request.transport.abort()
            raise asyncio.CancelledError

        async def serve(request: web.Request) -> web.Response:
            if request.path not in found.pages:
                return web.Response(status=404, text=found.missing, content_type="text/html")
            html, headers = found.pages[request.path]
            kind = "text/javascript" if request.path.endswith(".js") else "text/html"
            return web.Response(text=html, content_type=kind, headers=headers)

        runners = []
        for handler, host in zip((serve, forward), hosts, strict=True):
            application = web.Application(client_max_size=8 << 20)
            application.router.add_route("*", "/{path:.*}", handler)
            runner = web.AppRunner(application, access_log=None)
            await runner.setup()
            runners.append(runner)
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
            url = f"http{'s' if tls else ''}://{host}:{runner.addresses[0][1]}"
            if handler is serve:
                found.site = url
            else:
                found.collector = url
        try:
            yield found
        finally:
            for runner in runners:
                await runner.cleanup()


def _kept(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the headers that an edge passes on."""
    return [(name, value) for name, value in headers.items() if name.lower() not in _HOP]

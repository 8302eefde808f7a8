"""What is served and counts nothing: the tag, `robots.txt`, and the answer to a preflight."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from collector.http import answer as answers
from collector.http.aiohttp_request import INGEST, response
from collector.http.fast_path import PATHS
from collector.http.tag import Tag, answer

_ROBOTS = "User-agent: *\nDisallow: /\n"


def tag_of(tag: Tag) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return the handler of `/t.js`."""

    async def serve(sent: web.Request) -> web.Response:
        headers = sent.headers
        status, fields, body = answer(tag, headers.get("Accept-Encoding", ""), headers.get("If-None-Match", ""))
        return web.Response(status=status, headers=fields, body=body)

    return serve


async def robots(_: web.Request) -> web.Response:
    """Ask every crawler to stay away."""
    return web.Response(text=_ROBOTS, headers={"Cache-Control": "public, max-age=86400"})


async def preflight(sent: web.Request) -> web.Response:
    """Answer `OPTIONS`; for a path that there is not, as for every other method: 404."""
    if sent.path not in PATHS and not sent.path.startswith("/c/"):
        return await nothing(sent)
    return response(answers.to_preflight(sent.headers.get("Origin", ""), sent.app[INGEST].ruleset))


async def nothing(_: web.Request) -> web.Response:
    """Answer 404 to any method."""
    return web.Response(status=404, text="not found\n", headers={"X-Content-Type-Options": "nosniff"})

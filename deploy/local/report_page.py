"""The report of `make run`: the built page's files, and the route by which it asks ClickHouse from its own origin."""

import base64
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import web

from deploy.local.clickhouse.request import is_local
from deploy.local.programs import Place

FILES: Final = Path(__file__).parents[1] / "report" / "dist"
_TYPES: Final = {"index.html": "text/html", "report.js": "text/javascript", "report.css": "text/css"}
_HEADERS: Final = {
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
QUESTION_MAX_BYTES: Final = 256 << 10
_PASSED: Final = ("Content-Type", "X-ClickHouse-Exception-Code", "X-ClickHouse-Summary")


def routes(place: Place, http: aiohttp.ClientSession) -> list[web.RouteDef]:
    """Return the routes of the page; questions go to the ClickHouse of `place` through `http`."""
    return [
        web.get("/report", _to_folder),
        web.get("/report/{name:|index.html|report.js|report.css}", _file),
        web.post("/report/query", _Question(place.clickhouse_bare, http).answer),
    ]


async def _to_folder(_: web.Request) -> web.Response:
    raise web.HTTPMovedPermanently("/report/")


async def _file(request: web.Request) -> web.Response:
    name = request.match_info["name"] or "index.html"
    return web.Response(
        text=(FILES / name).read_text(encoding="utf-8"), content_type=_TYPES[name], charset="utf-8", headers=_HEADERS
    )


class _Question:
    """Passes a question on with the asking user's own credentials."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self._url = url
        self._http = http

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Return ClickHouse's answer, its errors too; 502 if it cannot be reached."""
        credentials = request.headers.get("Authorization", "")
        # Without a password only this machine may ask, and no page of another site: ClickHouse would see our address.
        if not has_password(credentials) and not is_local(request):
            raise web.HTTPUnauthorized(text="a password is needed from here\n")
        if (request.content_length or 0) > QUESTION_MAX_BYTES:
            raise web.HTTPRequestEntityTooLarge(QUESTION_MAX_BYTES, request.content_length or 0)
        sql = await request.read()
        try:
            async with self._http.post(
                self._url,
                data=sql,
                headers={"Authorization": credentials or _basic("analyst", "")},
                params={"cancel_http_readonly_queries_on_client_close": "1", "wait_end_of_query": "1"},
            ) as found:
                headers = {name: found.headers[name] for name in _PASSED if name in found.headers}
                # No WWW-Authenticate: the page has a form, and the browser's own window would come before it.
                return web.Response(status=found.status, body=await found.read(), headers=headers)
        except aiohttp.ClientError:
            raise web.HTTPBadGateway(text="ClickHouse is away\n") from None


def _basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def has_password(header: str) -> bool:
    """Return whether an `Authorization` header has a password that is not empty."""
    scheme, _, coded = header.partition(" ")
    try:
        return scheme.lower() == "basic" and bool(base64.b64decode(coded, validate=True).partition(b":")[2])
    except ValueError:
        return False

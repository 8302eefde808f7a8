"""Routes next to the report of `make run`: refusals, reasons of a row, dead letters, the collector's address."""

from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp
from aiohttp import web

from deploy.local.clickhouse.request import is_local
from deploy.local.programs import HOST, Place
from deploy.local.report_page import has_password

_TIMEOUT: Final = aiohttp.ClientTimeout(total=15)
Handler = Callable[[web.Request], Awaitable[web.Response]]


def routes(place: Place, http: aiohttp.ClientSession) -> list[web.RouteDef]:
    """Return the routes next to the report's page; both ask an admin port, whose answers hold no visitor's data."""

    def passing(stage: str, path: str) -> Handler:
        async def answer(request: web.Request) -> web.Response:
            if not await _may_ask(request, place, http):
                return _problem(401, "sign in first")
            url = f"http://{HOST}:{place.ports[f'{stage}_admin_port']}{path}"
            try:
                async with http.get(url, params=request.query, timeout=_TIMEOUT) as found:
                    return web.Response(
                        status=found.status,
                        body=await found.read(),
                        content_type=found.content_type,
                        headers={"Cache-Control": "no-store"},
                    )
            except (aiohttp.ClientError, TimeoutError):
                return _problem(502, f"the {stage} is away")

        return answer

    async def config(_: web.Request) -> web.Response:
        return web.json_response({"collector": place.url("collector_port")})

    return [
        web.get("/report/config.json", config),
        web.get("/report/refused", passing("collector", "/refused")),
        web.get("/report/explain", passing("enricher", "/explain")),
        web.get("/report/dead", passing("enricher", "/dead")),
    ]


async def _may_ask(request: web.Request, place: Place, http: aiohttp.ClientSession) -> bool:
    """Return whether the request is this machine's own, or has a password that ClickHouse accepts."""
    if is_local(request):
        return True
    credentials = request.headers.get("Authorization", "")
    if not has_password(credentials):
        return False
    try:
        headers = {"Authorization": credentials}
        async with http.get(f"{place.clickhouse_bare}/?query=SELECT+1", headers=headers, timeout=_TIMEOUT) as found:
            return found.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


def _problem(status: int, why: str) -> web.Response:
    return web.json_response({"problem": why}, status=status)

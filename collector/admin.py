"""The admin port: `/healthz`, `/readyz` and `/metrics` of all workers together, never on the public port."""

from collections.abc import Awaitable, Callable

from aiohttp import web


def build(not_ready: Callable[[], str], metrics: Callable[[], Awaitable[bytes]]) -> web.Application:
    """Return the application. `not_ready` says why traffic should stay away; empty: it may come."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        why = not_ready()
        return web.Response(status=503 if why else 200, text=f"{why or 'ok'}\n")

    async def show(_: web.Request) -> web.Response:
        return web.Response(body=await metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", show)
    return app

"""The admin port of a stage: `/healthz`, `/readyz`, `/metrics` and its own routes; never on a public address.

`/healthz` answers 200 as long as the process is alive: restart a stage that does not answer. `/readyz` answers 200
while the stage takes traffic, else 503 with the reason: send it no traffic, and do not restart it.
"""

import os
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from aiohttp import web

from stage import log, version
from stage.settings import SettingError, StageSettings

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus' text format."""


class Health:
    """Whether the stage takes traffic."""

    def __init__(self) -> None:
        self.not_ready = "starting"
        """Why not; empty: it does."""


class Admin(NamedTuple):
    """A listening admin port."""

    port: int
    close: Callable[[], Awaitable[None]]


async def serve(
    settings: StageSettings,
    not_ready: Callable[[], str],
    metrics: Callable[[], Awaitable[bytes]],
    routes: Iterable[web.RouteDef] = (),
) -> Admin:
    """Listen on the admin port, and log that the stage starts, with its version.

    `not_ready` returns why the stage takes no traffic, or ""; `routes` are the stage's own.

    Raises:
        SettingError: the address cannot be used.
    """

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def readyz(_: web.Request) -> web.Response:
        reason = not_ready()
        return web.Response(status=503 if reason else 200, text=f"{reason or 'ready'}\n")

    async def show(_: web.Request) -> web.Response:
        return web.Response(body=await metrics() + version.BUILD_INFO.encode(), headers={"Content-Type": METRICS_TYPE})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", show), *routes])
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.admin_host, settings.admin_port).start()
    except OSError as error:
        await runner.cleanup()
        reason = os.strerror(error.errno) if error.errno else str(error)  # asyncio's own text repeats the address
        address = f"{settings.admin_host}:{settings.admin_port}"
        raise SettingError(f"{settings.variable('admin_port')}: cannot listen on {address}: {reason}") from None
    port = int(runner.addresses[0][1])
    log.line("info", "starting", version=version.VERSION, admin_host=settings.admin_host, admin_port=port)
    return Admin(port, runner.cleanup)

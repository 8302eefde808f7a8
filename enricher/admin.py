"""The admin port: alive, ready, metrics; never on a public address."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from enricher.metrics import Metrics


class Health:
    """Whether the stage works, and if not, what it waits for."""

    def __init__(self) -> None:
        self.waits_for = "starting"
        """Empty: ready."""


async def serve(
    host: str, port: int, health: Health, metrics: Metrics, before_metrics: Callable[[], None]
) -> tuple[int, Callable[[], Awaitable[None]]]:
    """Listen; return the port taken and how to stop.

    Raises:
        OSError: the address cannot be had.
    """

    async def alive(_: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def ready(_: web.Request) -> web.Response:
        if health.waits_for:
            return web.Response(status=503, text=f"waiting for {health.waits_for}\n")
        return web.Response(text="ready\n")

    async def show(_: web.Request) -> web.Response:
        before_metrics()
        return web.Response(body=metrics.exposition(), headers={"Content-Type": "text/plain; version=0.0.4"})

    app = web.Application()
    app.add_routes([web.get("/healthz", alive), web.get("/readyz", ready), web.get("/metrics", show)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    return int(runner.addresses[0][1]), runner.cleanup

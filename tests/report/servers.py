"""The report on the demo's month: a ClickHouse of our own, and the page as `make run` serves it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
from aiohttp import web

from deploy.local import report_page
from deploy.local.programs import Place
from deploy.local.settings import Settings
from tests.clickhouse import ClickHouse
from tests.sql import page as month
from tests.sql.warehouse import Warehouse

PERIOD = "from=2026-10-02&to=2026-10-31&tz=UTC"
"""The demo's month, as the page's address has it."""


def clickhouse(folder: Path) -> ClickHouse:
    """Start a ClickHouse with our schema and the demo's month."""
    found = ClickHouse(folder)
    found.start()
    client = found.client()
    Warehouse(client).apply_schema()
    month.tell(client)
    client.close()
    return found


@asynccontextmanager
async def served(clickhouse_url: str) -> AsyncIterator[str]:
    """Serve the page for this ClickHouse; yields its URL. Example: "http://127.0.0.1:4711/report/"."""
    settings = msgspec.structs.replace(Settings(), clickhouse=clickhouse_url)
    place = Place(settings, Path("unused"), {})
    async with aiohttp.ClientSession() as http:
        application = web.Application()
        application.add_routes(report_page.routes(place, http))
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1, handler_cancellation=True)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/report/"
        finally:
            await runner.cleanup()

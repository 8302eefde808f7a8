"""The report on the demo's month: a ClickHouse of our own, and the page as `make run` serves it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from deploy.local import report_page
from deploy.local.programs import Place
from deploy.local.settings import Settings
from tests.clickhouse import ClickHouse
from tests.sql.docs import page as month

PERIOD = "from=2026-10-02&to=2026-10-31&tz=UTC"
"""The demo's month, as the page's address has it."""
HALF = "from=2026-10-18&to=2026-10-31&tz=UTC"
"""Its second half: the first is the period before."""


COSTS: Final = """
INSERT INTO pharos.costs (site, day, source, medium, campaign, cost, currency, clicks, impressions)
SELECT 'demo', toDate('2026-10-02') + number, ad.1, ad.2, ad.3, ad.4, 'EUR', 12, 900
FROM numbers(30) ARRAY JOIN [('google', 'cpc', 'mugs', 12.5), ('facebook', 'paid_social', 'gifts', 4.25)] AS ad
"""
"""What the demo's two advertised campaigns cost: made up, since the demo has no costs."""


ZONE: Final = "INSERT INTO pharos.sites (site, time_zone) VALUES ('demo', 'Asia/Tokyo')"
"""The demo's own zone: what a reader sees who names none."""
STUDIO: Final = """
INSERT INTO pharos.event_rows (event_id, site, event, kind, received_at, occurred_at, version, visitor_id,
    visitor_kind, url, path, utm_source, utm_content, source, medium, campaign, channel, link_code, device, value,
    currency, consent, props)
WITH
    number % 20 AS visitor,
    intDiv(number, 20) AS step,
    visitor >= 16 AS scans,
    step = 0 AND scans AS clicks,
    toDateTime64('2026-10-20 08:00:00', 3, 'UTC') + visitor * 3600 + step * 60 AS at
SELECT
    toUUID(concat('019a0000-0000-7000-8000-', leftPad(toString(number), 12, '0'))), 'studio',
    multiIf(clicks, 'click', step = 2, 'purchase', 'pageview'), if(clicks, 'click', 'tag'), at, at, number + 1,
    if(visitor = 19, '', concat('v', toString(visitor))), 'cookie', concat('https://studio.example', path),
    if(clicks, '/exhibition', ['/', '/thanks', '/thanks'][step + 1]) AS path,
    if(step = 0 AND NOT scans, 'instagram', ''), if(step = 0 AND NOT scans, if(visitor < 10, 'reel', 'story'), ''),
    multiIf(step > 0, '(direct)', scans, 'poster', 'instagram'),
    multiIf(step > 0, '(none)', scans, 'qr', 'paid_social'),
    multiIf(step > 0, '', scans, 'station', 'autumn'), multiIf(step > 0, 'Direct', scans, 'Offline', 'Paid Social'),
    if(clicks, 'poster', ''), if(visitor % 2 = 0, 'smartphone', 'desktop'),
    if(step = 2, 10, 0), if(step = 2, 'EUR', ''), 'granted',
    if(step = 2, map('plan', if(visitor % 4 = 0, 'pro', 'basic')), map())
FROM numbers(60)
WHERE step = 0 OR visitor < 6 OR visitor = 16
"""
"""A site of 16 visits from an advertisement in two forms (ten `reel`, six `story`) and four scans of a QR code, one of
a visitor without an id. Seven see /thanks and buy for 10 euro: six reels, one scan; v0, v4 and v16 buy `pro`."""


def clickhouse(folder: Path) -> ClickHouse:
    """Start a ClickHouse with our schema, the demo's month, costs of two campaigns, and the studio."""
    found = ClickHouse(folder, schema=True)
    found.start()
    client = found.client()
    month.tell(client)
    client.command(COSTS)
    client.command(ZONE)
    client.command(STUDIO)
    client.close()
    return found


_KNOWN: Final[dict[tuple[str, str, bytes], tuple[bytes, dict[str, str]]]] = {}


def _remembered(clickhouse_url: str) -> Middleware:
    """Answer a question of the same user again from memory: the data does not change, and most tests open one page."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method != "POST" or "Origin" not in request.headers:  # not a browser
            return await handler(request)
        key = (clickhouse_url, request.headers.get("Authorization", ""), await request.read())
        if key in _KNOWN:
            body, headers = _KNOWN[key]
            return web.Response(body=body, headers=headers)
        response = await handler(request)
        if isinstance(response, web.Response) and response.status == 200:
            assert isinstance(response.body, bytes)
            _KNOWN[key] = (response.body, {"Content-Type": response.headers["Content-Type"]})
        return response

    return answer


async def _dead(request: web.Request) -> web.Response:
    """Answer as the enricher's `/dead`: three letters in October, none in other months."""
    letters = [{"stage": "enricher", "reason": "undecodable", "records": 3}]
    return web.json_response({"letters": letters if "2026-10" in request.query["since"] else [], "complete": True})


@asynccontextmanager
async def served(clickhouse_url: str) -> AsyncIterator[str]:
    """Serve the page for this ClickHouse; yields its URL. Example: "http://127.0.0.1:4711/report/"."""
    settings = msgspec.structs.replace(Settings(), clickhouse=clickhouse_url)
    place = Place(settings, Path("unused"), {})
    async with aiohttp.ClientSession() as http:
        application = web.Application(middlewares=[_remembered(clickhouse_url)])
        application.add_routes([*report_page.routes(place, http), web.get("/report/dead", _dead)])
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1, handler_cancellation=True)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/report/"
        finally:
            await runner.cleanup()

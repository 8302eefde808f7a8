"""Debian's Chromium, headless, driven by Playwright; and a web server for the pages that it loads."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from playwright.async_api import Browser, async_playwright, expect

from tests import needs

FLAGS: Final = [
    "--no-sandbox",  # tests may run as root, where Chromium's sandbox does not start
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    # Nothing but what the page asks for goes out.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

expect.set_options(timeout=60_000)  # an assertion waits for an event; Playwright's own 5 s are short on a busy machine


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A running browser; use a `new_context()` for a visitor of its own. Skips where there is no Chromium."""
    program = needs.program("chromium", "chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=FLAGS, timeout=60_000)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def pages(contents: Mapping[str, str]) -> AsyncIterator[str]:
    """Serve HTML by path on 127.0.0.1; yields the base URL."""

    async def answer(request: web.Request) -> web.Response:
        if request.path not in contents:
            raise web.HTTPNotFound
        return web.Response(text=contents[request.path], content_type="text/html")

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()

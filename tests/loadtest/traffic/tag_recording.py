"""What the tag sends in one visit, recorded from Chromium: `python -m tests.loadtest.traffic.tag_recording [--write]`.

loadtest/traffic/tag_requests.json holds the recording; the mix of the benchmarks makes its tag requests of it. Run this
with --write after a change to the tag. test_tag_recording.py fails while the recording has another form than the tag.
"""

import argparse
import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from playwright.async_api import Page, async_playwright

from tests import needs
from tests.browser import FLAGS

ROOT: Final = Path(__file__).parents[3]
RECORDING: Final = ROOT / "loadtest/traffic/tag_requests.json"
TAG: Final = ROOT / "collector/http/tag.js"
# Two hosts of one site, in a secure context: only then does the tag send cookies.
SHOP: Final = "shop.pharos.localhost"
COLLECTOR: Final = "px.pharos.localhost"
PAGE: Final = """<!doctype html><html lang="en"><head><title>Blue mug</title>
<script async src="http://COLLECTOR/t.js" data-site="shop"></script></head><body><h1>Blue mug</h1></body></html>"""
STEPS: Final = ("page_view", "event", "navigation", "leave")
"""The requests of the visit, in order: the first page, an event of the page's own, another page without a reload (its
title settles first), leaving."""

Recording = dict[str, dict[str, Any]]
"""By step: `headers`, a list of pairs in their order, and `events`, the objects of the body."""


class _Capture:
    """A web server that is both hosts; it keeps every POST to /e."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.posts: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def answer(self, request: web.Request) -> web.Response:
        """Serve the page, the tag and the answer of the collector."""
        if request.path == "/t.js":
            return web.Response(text=self.tag, content_type="text/javascript")
        if request.path == "/favicon.ico":
            return web.Response(status=404)
        if request.path != "/e":
            return web.Response(
                text=PAGE.replace("COLLECTOR", f"{COLLECTOR}:{request.url.port}"), content_type="text/html"
            )
        origin = request.headers.get("Origin", "")
        allowed = {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"}
        if request.method == "POST":
            body = json.loads(await request.text())
            headers = [[name.decode(), value.decode()] for name, value in request.raw_headers]
            self.posts.put_nowait({"headers": headers, "events": body if isinstance(body, list) else [body]})
        cookie = {"Set-Cookie": "_pid=0123456789abcdef0123456789abcdef; Path=/; HttpOnly; SameSite=Lax"}
        text = '{"accepted":1,"refused":[]}'
        return web.Response(status=202, text=text, content_type="application/json", headers=allowed | cookie)


@asynccontextmanager
async def _serving(capture: _Capture) -> AsyncIterator[int]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", capture.answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def _posts(capture: _Capture, name: str) -> dict[str, Any]:
    """Return the POSTs up to the one that ends the step, joined: an engagement may leave before its page view."""
    last = {"page_view": "pageview", "event": "add_to_cart", "navigation": "pageview", "leave": "engagement"}[name]
    async with asyncio.timeout(30):
        found = await capture.posts.get()
        while found["events"][-1]["event"] != last:
            found["events"] += (await capture.posts.get())["events"]
    return found


async def _visit(page: Page, base: str, capture: _Capture) -> Recording:
    steps: Recording = {}
    await page.goto(f"{base}/mugs/blue-mug?utm_source=google&utm_medium=cpc", referer="https://www.google.com/")
    steps["page_view"] = await _posts(capture, "page_view")
    await page.wait_for_timeout(150)  # engagement is sent from a tenth of a second on
    more = "{value: '12.90', currency: 'EUR', props: {list: 'related'}}"
    await page.evaluate(f"() => {{ window.pharos('add_to_cart', {more}) }}")
    steps["event"] = await _posts(capture, "event")
    await page.evaluate("() => { history.pushState({}, '', '/mugs'); document.title = 'All mugs' }")
    steps["navigation"] = await _posts(capture, "navigation")
    await page.wait_for_timeout(150)
    await page.goto("about:blank")
    steps["leave"] = await _posts(capture, "leave")
    return steps


async def record(tag: str) -> Recording:
    """Drive one visit with this text of the tag in Chromium; return its requests by step."""
    capture = _Capture(tag)
    program = needs.program("chromium", "chromium")
    async with _serving(capture) as port, async_playwright() as playwright:
        # A visitor's browser does not say that it is driven.
        flags = [*FLAGS, "--disable-blink-features=AutomationControlled"]
        browser = await playwright.chromium.launch(executable_path=program, args=flags, timeout=60_000)
        try:
            page = await browser.new_page()
            return await _visit(page, f"http://{SHOP}:{port}", capture)
        finally:
            await browser.close()


def form(recording: Recording) -> dict[str, Any]:
    """Return what all recordings of one tag have in common: names in order, types of values, the form of ids."""
    return {
        name: {
            "headers": [header.lower() for header, _ in step["headers"]],
            "events": [_form(event) for event in step["events"]],
        }
        for name, step in recording.items()
    }


def _form(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        # An event that leaves within its millisecond has no age.
        return {key: _form(inner, key) for key, inner in value.items() if key != "age"}
    if name == "id":
        return re.sub(r"[0-9a-f]", "x", value)[:14] if "-" in value else "text"
    return type(value).__name__


def main() -> int:
    """Write the recording, or compare it with the tag; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.loadtest.traffic.tag_recording", description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace the recording")
    parser.add_argument("--tag", type=Path, default=TAG, help="the tag's file (default: %(default)s)")
    given = parser.parse_args()
    found = asyncio.run(record(given.tag.read_text()))
    if given.write:
        lines = ",\n".join(f"{json.dumps(step)}: {json.dumps(found[step], ensure_ascii=False)}" for step in STEPS)
        RECORDING.write_text(f"{{\n{lines}\n}}\n")
        return 0
    same = form(json.loads(RECORDING.read_text())) == form(found)
    print(
        "the recording has the tag's form"
        if same
        else f"the tag sends something else now: run with --write\n{form(found)}"
    )
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())

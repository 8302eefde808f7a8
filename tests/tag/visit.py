"""One visit of a page by a new visitor."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, Page

from tests.waiting import until


@asynccontextmanager
async def visit(browser: Browser, url: str, script: str = "", **context: Any) -> AsyncIterator[Page]:
    """Open a page, and wait for the tag; it must throw nothing into the page. `script` runs before any of the page."""
    visitor = await browser.new_context(**context)
    page = await visitor.new_page()
    thrown: list[object] = []
    page.on("pageerror", lambda error: thrown.append(error))
    if script:
        await page.add_init_script(script)
    await page.goto(url)
    await until(lambda: page.evaluate("!!(window.pharos && pharos.on)"), "the tag")
    yield page
    assert thrown == []
    await visitor.close()


async def extras(page: Page) -> None:
    """Wait until the second script has run."""
    await until(lambda: page.evaluate("new Promise(done => pharos(core => done(!!core.extra)))"), "x.js")

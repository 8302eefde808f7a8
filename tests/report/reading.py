"""What a test does with a block of the report: open the page, take its CSV and its SQL, as a reader would."""

import csv
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, Page, expect

from tests.report.servers import PERIOD


class Reader:
    """One open page, with what it asked and what went wrong in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.asked: list[str] = []
        self.hosts: set[str] = set()
        self.problems: list[str] = []
        page.on("request", lambda request: self._note(request.url, request.post_data))
        page.on("console", lambda message: self.problems.extend([message.text] if message.type == "error" else []))
        page.on("pageerror", lambda error: self.problems.append(str(error)))

    def _note(self, url: str, sql: str | None) -> None:
        if urlsplit(url).scheme in ("http", "https"):
            self.hosts.add(urlsplit(url).netloc)
        if url.endswith("/query"):
            self.asked.append(sql or "")

    async def settle(self) -> None:
        """Wait until every block has its answer."""
        await expect(self.page.locator("section[data-ready]").first).to_be_visible()
        await expect(self.page.locator("section:not([data-ready])")).to_have_count(0)
        await expect(self.page.locator("section[aria-busy]")).to_have_count(0)

    async def settle_seen(self) -> None:
        """Wait until the blocks that were seen have their answers, and the page asks no more."""
        await expect(self.page.locator("section[data-ready]").first).to_be_visible()
        await expect(self.page.locator("section[aria-busy]")).to_have_count(0)
        await self.page.wait_for_load_state("networkidle")

    async def scroll(self) -> None:
        """Scroll to the end, half a screen at a time, and wait until every block has its answer."""
        at_end = "scrollY + innerHeight >= document.documentElement.scrollHeight - 1"
        for _ in range(100):
            if await self.page.evaluate(at_end):
                break
            await self.page.mouse.wheel(0, 400)
            await self.page.evaluate("new Promise(requestAnimationFrame)")
        await self.settle()

    async def sql(self, block: str) -> str:
        """Return what the SQL button of a block shows."""
        await self.page.locator(f"#block-{block} .tools button", has_text="SQL").click()
        text = await self.page.locator("dialog pre").text_content()
        await self.page.keyboard.press("Escape")
        await expect(self.page.locator("dialog")).to_have_count(0)
        return text or ""

    async def file(self, block: str, kind: str) -> Path:
        """Return the file that the CSV or PNG button of a block saves."""
        async with self.page.expect_download() as download:
            await self.page.locator(f"#block-{block} .tools button", has_text=kind).click()
        return Path(await (await download.value).path())

    async def rows(self, block: str) -> list[dict[str, str]]:
        """Return the rows of a block's CSV."""
        return lines(await self.file(block, "CSV"))


def lines(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


@asynccontextmanager
async def reading(browser: Browser, url: str, values: str = PERIOD, **form: Any) -> AsyncIterator[Reader]:
    """Open the report of the demo in a context of its own; yields when every block has its answer."""
    # As high as the whole page, for a block asks when it comes into view.
    form["viewport"] = {"width": 1240, **form.get("viewport", {}), "height": 9000}
    async with _opened(browser, f"{url}#/report?site=demo&{values}", form) as reader:
        await reader.settle()
        yield reader


@asynccontextmanager
async def opening(browser: Browser, url: str, values: str = PERIOD, **form: Any) -> AsyncIterator[Reader]:
    """Open the report on a screen that shows the first blocks alone; yields when these have their answers."""
    form = {"viewport": {"width": 1280, "height": 800}, **form}
    async with _opened(browser, f"{url}#/report?site=demo&{values}", form) as reader:
        await reader.settle_seen()
        yield reader


@asynccontextmanager
async def _opened(browser: Browser, address: str, form: dict[str, Any]) -> AsyncIterator[Reader]:
    context = await browser.new_context(**form)
    try:
        reader = Reader(await context.new_page())
        await reader.page.goto(address)
        yield reader
    finally:
        await context.close()

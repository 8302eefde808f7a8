"""The reports as Chromium shows them: quiet, within the window's width, with every plot drawn where it can be seen."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser

from loadtest.report import html_page, overview
from tests.loadtest.report.samples import RESULT, search, windows

PAGES: dict[str, Callable[[], str]] = {
    "run": lambda: html_page.page(RESULT),
    "find-limit": lambda: overview.of_search("Load test", search()),
    "soak": lambda: overview.of_windows("Soak", windows()),
}

# What of the page is wider than it may be; a box that scrolls by itself may hold what is wider than it.
_WIDER = """() => {
    const wide = [...document.querySelectorAll("main *")].filter((e) => !e.closest("svg") && !e.closest(".scroll")
        && e.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
    const page = document.documentElement
    return [...(page.scrollWidth > page.clientWidth ? ["the page"] : []), ...wide.map((e) => e.outerHTML.slice(0, 80))]
}"""

# Of each plot: its heading, how many lines and dots it shows with an extent, and how many texts leave its box.
_PLOTS = """() => [...document.querySelectorAll("svg")].map((svg) => {
    const box = svg.getBoundingClientRect()
    const painted = (e) => getComputedStyle(e).stroke !== "none" || getComputedStyle(e).fill !== "none"
    const drawn = [...svg.querySelectorAll("path, circle")].filter((e) => painted(e)
        && e.getBoundingClientRect().width > 0 && e.getBoundingClientRect().width <= box.width)
    const out = [...svg.querySelectorAll("text")].map((e) => [e.textContent, e.getBoundingClientRect()])
        .filter(([_, r]) => r.left < box.left - 1 || r.right > box.right + 1 || r.bottom > box.bottom + 1)
    return {name: svg.closest("section").querySelector("h2").textContent, drawn: drawn.length,
        height: box.height, out: out.map(([text]) => text)}
})"""


@pytest.mark.parametrize("name", PAGES)
async def test_a_report_shows_all_it_has(name: str, browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(PAGES[name](), encoding="utf-8")
    said: list[str] = []
    asked: list[str] = []
    for width, scheme in ((1280, "light"), (820, "dark"), (390, "light")):
        context = await browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        page = await context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda problem: said.append(str(problem)))
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(file.as_uri())
        assert await page.evaluate(_WIDER) == [], width
        plots: list[dict[str, Any]] = await page.evaluate(_PLOTS)
        assert len(plots) >= 7
        for plot in plots:
            assert plot["drawn"] > 0, (width, plot)
            assert plot["height"] > 80, (width, plot)
            assert plot["out"] == [], (width, plot)
        await context.close()
    assert said == []
    assert set(asked) == {file.as_uri()}

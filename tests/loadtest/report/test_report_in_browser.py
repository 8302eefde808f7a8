"""The reports as Chromium shows them: quiet, within the window's width, legible, with every plot drawn to be seen."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.async_api import Browser

from loadtest import arguments
from loadtest.check import faults
from loadtest.report import html_page, overview
from loadtest.report.conclusion import conclusion
from stage.version import VERSION
from tests.loadtest.report.samples import RESULT, search, windows


def chaos() -> str:
    """Return chaos.html: the standard disaster, with the errors and notes that killed programs cause."""
    kills = [(fault.at_s / 30, faults.named(fault)) for fault in faults.load(arguments.CHAOS).fault]
    told = ["2 s: ClickHouse: no connection: Connection refused", "3 s: " + "x" * 160]
    errors = {"no answer: Connection reset by peer": 12, "connect: Connection refused": 900}
    return html_page.page(msgspec.structs.replace(RESULT, title="Chaos", faults=kills, errors=errors, notes=told))


PAGES: dict[str, Callable[[], str]] = {
    "chaos": chaos,
    "run": lambda: html_page.page(RESULT),
    "find-limit": lambda: overview.of_search("Load test", search()),
    "soak": lambda: overview.of_windows("Soak", windows()),
}
RUNS = {"find-limit": search().steps, "soak": windows()}

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


# Texts that are too near to what is behind them: below the 4.5 to 1 of WCAG 2.
_FAINT = """() => {
    const parts = (colour) => colour.match(/[\\d.]+/g).map(Number)
    const light = (colour) => parts(colour).slice(0, 3).map((v) => v / 255)
        .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0)
    const behind = (e) => {
        const colour = getComputedStyle(e).backgroundColor
        return (parts(colour)[3] ?? 1) > 0 || !e.parentElement ? colour : behind(e.parentElement)
    }
    const texts = [...document.querySelectorAll("main *")].filter((e) => !e.closest("svg")
        && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
    return texts.map((e) => {
        const [dark, bright] = [light(getComputedStyle(e).color), light(behind(e))].sort((a, b) => a - b)
        return [(bright + 0.05) / (dark + 0.05), e.outerHTML.slice(0, 80)]
    }).filter(([ratio]) => ratio < 4.5)
}"""


@pytest.mark.parametrize("name", PAGES)
async def test_a_report_shows_all_it_has(name: str, browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(PAGES[name](), encoding="utf-8")
    said: list[str] = []
    asked: list[str] = []
    for width, scheme in ((1280, "light"), (820, "dark"), (390, "light"), (390, "dark")):
        context = await browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        page = await context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda problem: said.append(str(problem)))
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(file.as_uri())
        assert await page.evaluate(_WIDER) == [], width
        assert await page.evaluate(_FAINT) == [], scheme
        plots: list[dict[str, Any]] = await page.evaluate(_PLOTS)
        assert len(plots) >= 7
        for plot in plots:
            assert plot["drawn"] > 0, (width, plot)
            assert plot["height"] > 80, (width, plot)
            assert plot["out"] == [], (width, plot)
        assert (await page.locator("footer").inner_text()).endswith(f"Pharos {VERSION}.")
        assert await page.locator("p.end").inner_text() == conclusion(RUNS.get(name, [RESULT]))[0]
        await context.close()
    assert said == []
    assert set(asked) == {file.as_uri()}

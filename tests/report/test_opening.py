"""A block of the report asks when a reader comes to it: by scrolling, by keyboard, by a link, to print, to export."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.async_api import Browser, Route, expect

from deploy.report import questions, saved
from tests.clickhouse import ClickHouse
from tests.report.built import FOLDER
from tests.report.reading import Reader, lines, opening
from tests.report.servers import HALF
from tests.tag.built import install

pytestmark = pytest.mark.asyncio(loop_scope="module")

LAST = "#block-health"


@pytest.fixture(scope="module")
def expected(warehouse: ClickHouse) -> dict[str, str]:
    """Every question of the page about HALF, by name, as the page sends it."""
    client = warehouse.client("analyst")
    given = {"site": "demo", "tz": "UTC", "model": "last_non_direct"}
    values = saved.values(saved.events(client, "demo"), given, 14, datetime(2026, 10, 31, 12, tzinfo=UTC))
    client.close()
    values |= {"since": values["from"], "until": "2026-11-01", "before": "2026-10-04"}
    names = (*questions.OPENING, *questions.SCROLLED)
    return {name: f"{questions.filled(name, values)}\nFORMAT JSONCompact" for name in names}


def names(reader: Reader, expected: dict[str, str], start: int = 0) -> list[str]:
    """Return the names of what the page asked, in its order; SQL that is not expected as it is."""
    known = {sql: name for name, sql in expected.items()}
    return [known.get(sql, sql) for sql in reader.asked[start:]]


async def test_opening_asks_for_the_first_screen_and_scrolling_for_the_rest(
    url: str, browser: Browser, expected: dict[str, str]
) -> None:
    async with opening(browser, url, HALF) as reader:
        assert sorted(names(reader, expected)) == sorted(questions.OPENING)
        for block in ("headline", "days", "channels"):
            await expect(reader.page.locator(f"#block-{block}[data-ready]")).to_be_visible()
        await reader.scroll()
        assert sorted(names(reader, expected, len(questions.OPENING))) == sorted(questions.SCROLLED)
        await reader.page.evaluate("scrollTo(0, 0)")
        await reader.scroll()
        await reader.page.wait_for_load_state("networkidle")
        assert len(reader.asked) == len(expected)
        assert reader.problems == []


async def test_the_visits_are_asked_alone(url: str, browser: Browser, expected: dict[str, str]) -> None:
    page = await browser.new_page(viewport={"width": 1280, "height": 800})
    reader = Reader(page)
    until_then: list[str] = []

    async def answer(route: Route) -> None:
        response = await route.fetch()
        if "visit_counts" in (route.request.post_data or ""):
            until_then.extend(names(reader, expected))
        await route.fulfill(response=response)

    await page.route("**/query", answer)
    await page.goto(f"{url}#/report?site=demo&{HALF}")
    await reader.settle_seen()
    assert until_then == list(questions.OPENING[:2])
    await page.close()


async def test_days_are_asked_with_the_headline_on_a_small_screen(url: str, browser: Browser) -> None:
    async with opening(browser, url, HALF, viewport={"width": 390, "height": 300}) as reader:
        await expect(reader.page.locator("#block-days")).not_to_be_in_viewport()
        await expect(reader.page.locator("#block-days .chart canvas")).to_have_count(1)


async def test_a_block_that_was_not_seen_does_not_follow(url: str, browser: Browser) -> None:
    async with opening(browser, url, HALF) as reader:
        before = len(reader.asked)
        await reader.page.evaluate("location.hash += '&channel=Email'")
        await expect(reader.page.locator("#block-headline .tile b").first).to_have_text("60")
        await reader.settle_seen()
        assert len(reader.asked) == before + 2, "visits and credits"
        await reader.scroll()
        later = reader.asked[before + 2 :]
        assert len(later) == len(questions.SCROLLED)
        assert ["channel = 'Email'" in sql for sql in later if "session_details" in sql] == [True]


async def test_a_block_that_was_not_seen_says_so(url: str, browser: Browser) -> None:
    install(FOLDER)
    async with opening(browser, url, HALF, bypass_csp=True) as reader:
        last = reader.page.locator(LAST)
        await expect(last.locator(".body")).to_have_text("Loads when it comes into view.")
        assert await last.get_attribute("aria-busy") is None
        await reader.page.add_script_tag(path=str(FOLDER / "node_modules/axe-core/axe.min.js"))
        found = await reader.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        assert found["violations"] == [], json.dumps([one["id"] for one in found["violations"]])


async def test_focus_asks_and_stays(url: str, browser: Browser, expected: dict[str, str]) -> None:
    async with opening(browser, url, HALF) as reader:
        page = reader.page
        # Without scrolling: it is the focus that asks.
        await page.locator(LAST).get_by_role("button").first.evaluate("one => one.focus({preventScroll: true})")
        await expect(page.locator(f"{LAST}[data-ready]")).to_have_count(1)
        assert sorted(names(reader, expected, len(questions.OPENING))) == ["health", "tagging"]
        await expect(page.get_by_role("button", name="The SQL of this: Health")).to_be_focused()
        # By the Tab key alone, from the last block that was on the screen.
        await page.locator("#block-channels").get_by_role("button").last.focus()
        for _ in range(500):
            await page.keyboard.press("Tab")
            if await page.evaluate(f"document.querySelector('{LAST}').contains(document.activeElement)"):
                break
        await reader.settle()
        assert await page.evaluate(f"document.querySelector('{LAST}').contains(document.activeElement)")


async def test_a_link_opens_a_block(url: str, browser: Browser, expected: dict[str, str]) -> None:
    async with opening(browser, url, f"{HALF}&block=cohorts") as reader:
        page = reader.page
        await expect(page.locator("#block-cohorts[data-ready]")).to_be_in_viewport()
        await expect(page.locator("#block-cohorts")).to_be_focused()
        assert "cohorts" in names(reader, expected)
        await page.evaluate("location.hash = '#block-letters'")
        await expect(page.locator("#block-letters[data-ready]")).to_be_in_viewport()
        await expect(page.locator("#block-letters")).to_be_focused()
        assert f"site=demo&{HALF}".replace("&tz=UTC", "") in page.url
        assert page.url.endswith("block=letters")
    async with opening(browser, url, HALF) as reader:
        await reader.page.goto("about:blank")
        await reader.page.goto(f"{url}#block-health")
        await expect(reader.page.locator(f"{LAST}[data-ready]")).to_be_in_viewport()


MISSING = "document.querySelectorAll('section:not([data-ready])').length"


async def test_a_print_has_every_block(url: str, browser: Browser, expected: dict[str, str]) -> None:
    async with opening(browser, url, HALF) as reader:
        missing: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        await reader.page.expose_function("printed", lambda count: missing.set_result(count))
        await reader.page.evaluate(f"() => {{ window.print = () => window.printed({MISSING}); }}")
        assert await reader.page.evaluate(MISSING) > 0
        await reader.page.keyboard.press("Control+p")
        assert await asyncio.wait_for(missing, 90) == 0
        assert sorted(names(reader, expected)) == sorted(expected)
    async with opening(browser, url, HALF) as reader:
        await reader.page.evaluate("dispatchEvent(new Event('beforeprint'))")  # by the browser's menu
        await reader.settle()


async def test_an_export_of_a_block_that_was_not_seen_asks_for_it(url: str, browser: Browser) -> None:
    async with opening(browser, url, HALF, accept_downloads=True) as reader:
        button = reader.page.get_by_role("button", name="Save as CSV: Landing pages")
        async with reader.page.expect_download() as download:
            await button.evaluate("one => one.click()")
        rows = lines(Path(await (await download.value).path()))
        assert sum(int(row["visits"]) for row in rows) == 1454

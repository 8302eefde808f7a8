"""Live, as a developer uses it: a wrong site key is seen with its fix; fixed, the page's events are seen to arrive."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.browser import pages
from tests.deploy.local.running import Local
from tests.processes import Program
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
SHOTS = os.environ.get("PHAROS_TEST_SHOTS", "")
"""A folder for pictures of what the tests see."""
ARRIVAL_MS = 30_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Local]:
    """`make run`, one for all tests of this file."""
    folder = tmp_path_factory.mktemp("live")
    programs: list[Program] = []

    def start(argv: list[str], env: dict[str, str] | None = None, cwd: Path | None = None) -> Program:
        programs.append(Program(argv, log=folder / "run.log", env=env, cwd=cwd))
        return programs[-1]

    local = Local(folder / "var", start)
    await local.up()
    yield local
    for program in programs:
        program.terminate()
        program.kill()


def report(system: Local) -> str:
    return f"http://localhost:{system.env['PHAROS_LOCAL_PAGE_PORT']}/report/"


def tagged(system: Local, site: str) -> str:
    return (
        "<!doctype html><title>Blue mug</title><h1>Mug</h1>"
        f'<script async src="{system.collector}/t.js" data-site="{site}" data-hosts="*"></script>'
    )


async def picture(page: Page, name: str) -> None:
    if SHOTS:
        await page.screenshot(path=Path(SHOTS) / f"{name}.png")


async def test_a_wrong_site_key_is_seen_fixed_and_the_events_arrive(system: Local, browser: Browser) -> None:
    contents = {"/mugs/blue": tagged(system, "demmo")}
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{system.collector}/p.gif?s=demo&u=https://demo.example/first") as sent,
    ):
        assert sent.headers["X-Pharos"] == "accepted"
    await until(lambda: _stored(system), "the first row")
    async with pages(contents) as served:
        shop = served.replace("127.0.0.1", "localhost")  # of the collector's own site, so that its cookie is kept
        developer = await browser.new_context()
        page = await developer.new_page()
        async with page.expect_response(lambda answer: answer.url.endswith("/e")) as refused:
            await page.goto(f"{shop}/mugs/blue?utm_source=youtube&utm_medium=video")
        assert (await refused.value).status == 400

        live = await browser.new_page(viewport={"width": 1240, "height": 900})
        await live.goto(f"{report(system)}#/live?site=demo")
        mistake = live.locator("ol.live li.refused").first
        await expect(mistake).to_contain_text("unknown_site")
        await expect(mistake).to_contain_text("demmo")
        await expect(mistake).to_contain_text(shop)
        await mistake.get_by_role("button").click()
        detail = live.locator(".detail")
        await expect(detail).to_contain_text('Did you mean "demo"?')
        await expect(detail).to_contain_text("data-site")
        assert "mugs" not in await mistake.inner_text() + await detail.inner_text(), (
            "of the page only the origin is kept"
        )
        await picture(live, "live-refused")

        contents["/mugs/blue"] = tagged(system, "demo")
        await page.goto(f"{shop}/mugs/blue?utm_source=youtube&utm_medium=video")
        await page.evaluate(
            "pharos('purchase', {value: '19.90', currency: 'EUR', id: 'order-1', props: {plan: 'pro'}})"
        )
        sale = live.locator("ol.live li", has_text="purchase")
        await expect(sale).to_contain_text("€19.90", timeout=ARRIVAL_MS)
        await expect(sale).to_contain_text("Organic Video")
        await expect(sale).to_contain_text("plan=pro")
        await expect(live.locator("ol.live li", has_text="pageview").first).to_contain_text("/mugs/blue")

        await sale.get_by_role("button").click()
        await expect(detail).to_contain_text("Named by utm_source=youtube; utm_medium=video", timeout=ARRIVAL_MS)
        await expect(detail).to_contain_text("every copy of this event has it")
        await detail.get_by_text("The raw hit").click()
        await expect(detail.locator("pre")).to_contain_text('"id": "order-1"')
        journey = detail.locator("ol.journey li")
        await expect(journey).to_have_count(2)
        await expect(journey.first).to_contain_text("purchase")
        await picture(live, "live-row")
        await developer.close()
        await live.close()


async def _stored(system: Local) -> bool:
    async with aiohttp.ClientSession() as http:
        return await system.events(http) > 0


async def test_the_demo_page_shows_its_own_hits_as_they_become_rows(system: Local, browser: Browser) -> None:
    page = await browser.new_page(viewport={"width": 1100, "height": 900})
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    await page.goto(f"http://localhost:{system.env['PHAROS_LOCAL_PAGE_PORT']}/?utm_source=newsletter&utm_medium=email")
    await page.get_by_role("button", name="Buy a mug").click()
    sale = page.locator('#hits tr[data-event="purchase"]')
    await expect(sale).to_contain_text("a row after", timeout=ARRIVAL_MS)
    await expect(sale).to_contain_text("19.9 EUR")
    await expect(page.locator('#hits tr[data-event="pageview"]')).to_contain_text("Email", timeout=ARRIVAL_MS)
    await page.get_by_role("link", name="a named link").click()
    await page.wait_for_url("**/?utm_source=youtube&utm_medium=video&utm_campaign=launch&_pcl=*")
    await expect(page.locator('#hits tr[data-event="pageview"]').first).to_contain_text("youtube", timeout=ARRIVAL_MS)
    assert await page.locator('#hits tr[data-event="purchase"]').count() == 1, "the list outlives the page"
    await picture(page, "demo")
    await page.get_by_role("button", name="Send a wrong event").click()
    await page.get_by_role("link", name="Live", exact=True).last.click()
    await expect(page.locator("ol.live li.refused").first).to_contain_text("bad_event")
    assert problems == []
    await page.close()

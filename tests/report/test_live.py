"""Live, as a developer uses it: a wrong site key is seen with its fix; fixed, the page's events are seen to arrive."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.browser import pages
from tests.deploy.local.running import ROOT, Local
from tests.processes import Program
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
SHOTS = os.environ.get("PHAROS_TEST_SHOTS", "")
"""A folder for pictures of what the tests see."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Local]:
    """`make run`, one for all tests of this file."""
    folder = tmp_path_factory.mktemp("live")
    programs: list[Program] = []

    def start(argv: list[str], env: dict[str, str] | None = None, cwd: Path | None = None) -> Program:
        programs.append(Program(argv, log=folder / "run.log", env=env, cwd=cwd))
        return programs[-1]

    local = Local(folder / "var", start, schema=True)
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
        await expect(sale).to_contain_text("€19.90")
        await expect(sale).to_contain_text("Organic Video")
        await expect(sale).to_contain_text("plan=pro")
        await expect(live.locator("ol.live li", has_text="pageview").first).to_contain_text("/mugs/blue")

        await sale.get_by_role("button").click()
        await expect(detail).to_contain_text("Named by utm_source=youtube; utm_medium=video")
        await expect(detail).to_contain_text("every copy of this event has it")
        await detail.get_by_text("The raw hit").click()
        await expect(detail.locator("pre")).to_contain_text('"id": "order-1"')
        journey = detail.locator("ol.journey li")
        await expect(journey).to_have_count(2)
        await expect(journey.first).to_contain_text("purchase")
        await picture(live, "live-row")

        people = live.get_by_role("button", name="People")
        await people.focus()
        await live.keyboard.press("Enter")
        await expect(people).to_have_attribute("aria-pressed", "true")
        for _ in range(2):  # the second look begins when the first is drawn
            async with live.expect_response(lambda answer: answer.url.endswith("/refused")):
                pass
        await expect(people).to_be_focused()
        await developer.close()
        await live.close()


async def test_demo_and_load_use_what_the_first_start_made(system: Local) -> None:
    """The demo has the shop's server and clicks on links; the load goes to a site of its own."""
    env = os.environ | system.env

    async def run(*argv: str) -> str:
        command = [sys.executable, "-m", "loadtest", *argv]
        child = await asyncio.create_subprocess_exec(
            *command, env=env, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await child.communicate()
        assert child.returncode == 0, output.decode()
        return output.decode()

    told = await run("demo", "--visitors", "20")
    assert "Without" not in told
    assert re.search(r"of which [1-9]\d* clicks and [1-9]\d* second copies", told), told
    origin = f"http://localhost:{system.env['PHAROS_LOCAL_PAGE_PORT']}"
    before = await _sites(system)
    await run("run", "--here", "--rate", "40", "--duration", "3", "--page-origin", origin, "--late-bound-ms", "60000")
    after = await _sites(system)
    assert after["load"] > 60
    assert {**after, "load": 0} == {**before, "load": 0}, "nothing of the load is in another site"


async def _sites(system: Local) -> dict[str, int]:
    # Events and not rows: ClickHouse merges the copies of an event at any time.
    sql = "SELECT site, toInt32(uniqExact(event_id)) FROM pharos.event_log GROUP BY site FORMAT JSONCompactColumns"
    async with aiohttp.ClientSession() as http, http.post(system.clickhouse, data=sql) as answer:
        return dict(zip(*(await answer.json(content_type=None)), strict=True))


AXE = ROOT / "deploy" / "report" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("where", ["live", "links", "demo"])
async def test_the_pages_are_accessible_and_fit_a_phone(
    system: Local, browser: Browser, where: str, scheme: Literal["light", "dark"]
) -> None:
    """axe finds nothing; at 390 px nothing is wider than the screen."""
    await until(lambda: _stored(system), "the first row")
    context = await browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page = await context.new_page()
    origin = report(system).removesuffix("report/")
    filled = "&url=https://shop.example/&code=yt&source=youtube&medium=video"
    await page.goto(
        {"live": f"{origin}report/#/live?site=demo", "links": f"{origin}report/#/links?site=demo{filled}"}.get(
            where, origin
        )
    )
    shown = {"live": "ol.live li .entry", "links": ".qr img", "demo": "#hits tr"}[where]
    await expect(page.locator(shown).first).to_be_visible()
    if where == "live":
        await page.locator(shown).first.click()
        await expect(page.locator(".detail")).to_be_visible()
        await expect(page.locator(".detail .skeleton")).to_have_count(0)
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    await page.evaluate(AXE.read_text())
    found = await page.evaluate(
        "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']})"
    )
    wrong = [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found["violations"]]
    await picture(page, f"{where}-{scheme}-390")
    assert wrong == []
    await context.close()


async def test_live_by_keyboard(system: Local, browser: Browser) -> None:
    await until(lambda: _stored(system), "the first row")
    page = await browser.new_page()
    await page.goto(f"{report(system)}#/live?site=demo")
    entry = page.locator("ol.live li .entry").first
    await expect(entry).to_be_visible()
    await entry.focus()
    await page.keyboard.press("Enter")
    detail = page.locator(".detail")
    await expect(detail).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(detail.get_by_role("button", name="Close")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(detail).to_be_hidden()
    await expect(page.locator("ol.live li .entry:focus")).to_have_count(1)
    await page.get_by_role("button", name="Pause").click()
    await expect(page.get_by_role("status").first).to_have_text("Paused")
    await page.close()


async def test_live_says_what_is_away(system: Local, browser: Browser) -> None:
    page = await browser.new_page()
    await page.route(
        "**/report/refused", lambda route: route.fulfill(status=502, json={"problem": "the collector is away"})
    )
    await page.route("**/report/query", lambda route: route.abort())
    await page.goto(f"{report(system)}#/live?site=demo")
    await expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    await page.unroute("**/report/query")
    await page.reload()
    await expect(page.get_by_role("alert")).to_contain_text("Refused hits cannot be shown: the collector is away")
    await page.unroute("**/report/refused")
    await expect(page.get_by_role("alert")).to_have_count(0)
    await page.close()


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
    await expect(sale).to_contain_text("a row after")
    await expect(sale).to_contain_text("19.9 EUR")
    await expect(page.locator('#hits tr[data-event="pageview"]')).to_contain_text("Email")
    await page.get_by_role("link", name="a named link").click()
    await page.wait_for_url("**/?utm_source=youtube&utm_medium=video&utm_campaign=launch&_pcl=*")
    await expect(page.locator('#hits tr[data-event="pageview"]').first).to_contain_text("youtube")
    assert await page.locator('#hits tr[data-event="purchase"]').count() == 1, "the list outlives the page"
    await picture(page, "demo")
    await page.get_by_role("button", name="Send a wrong event").click()
    await page.get_by_role("link", name="Live", exact=True).last.click()
    await expect(page.locator("ol.live li.refused").first).to_contain_text("bad_event")
    assert problems == []
    await page.close()

"""The helper: an overlay that shows what this page sent, what was answered, and what to correct."""

import os
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.tag.servers import Servers
from tests.tag.visit import visit

pytestmark = pytest.mark.asyncio(loop_scope="module")
SHOTS = os.environ.get("PHAROS_TEST_SHOTS", "")


async def helped(page: Page) -> None:
    await expect(page.locator("#pharos-helper .box")).to_be_visible()


async def test_a_wrong_site_is_named_with_what_to_correct(site: Servers, browser: Browser) -> None:
    site.pages["/wrong"] = f"<!doctype html><title>Mug</title>{site.tag(site='demmo')}", {}
    async with visit(browser, f"{site.site}/wrong?pharos-debug") as page:
        await helped(page)
        early = page.locator("#pharos-helper ol li").last
        await expect(early).to_contain_text("the page view")
        await expect(early).to_contain_text("400 refused")
        await expect(early).to_contain_text('There is no site "demmo"')
        await page.evaluate("pharos('signup')")
        refused = page.locator("#pharos-helper ol li", has_text="signup")
        await expect(refused).to_contain_text("400 refused")
        await expect(refused).to_contain_text('There is no site "demmo". Correct data-site of the tag')
        if SHOTS:
            await page.screenshot(path=Path(SHOTS) / "helper.png")


async def test_what_is_accepted_and_what_is_dropped(site: Servers, browser: Browser) -> None:
    async with visit(browser, site.page("/helped") + "#pharos-debug") as page:
        await helped(page)
        await expect(page.locator("#pharos-helper .check")).to_contain_text("Tag of demo")
        await page.evaluate("pharos('signup', {props: {plan: '<img src=x onerror=alert(1)>'}})")
        good = page.locator("#pharos-helper ol li", has_text="signup")
        await expect(good).to_contain_text("202 accepted")
        await page.evaluate("pharos('purchase', {value: '1,5', currency: 'EUR'})")
        dropped = page.locator("#pharos-helper ol li", has_text="purchase")
        await expect(dropped).to_contain_text("202, 1 accepted")
        await expect(dropped).to_contain_text(
            "value cannot be used, and is left out. It should be a decimal with a point"
        )
        await page.get_by_role("button", name="Close").click()
        assert await page.locator("#pharos-helper").count() == 0
    events = [event["event"] for event in site.events("/helped")]
    assert sorted(set(events) - {"engagement"}) == ["pageview", "purchase", "signup"], (
        "the helper itself counts nothing"
    )
    assert events.count("pageview") == 1


async def test_without_its_word_nothing_of_it_is_loaded(site: Servers, browser: Browser) -> None:
    asked: list[str] = []
    async with visit(browser, site.page("/plain", attributes="data-links") + "?debug=1") as page:
        page.on("request", lambda request: asked.append(request.url))
        await page.evaluate("pharos('done')")
        await site.until("/plain", "done")
        assert await page.locator("#pharos-helper").count() == 0
    assert not [url for url in asked if "helper" in url]


async def test_as_a_bookmarklet_on_a_page_without_a_tag(site: Servers, browser: Browser) -> None:
    site.pages["/bare"] = "<!doctype html><title>Mug</title><style>div { display: none !important }</style>", {}
    page = await browser.new_page()
    await page.goto(f"{site.site}/bare")
    load = "(src) => { const s = document.createElement('script'); s.src = src; document.head.append(s); }"
    await page.evaluate(load, f"{site.collector}/pharos-helper.js")
    await helped(page)
    await expect(page.locator("#pharos-helper .check")).to_contain_text("This page has no tag")
    await page.close()


async def test_a_policy_that_forbids_the_collector_is_named(site: Servers, browser: Browser) -> None:
    policy = f"default-src 'none'; script-src {site.collector}"
    site.pages["/strict"] = f"<!doctype html><title>Mug</title>{site.tag()}", {"Content-Security-Policy": policy}
    async with visit(browser, f"{site.site}/strict?pharos-debug") as page:
        await helped(page)
        await page.evaluate("pharos('signup')")
        checks = page.locator("#pharos-helper .check")
        await expect(checks).to_contain_text(f"forbids {site.collector} in connect-src")
        await expect(page.locator("#pharos-helper ol")).to_contain_text("No answer that this page may read")


async def test_a_machine_that_is_not_counted_is_named(site: Servers, browser: Browser) -> None:
    site.pages["/local"] = f"<!doctype html><title>Mug</title>{site.tag('data-hosts=shop.example')}", {}
    async with visit(browser, f"{site.site}/local?pharos-debug") as page:
        await helped(page)
        checks = page.locator("#pharos-helper .check")
        await expect(checks).to_contain_text("shop.localhost is not in data-hosts, so nothing is sent")
        await expect(checks).to_contain_text("A program drives this browser")

"""Whose visits count, for which sites: hosts, the switch for own visits, two sites, and a tag that cannot send."""

from functools import partial
from pathlib import Path

import pytest
from playwright.async_api import Browser, Dialog

from collector.http import tag
from tests.tag.servers import Servers
from tests.tag.visit import visit
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTS = {
    "localhost": ("", False),
    "127.0.0.1": ("", False),
    "shop.localhost": ("", True),
    "blog.localhost": ('data-hosts="shop.localhost other.localhost"', False),
    "www.shop.localhost": ('data-hosts="blog.localhost shop.localhost"', True),
    "myshop.localhost": ('data-hosts="shop.localhost"', False),
}


@pytest.mark.parametrize("host", [*HOSTS, "localhost, listed", "127.0.0.1, any"])
async def test_hosts_that_count(site: Servers, browser: Browser, host: str) -> None:
    attributes, counted = HOSTS.get(host, ("", True))
    if ", " in host:
        host, how = host.split(", ")
        attributes = 'data-hosts="*"' if how == "any" else f'data-hosts="{host}"'
    path = f"/host-{len(attributes)}-{host}"
    url = site.page(path, attributes=attributes).replace("//shop.localhost", f"//{host}")
    async with visit(browser, url) as page:
        await page.evaluate("pharos('called')")
        # The end of a page that counts is the end of the test for one that does not.
        await page.goto(site.page(path + "/end"))
        await site.until(path + "/end", "pageview")
    names = {event["event"] for event in site.events() if event["url"] == url}
    assert names - {"engagement"} == ({"pageview", "called"} if counted else set())


async def test_a_file_does_not_count_unless_it_may(site: Servers, browser: Browser, tmp_path: Path) -> None:
    for name, attributes in (("plain", ""), ("any", 'data-hosts="*"')):
        (tmp_path / f"{name}.html").write_text(site.tag(attributes))
        async with visit(browser, (tmp_path / f"{name}.html").as_uri()) as page:
            await page.evaluate(f"pharos('file-{name}')")
    await until(lambda: any(event["event"] == "file-any" for event in site.events()), "the event of a file")
    assert not any(event["event"] == "file-plain" for event in site.events())


async def test_two_sites_of_one_page(site: Servers, browser: Browser) -> None:
    tag = site.tag(site="demo full")
    site.pages["/two-sites"] = f"<title>Two</title>{tag}", {}
    async with visit(browser, site.site + "/two-sites") as page:
        await page.evaluate("pharos('signup', {id: 'user-1'})")
        await site.until("/two-sites", "signup")
        await until(lambda: len([h for h in site.surface.hits if b"user-1" in (h.body or "").encode()]) == 2, "both")
    found = [(hit.site, event["event"], event["id"]) for hit, event in site.with_hits("/two-sites")]
    views = {name: key for name, event, key in found if event == "pageview"}
    assert views.keys() == {"demo", "full"}
    assert views["demo"] != views["full"]
    assert {name for name, event, key in found if (event, key) == ("signup", "user-1")} == {"demo", "full"}


def _are(found: list[str], number: int) -> bool:
    return len(found) == number


async def test_the_switch_for_ones_own_visits(site: Servers, browser: Browser) -> None:
    url = site.page("/own")
    visitor = await browser.new_context()
    page = await visitor.new_page()
    asked: list[str] = []

    async def answer(dialog: Dialog) -> None:
        asked.append(dialog.message)
        await dialog.accept()

    page.on("dialog", answer)
    for number, name in ((1, "hidden"), (2, "shown")):
        await page.goto("about:blank")
        await page.goto(f"{url}#pharos")
        await until(partial(_are, asked, number), "the question")
        await page.goto(site.page(f"/own/{name}"))
        await until(lambda: page.evaluate("!!(window.pharos && pharos.on)"), "the tag")
        await page.evaluate("pharos('called')")
    await site.until("/own/shown", "pageview", "called")
    assert site.events("/own/hidden") == []
    assert len(site.events("/own")) <= 2, "the view before the switch, and its engagement"
    assert ["not counted" in text for text in asked] == [False, True]
    assert await page.evaluate("localStorage.length") == 0
    await visitor.close()


INLINED = f"<script data-site=demo>{tag.load().bodies[''].decode()}</script>"


@pytest.mark.parametrize("script", [INLINED, "<script src=COLLECTOR/t.js></script>"], ids=["no address", "no site"])
async def test_one_warning_where_nothing_can_be_sent(site: Servers, browser: Browser, script: str) -> None:
    path = f"/nothing-{len(script)}"
    site.pages[path] = f"<title>x</title>{script.replace('COLLECTOR', site.collector)}", {}
    page = await browser.new_page()
    lines: list[str] = []
    page.on("console", lambda line: lines.append(f"{line.type}: {line.text}"))
    page.on("pageerror", lambda error: lines.append(f"thrown: {error}"))
    await page.goto(site.site + path)
    await until(lambda: any("pharos" in line for line in lines), "a warning")
    assert [line[:15] for line in lines if "favicon" not in line and "404" not in line] == ["warning: pharos"]
    await page.close()


async def test_a_copied_script_with_the_collectors_address(site: Servers, browser: Browser) -> None:
    site.pages["/copy.js"] = tag.load().bodies[""].decode(), {}
    api = f'data-api="{site.collector}/"'
    site.pages["/copied"] = f"<title>x</title><script src=/copy.js data-site=demo {api}></script>", {}
    async with visit(browser, site.site + "/copied"):
        await site.until("/copied", "pageview")

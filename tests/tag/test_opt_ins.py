"""Each opt-in, from the click to the stored event; and that none does anything without its attribute."""

from typing import Any

import pytest
from playwright.async_api import Browser, Page

from tests.tag.servers import Servers
from tests.tag.visit import extras, visit
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

BODY = """
<a id=out href="http://other.localhost/out">out</a> <a id=in href="/in">in</a> <a id=file href="/price.PDF">file</a>
<a id=named href="/made-up" download>named</a> <a id=mail href="mailto:jane@shop.example">mail</a> <div id=host></div>
<img usemap="#map" width=50 height=50 src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=">
<map name=map><area id=area shape=rect coords="0,0,50,50" href="http://other.localhost/area"></map>
<svg width=60 height=60><a href="http://other.localhost/svg"><rect id=rect width=60 height=60 /></a></svg>
<button id=sign data-pharos-event=signup data-pharos-plan=pro data-pharos-value=9.90 data-pharos-currency=EUR><b>S</b>
</button>
<form id=news action="/send?token=1" data-pharos-event=subscribed><input name=id value=x><input name=email>
<button id=go>
</form><script>
host.attachShadow({mode: 'open'}).innerHTML = '<a href="http://other.localhost/shadow"><i>s</i></a>';
for (const kind of ['click', 'auxclick', 'submit'])
  document.addEventListener(kind, e => e.target.id == 'go' || e.preventDefault());
</script><div style="height: 4000px"></div>"""

CLICKS = "['out', 'file', 'named', 'mail', 'area', 'in'].forEach(id => document.getElementById(id).click())"
ALL = "data-links data-contact data-events data-forms data-scroll data-not-found"


async def use(page: Page) -> None:
    """Click on everything."""
    await page.evaluate(CLICKS)
    await page.evaluate("host.shadowRoot.querySelector('i').click()")
    await page.click("#rect")
    await page.click("#out", button="middle")
    await page.click("#out", button="right")
    await page.click("#sign b")
    await page.click("#go")
    await page.evaluate("scrollTo(0, 1500)")


async def test_links_and_contacts(site: Servers, browser: Browser) -> None:
    async with visit(browser, site.page("/links", BODY, attributes="data-links data-contact")) as page:
        await extras(page)
        await use(page)
        await page.evaluate("pharos('done')")
        await site.until("/links", "done")
    found = site.events("/links")
    outbound = [event["props"]["href"].rpartition("/")[2] for event in found if event["event"] == "outbound"]
    assert sorted(outbound) == ["area", "out", "out", "shadow", "svg"]
    downloads = [event["props"]["href"].rpartition("/")[2] for event in found if event["event"] == "download"]
    assert downloads == ["price.PDF", "made-up"]
    assert [event["props"] for event in found if event["event"] == "contact"] == [{"kind": "mailto"}]
    assert {event["event"] for event in found} <= {"pageview", "outbound", "download", "contact", "done", "engagement"}


async def test_events_in_the_markup(site: Servers, browser: Browser) -> None:
    async with visit(browser, site.page("/markup", BODY, attributes="data-events")) as page:
        await extras(page)
        await use(page)
        signup, _ = await site.until("/markup", "signup", "subscribed")
    assert signup["props"] == {"plan": "pro"}
    assert (signup["value"], signup["currency"]) == ("9.90", "EUR")


async def test_forms(site: Servers, browser: Browser) -> None:
    async with visit(browser, site.page("/forms", BODY, attributes="data-forms")) as page:
        await extras(page)
        await use(page)
        (form,) = await site.until("/forms", "form")
    assert form["props"] == {"form": "news", "action": f"{site.site}/send"}


async def test_scroll_depth(site: Servers, browser: Browser) -> None:
    async with visit(browser, site.page("/scroll", BODY, attributes="data-scroll")) as page:
        await extras(page)
        await page.evaluate("scrollTo(0, 1700)")
        await until(lambda: _depths(site.events("/scroll")) == ["25", "50"], "two depths")
        await page.evaluate("scrollTo(0, 0)")
        await page.evaluate("scrollTo(0, 1e5)")
        await until(lambda: _depths(site.events("/scroll")) == ["25", "50", "75", "90"], "four depths")


def _depths(found: list[dict[str, Any]]) -> list[str]:
    return [event["props"]["percent"] for event in found if event["event"] == "scroll"]


async def test_pages_that_are_not_there(site: Servers, browser: Browser) -> None:
    site.missing = f"<title>None</title>{site.tag('data-not-found')}"
    async with visit(browser, f"{site.site}/nowhere"):
        await site.until("/nowhere", "pageview", "not_found")


async def test_debug_shows_what_the_collector_answered(site: Servers, browser: Browser) -> None:
    async with visit(browser, site.page("/debug", attributes="data-debug")) as page:
        await extras(page)
        lines: list[str] = []
        page.on("console", lambda line: lines.append(line.text))
        await page.evaluate("pharos('two words')")
        await until(lambda: any("bad_event" in line for line in lines), "why the event is refused")
        await page.evaluate("pharos('sale', {currency: 'euros'})")
        await until(lambda: any('"fields":["currency"]' in line for line in lines), "what an event is stored without")
        site.fault = lambda request: "502"
        await page.evaluate("pharos('signup')")
        await until(lambda: any("no answer" in line for line in lines), "that there is no answer")
        site.fault = lambda request: ""


async def test_none_without_its_attribute(site: Servers, browser: Browser) -> None:
    async with visit(browser, site.page("/none", BODY)) as page:
        # The second script is there, as on a page with another opt-in.
        await page.add_script_tag(url=f"{site.collector}/x.js")
        await extras(page)
        await use(page)
        await page.evaluate("pharos('done')")
        await site.until("/none", "done")
    assert {event["event"] for event in site.events("/none")} <= {"pageview", "done", "engagement"}


async def test_the_second_script_may_come_first(site: Servers, browser: Browser) -> None:
    url = site.page("/first", BODY, attributes="data-links", head=f'<script src="{site.collector}/x.js"></script>')
    async with visit(browser, url) as page:
        await extras(page)
        await page.evaluate("document.getElementById('out').click()")
        await page.evaluate("pharos('done')")
        await site.until("/first", "done")
    assert [event["event"] for event in site.events("/first")].count("outbound") == 1


async def test_all_together(site: Servers, browser: Browser) -> None:
    async with visit(browser, site.page("/all", BODY, attributes=ALL)) as page:
        await extras(page)
        await use(page)
        await site.until("/all", "outbound", "download", "contact", "signup", "form", "subscribed", "scroll")

"""Nothing is filed wrongly: an event has its page's URL and title, a page is one view, sleep is no engagement."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser

from tests.tag.servers import STUB, Servers
from tests.tag.visit import visit
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

NO_NAVIGATION_API = "delete Window.prototype.navigation; delete window.navigation"
"""As in browsers of before 2026."""
OLD_AND_NEW = pytest.mark.parametrize("script", ["", NO_NAVIGATION_API], ids=["Navigation API", "History API"])


def views(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(urlsplit(event["url"]).path, event["title"]) for event in found if event["event"] == "pageview"]


def of(site: Servers, start: str) -> list[dict[str, Any]]:
    """Return the events whose path starts so."""
    return [event for event in site.events() if urlsplit(event["url"]).path.startswith(start)]


@OLD_AND_NEW
async def test_an_event_right_after_a_route_belongs_to_it(site: Servers, browser: Browser, script: str) -> None:
    start = f"/route{bool(script):d}"
    async with visit(browser, site.page(start, title="Cart"), script) as page:
        await site.until(start, "pageview")
        await page.evaluate(
            f"history.pushState({{}}, '', '{start}/thanks'); pharos('bought');"
            "setTimeout(() => document.title = 'Thanks', 30)"
        )
        view, bought = await site.until(f"{start}/thanks", "pageview", "bought")
    assert (view["title"], bought["title"]) == ("Thanks", "Thanks")
    assert view["referrer"] == bought["referrer"] == site.site + start


@OLD_AND_NEW
async def test_a_router_that_calls_before_the_tag_hears_of_the_route(
    site: Servers, browser: Browser, script: str
) -> None:
    start = f"/popped{bool(script):d}"
    head = "<script>addEventListener('popstate', () => pharos('back'))</script>"
    async with visit(browser, site.page(start, head=head), script) as page:
        await page.evaluate(f"history.pushState({{}}, '', '{start}/two')")
        await site.until(f"{start}/two", "pageview")
        await page.evaluate("history.back()")
        await site.until(start, "back")
        await until(lambda: len(views(of(site, start))) == 3, "three views")


async def test_views_by_hand(site: Servers, browser: Browser) -> None:
    async with visit(browser, site.page("/manual", attributes="data-manual")) as page:
        await page.evaluate("history.pushState({}, '', '/manual/two'); pharos('pageview')")
        await site.until("/manual/two", "pageview")
    assert [path for path, _ in views(of(site, "/manual"))] == ["/manual/two"]


async def test_a_title_that_comes_late_or_early_or_never(site: Servers, browser: Browser) -> None:
    async with visit(browser, site.page("/title", title="Home")) as page:
        await site.until("/title", "pageview")
        await page.evaluate("document.title = 'Early'; history.pushState({}, '', '/title/early')")
        await site.until("/title/early", "pageview")
        await page.evaluate("history.pushState({}, '', '/title/late'); setTimeout(() => document.title = 'Late', 200)")
        await site.until("/title/late", "pageview")
        await page.evaluate("history.pushState({}, '', '/title/never')")
        await site.until("/title/never", "pageview")
    assert views(of(site, "/title")) == [
        ("/title", "Home"),
        ("/title/early", "Early"),
        ("/title/late", "Late"),
        ("/title/never", "Late"),
    ]


async def test_engagement_keeps_the_title_of_its_page(site: Servers, browser: Browser) -> None:
    async with visit(browser, site.page("/read", title="First")) as page:
        await site.until("/read", "pageview")
        await until(lambda: page.evaluate("performance.now() > 500"), "an engagement")
        await page.evaluate("history.pushState({}, '', '/read/2'); document.title = 'Second'")
        (engagement,) = await site.until("/read", "engagement")
        await site.until("/read/2", "pageview")
    assert engagement["title"] == "First"
    assert int(engagement["props"]["ms"]) >= 100


@OLD_AND_NEW
async def test_a_filter_that_replaces_its_query_is_one_view(site: Servers, browser: Browser, script: str) -> None:
    start = f"/filter{bool(script):d}"
    async with visit(browser, site.page(start), script) as page:
        await page.evaluate(
            "for (const q of ['m', 'mu', 'mug']) history.replaceState({}, '', '?q=' + q); pharos('filtered');"
            f"history.replaceState({{}}, '', '{start}/other'); history.replaceState({{}}, '', location.href)"
        )
        await site.until(f"{start}/other", "pageview")
        (filtered,) = await site.until(start, "filtered")
    assert [path for path, _ in views(of(site, start))] == [start, f"{start}/other"]
    assert urlsplit(filtered["url"]).query == "q=mug"


@pytest.mark.parametrize(("attributes", "count"), [("", 1), ("data-hash", 2)])
async def test_fragments_are_routes_where_the_site_says_so(
    site: Servers, browser: Browser, attributes: str, count: int
) -> None:
    path = f"/hash-{count}"
    async with visit(browser, site.page(path, attributes=attributes)) as page:
        await site.until(path, "pageview")
        await page.evaluate("location.hash = '#/two'; pharos('done')")
        (done,) = await site.until(path, "done")
    assert len(views(site.events(path))) == count
    assert done["url"].endswith("#/two") == (count == 2)


async def test_an_intercepted_navigation(site: Servers, browser: Browser) -> None:
    body = "<script>navigation.addEventListener('navigate', e => e.intercept({handler() {}}))</script>"
    async with visit(browser, site.page("/intercepted", body)) as page:
        await page.evaluate("void navigation.navigate('/intercepted/two')")
        await site.until("/intercepted/two", "pageview")


WAITING = {
    "prerendering": (
        "",
        "let waits = true; Object.defineProperty(Document.prototype, 'prerendering', {get: () => waits});"
        "window.show = () => { waits = false; document.dispatchEvent(new Event('prerenderingchange')) }",
    ),
    "in the background": (
        "data-seen",
        "let waits = true; Object.defineProperty(Document.prototype, 'hidden', {get: () => waits});"
        "window.show = () => { waits = false; document.dispatchEvent(new Event('visibilitychange')) }",
    ),
}


@pytest.mark.parametrize("why", WAITING)
async def test_a_page_that_nobody_has_seen_sends_nothing(site: Servers, browser: Browser, why: str) -> None:
    attributes, script = WAITING[why]
    path = f"/unseen-{len(attributes)}"
    async with visit(browser, site.page(path, head=STUB, attributes=attributes), script) as page:
        await page.evaluate("pharos('early'); history.replaceState({a: 1}, ''); history.pushState({}, '', '?shown')")
        await page.evaluate(
            "to => { const body = JSON.stringify({site: 'demo', event: 'mark', url: location.href});"
            "return fetch(to, {method: 'POST', body}) }",
            f"{site.collector}/e",
        )
        await site.until(path, "mark")
        assert [event["event"] for event in site.events(path)] == ["mark"]
        await page.evaluate("show()")
        view, early = await site.until(path, "pageview", "early")
    assert urlsplit(view["url"]).query == urlsplit(early["url"]).query == "shown"


async def test_sleep_is_no_engagement(site: Servers, browser: Browser) -> None:
    jump = (
        "let ahead = 0; const real = performance.now.bind(performance), date = Date.now;"
        "performance.now = () => real() + ahead; Date.now = () => date() + ahead; window.sleep = ms => ahead += ms"
    )
    async with visit(browser, site.page("/sleep"), jump) as page:
        await site.until("/sleep", "pageview")
        await page.evaluate("sleep(8 * 36e5); history.pushState({}, '', '/sleep/woken')")
        (engagement,) = await site.until("/sleep", "engagement")
    assert int(engagement["props"]["ms"]) < 60_000


async def test_names_on_the_page_that_hide_the_browsers_own(site: Servers, browser: Browser) -> None:
    body = "<form name=currentScript></form><nav id=navigation></nav>"
    site.pages["/hiding"] = f"<title>Hiding</title>{body}{site.tag()}", {}
    async with visit(browser, site.site + "/hiding", NO_NAVIGATION_API) as page:
        await page.evaluate("history.pushState({}, '', '/hiding/two')")
        await site.until("/hiding/two", "pageview")
    assert [path for path, _ in views(of(site, "/hiding"))] == ["/hiding", "/hiding/two"]


@pytest.mark.parametrize("kind", ["module", "inline", "elsewhere"])
async def test_a_script_that_an_optimiser_changed(site: Servers, browser: Browser, kind: str) -> None:
    async with visit(browser, site.page("/plain")) as page:
        source = await page.evaluate("fetch(document.querySelector('script').src).then(r => r.text())")
    attributes = f'data-site="demo" data-api="{site.collector}/"'
    site.pages["/cache/t.js"] = source, {}
    script = {
        "module": f'<script type="module" src="{site.collector}/t.js" data-site="demo"></script>',
        "inline": f"<script {attributes}>{source}</script>",
        "elsewhere": f'<script src="/cache/t.js" {attributes}></script>',
    }[kind]
    site.pages[f"/{kind}"] = f"<title>Optimised</title>{script}", {}
    async with visit(browser, f"{site.site}/{kind}"):
        await site.until(f"/{kind}", "pageview")


async def test_two_tags_on_a_page_are_one(site: Servers, browser: Browser) -> None:
    async with visit(browser, site.page("/twice", site.tag())) as page:
        await page.evaluate("pharos('done')")
        await site.until("/twice", "pageview", "done")
    assert len(views(site.events("/twice"))) == 1


async def test_a_page_from_the_browsers_cache_is_a_view(site: Servers, browser: Browser) -> None:
    async with visit(browser, site.page("/restored")) as page:
        await site.until("/restored", "pageview")
        await page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
        await until(lambda: len(views(site.events("/restored"))) == 2, "a second view")


async def test_the_page_may_change_or_drop_an_event(site: Servers, browser: Browser) -> None:
    head = (
        "<script>window.pharosBefore = event => { if (event.event == 'secret') return false;"
        "event.url = event.url.replace(/token=[^&]*/, 'token='); event.props = {seen: event.event} }</script>"
    )
    async with visit(browser, site.page("/before", head=head) + "?token=17") as page:
        await page.evaluate("pharos('secret'); pharos('open')")
        view, opened = await site.until("/before", "pageview", "open")
    assert "secret" not in [event["event"] for event in site.events("/before")]
    assert urlsplit(view["url"]).query == urlsplit(opened["url"]).query == "token="
    assert (view["props"], opened["props"]) == ({"seen": "pageview"}, {"seen": "open"})

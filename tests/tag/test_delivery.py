"""Nothing is lost: what the collector has not acknowledged is sent again, and stored once, from pages of all kinds."""

from uuid import UUID

import pytest
from aiohttp import web
from playwright.async_api import Browser

from collector.http import tag
from tests.tag.servers import ONLINE, STUB, Fault, Servers
from tests.tag.visit import visit
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

IMAGES_ONLY = "default-src 'none'; script-src 'unsafe-inline' *; img-src *"
TYPES = "require-trusted-types-for 'script'; trusted-types 'none'"


def failing(site: Servers, *faults: Fault) -> None:
    """Let the next requests fail in turn."""
    left = list(faults)
    site.fault = lambda request: left.pop(0) if left else ""


@pytest.mark.parametrize("fault", ["503", "502", "reset", "reset after"])
async def test_a_failed_request_is_sent_again_with_its_id(site: Servers, browser: Browser, fault: Fault) -> None:
    path = f"/fails-{fault.replace(' ', '-')}"
    failing(site, fault, fault)
    async with visit(browser, site.page(path)) as page:
        await page.evaluate("pharos('signup')")
        view, _ = await site.until(path, "pageview", "signup")
    found = site.events(path)
    ids = [(event["event"], event["id"]) for event in found]
    assert len({name for name, _ in ids}) == len(set(ids)), "a repeat has the id of the first"
    assert view["visitor"], "the cookie goes along"
    site.fault = lambda request: ""


async def test_events_arrive_in_order_after_an_outage(site: Servers, browser: Browser) -> None:
    down = [True]
    asked: list[str] = []

    def fault(request: web.Request) -> Fault:
        asked.append(request.path)
        return "503" if down[0] else ""

    site.fault = fault
    async with visit(browser, site.page("/order")) as page:
        await page.evaluate("pharos('first')")
        await until(lambda: asked, "a request")
        await page.evaluate("pharos('second')")
        down[0] = False
        await page.evaluate("pharos('third')")
        await site.until("/order", "third")
    names = [event["event"] for event in site.events("/order")]
    assert [name for name in names if name != "engagement"] == ["pageview", "first", "second", "third"]


async def test_an_outage_without_another_event_ends_by_itself(site: Servers, browser: Browser) -> None:
    failing(site, "503", "503")
    async with visit(browser, site.page("/pause", head=ONLINE)):
        await site.until("/pause", "pageview")


async def test_what_one_page_could_not_send_the_next_one_does(site: Servers, browser: Browser) -> None:
    down = [True]
    site.fault = lambda request: "503" if down[0] else ""
    next_page = site.page("/kept-next", attributes='data-consent="1"')
    async with visit(browser, site.page("/kept", attributes='data-consent="1"')) as page:
        await page.evaluate("pharos('bought')")
        down[0] = False
        await page.goto(next_page)
        bought, view = await site.until("/kept", "bought", "pageview")
        assert await page.evaluate("sessionStorage.length") == 0
    assert (bought["title"], view["title"]) == ("Mug", "Mug")


@pytest.mark.parametrize(
    ("attributes", "kept"), [("", 0), ('data-keep="1"', 1), ('data-keep="1" data-consent="0"', 0), ("data-keep", 0)]
)
async def test_the_browser_keeps_nothing_unless_it_may(
    site: Servers, browser: Browser, attributes: str, kept: int
) -> None:
    site.fault = lambda request: "503"
    site.pages["/empty"] = "<title>empty</title>", {}
    async with visit(browser, site.page("/unkept", attributes=attributes)) as page:
        await page.evaluate("pharos('bought')")
        await page.goto(site.site + "/empty")
        assert await page.evaluate("sessionStorage.length") == kept
    site.fault = lambda request: ""


async def test_ids_are_uuids_of_version_7_and_a_driven_browser_says_so(site: Servers, browser: Browser) -> None:
    async with visit(browser, site.page("/ids")) as page:
        before = await page.evaluate("Date.now()")
        (view,) = await site.until("/ids", "pageview")
    uuid = UUID(view["id"])
    assert (uuid.version, uuid.variant) == (7, "specified in RFC 4122")
    assert abs((uuid.int >> 80) - before) < 60_000
    assert view["webdriver"] == "1"


async def test_a_clock_that_is_wrong_costs_nothing(site: Servers, browser: Browser) -> None:
    ahead = "<script>{const real=Date.now;Date.now=()=>real()+36e5}</script>"
    failing(site, "502", "502", "502")  # two requests and the image
    async with visit(browser, site.page("/clock", head=ahead)):
        (view,) = await site.until("/clock", "pageview")
    assert "time" not in view
    assert 100 <= int(view["age"]) < 60_000


async def test_over_64_kib_a_turn(site: Servers, browser: Browser) -> None:
    send = """() => { for (const name of ['a', 'b', 'c']) {
        const props = {};
        for (let i = 0; i < 31; i++) props['k' + i] = 'é'.repeat(1024);
        pharos(name, {props});
    } }"""
    async with visit(browser, site.page("/large")) as page:
        await page.evaluate(send)
        found = await site.until("/large", "a", "b", "c")
    assert [len(event["props"]) for event in found] == [31, 31, 31]


async def test_what_is_too_long_is_cut_and_what_utf_8_cannot_write_is_repaired(site: Servers, browser: Browser) -> None:
    async with visit(browser, site.page("/long", title="t" * 9000)) as page:
        bodies: list[str] = []
        page.on("request", lambda request: bodies.append(request.post_data or ""))
        await page.evaluate(
            """() => pharos('odd', {title: 'cut \\ud83d', props: {
                ['n'.repeat(80)]: 'v'.repeat(2000), half: '\\udc00', none: null,
                list: [1, 2], yes: true, number: 1.5}})"""
        )
        await page.evaluate(
            "() => { const props = {}; for (let i = 0; i < 40; i++) props[i + 'p'] = i; pharos('many', {props}) }"
        )
        await page.evaluate("history.pushState({}, '', '/long?' + 'q'.repeat(9000))")
        view, odd, many = await site.until("/long", "pageview", "odd", "many")
        await until(lambda: max(len(event["url"]) for event in site.events("/long")) == 8192, "a URL that was cut")
    # The collector would repair it too; another reader of JSON would not.
    assert not [body for body in bodies if "\\ud" in body]
    assert len(view["title"]) == 8192
    assert odd["title"] == "cut \ufffd"
    assert odd["props"] == {
        "n" * 64: "v" * 1024,
        "half": "\ufffd",
        "list": "1,2",
        "yes": "true",
        "number": "1.5",
    }
    assert len(many["props"]) == 32


async def test_prototype_js(site: Servers, browser: Browser) -> None:
    prototype = "<script>Array.prototype.toJSON=function(){return '['+[].join.call(this,', ')+']'}</script>"
    async with visit(browser, site.page("/prototype", head=prototype)) as page:
        await page.evaluate("pharos('signup', {props: {plan: 'pro'}})")
        _, signup = await site.until("/prototype", "pageview", "signup")
    assert signup["props"] == {"plan": "pro"}


async def test_where_only_images_may_load(site: Servers, browser: Browser) -> None:
    link = '<a id="on" href="/empty">on</a>'
    url = site.page("/images", link, head=ONLINE, Content_Security_Policy=IMAGES_ONLY)
    async with visit(browser, url) as page:
        (view,) = await site.until("/images", "pageview")
        await until(lambda: page.evaluate("performance.now() > 500"), "an engagement")
        await page.evaluate("pharos('big', {title: 'ü'.repeat(8000), props: {a: 'x'.repeat(1024)}})")
        await page.click("#on")
        engagement, big = await site.until("/images", "engagement", "big")
    assert {event["kind"] for event in (view, engagement, big)} == {"pixel"}
    assert (view["title"], engagement["title"]) == ("Mug", "Mug")
    assert big["title"].startswith("üüü")


async def test_trusted_types_and_isolation(site: Servers, browser: Browser) -> None:
    url = site.page(
        "/strict",
        attributes="data-links",
        head=f'<meta http-equiv="Content-Security-Policy" content="{TYPES}">',
        Cross_Origin_Embedder_Policy="require-corp",
        Cross_Origin_Opener_Policy="same-origin",
    )
    async with visit(browser, url):
        await site.until("/strict", "pageview")


async def test_without_a_network(site: Servers, browser: Browser) -> None:
    async with visit(browser, site.page("/offline")) as page:
        await site.until("/offline", "pageview")
        await page.context.set_offline(True)
        await page.evaluate("pharos('kept')")
        await page.wait_for_event("requestfailed")
        await page.context.set_offline(False)
        (kept,) = await site.until("/offline", "kept")
    assert [event["event"] for event in site.events("/offline")].count("kept") == 1
    assert kept["kind"] == "tag"


async def test_two_tabs_of_one_visitor(site: Servers, browser: Browser) -> None:
    visitor = await browser.new_context()
    for path in ("/tab-1", "/tab-2"):
        page = await visitor.new_page()
        await page.goto(site.page(path))
    (one,), (two,) = await site.until("/tab-1", "pageview"), await site.until("/tab-2", "pageview")
    await visitor.close()
    assert one["id"] != two["id"]
    assert one["visitor"] == two["visitor"] != ""


async def test_a_page_of_another_site_sees_failures_too(site: Servers, browser: Browser) -> None:
    failing(site, "503", "503")
    url = site.page("/abroad").replace("shop.localhost", "blog.localhost")
    async with visit(browser, url):
        (event,) = await until(lambda: [e for e in site.events() if e["url"] == url], f"the view of {url}")
    assert (event["kind"], event["event"]) == ("tag", "pageview")


@pytest.mark.parametrize(
    ("value", "early"),
    [
        ("'0'", True),
        ("{analytics: true}", True),
        ("'false'", False),
        ("'denied'", False),
        ("[1]", False),
        ("null", False),
    ],
)
async def test_what_is_not_consent_is_a_refusal(site: Servers, browser: Browser, value: str, early: bool) -> None:
    path = f"/refusal-{early}-{abs(hash(value))}"
    head = f"{STUB}<script>pharos('consent', {value})</script>" if early else ""
    async with visit(browser, site.page(path, head=head)) as page:
        await page.evaluate("pharos('probe')" if early else f"pharos.consent({value}),pharos('probe')")
        (probe,) = await site.until(path, "probe")
    assert (probe["consent"], probe["visitor"]) == ("refused", "")


@pytest.mark.parametrize("value", ["true", "1", "'1'"])
async def test_consent(site: Servers, browser: Browser, value: str) -> None:
    path = f"/consent-{abs(hash(value))}"
    async with visit(browser, site.page(path)) as page:
        await page.evaluate(f"pharos('consent', {value}); pharos.consent({value}); pharos('probe')")
        (probe,) = await site.until(path, "probe")
    assert probe["consent"] == "given"
    assert [event["event"] for event in site.events(path)].count("consent") == 1


async def test_a_slow_network(site: Servers, browser: Browser) -> None:
    async with visit(browser, site.page("/slow")) as page:
        session = await page.context.new_cdp_session(page)
        slow = {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 20_000}
        await session.send("Network.emulateNetworkConditions", slow)
        await page.evaluate("for (let i = 0; i < 60; i++) pharos('many', {props: {i, text: 'x'.repeat(900)}})")
        await until(lambda: len({e["id"] for e in site.events("/slow") if e["event"] == "many"}) == 60, "60 events")
    order = [int(event["props"]["i"]) for event in site.events("/slow") if event["event"] == "many"]
    assert order == sorted(order)


async def test_a_page_with_a_service_worker(site: Servers, browser: Browser) -> None:
    site.pages["/worker.js"] = "onfetch = event => event.respondWith(fetch(event.request))", {}
    register = "navigator.serviceWorker.register('/worker.js').then(() => navigator.serviceWorker.ready)"
    async with visit(browser, site.page("/worker")) as page:
        await page.evaluate(f"{register}.then(() => true)")
        failing(site, "503", "reset")
        await page.reload()
        assert await page.evaluate("!!navigator.serviceWorker.controller")
        await page.evaluate("pharos('signup')")
        (signup,) = await site.until("/worker", "signup")
    assert signup["visitor"]


async def test_the_tag_starts_in_no_long_task_and_without_layout(
    site: Servers, browser: Browser, capsys: pytest.CaptureFixture[str]
) -> None:
    async with visit(browser, site.page("/start")) as page:
        session = await page.context.new_cdp_session(page)
        await session.send("Emulation.setCPUThrottlingRate", {"rate": 4})
        await session.send("Profiler.enable")
        await session.send("Profiler.setSamplingInterval", {"interval": 100})
        await session.send("Profiler.start")
        await page.reload(wait_until="load")
        await until(lambda: page.evaluate("!!(window.pharos && pharos.on)"), "the tag")
        profile = (await session.send("Profiler.stop"))["profile"]
    own = {node["id"] for node in profile["nodes"] if node["callFrame"]["url"].endswith("/t.js")}
    longest = total = run = 0
    for sample, microseconds in zip(profile["samples"], profile["timeDeltas"], strict=True):
        run = run + microseconds if sample in own else 0
        longest, total = max(longest, run), total + (microseconds if sample in own else 0)
    text = tag.load().bodies[""].decode()
    for layout in (".offset", ".client", ".getBounding", ".getComputed", ".scroll", ".inner"):
        assert layout not in text
    with capsys.disabled():
        print(
            f"\nthe tag's start, CPU throttled 4 times: {total / 1000:.1f} ms, at most {longest / 1000:.1f} ms at once"
        )

"""The same few things in Firefox and in WebKit, with these browsers' own ways of leaving, cookies and storage."""

import ssl
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from tests.certificates import Certificates
from tests.tag.engines import ENGINES, Engine
from tests.tag.servers import STUB, Fault, Servers, servers
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Servers]:
    """The servers over TLS on one host: only there, without a public suffix, WebKit takes a cookie."""
    folder = tmp_path_factory.mktemp("servers")
    made = Certificates(folder)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(made.signed, made.key)
    async with servers(folder, tls, ("localhost", "localhost")) as found:
        found.always = 'data-hosts="localhost"'
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=list(ENGINES))
async def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[str, Engine]]:
    async with ENGINES[request.param](tmp_path_factory.mktemp(request.param)) as found:
        yield request.param, found


async def test_one_visit(site: Servers, engine: tuple[str, Engine]) -> None:
    name, window = engine
    site.fault = lambda request: ""
    start, end = f"/{name}/start", f"/{name}/end"
    site.page(end, title="End")
    early = "<script>pharos('early')</script>"
    await window.goto(site.page(start, '<a id=on href="end">on</a>', title="Start", head=STUB + early))
    view, early_event = await site.until(start, "pageview", "early")
    assert view["title"] == early_event["title"] == "Start"
    assert view["webdriver"] == "1"

    await window.evaluate(
        f"(history.pushState({{}}, '', '{start}/two'), pharos('bought'), setTimeout(() => document.title = 'Two', 50))"
    )
    two, bought = await site.until(f"{start}/two", "pageview", "bought")
    assert (two["title"], bought["title"]) == ("Two", "Two")

    await until(lambda: window.evaluate("performance.now() > 1000"), "an engagement")
    await window.evaluate(f"void (pharos('last'), location.href = '{end}')")
    last, engagement = await site.until(f"{start}/two", "last", "engagement")
    assert (last["title"], engagement["title"]) == ("Two", "Two")
    (after,) = await site.until(end, "pageview")
    assert after["visitor"] == view["visitor"] != "", "the cookie comes back"


async def test_an_outage_and_the_next_page(site: Servers, engine: tuple[str, Engine]) -> None:
    name, window = engine
    down = [True]
    site.fault = lambda request: "503" if down[0] else ""
    path = f"/{name}/outage"
    await window.goto(site.page(path, attributes='data-consent="1"'))
    await until(lambda: window.evaluate("!!(window.pharos && pharos.on)"), "the tag")
    await window.evaluate("pharos('kept')")
    down[0] = False
    await window.goto(site.page(f"{path}/next", attributes='data-consent="1"'))
    await site.until(path, "pageview", "kept")
    await site.until(f"{path}/next", "pageview")
    ids = {(event["event"], event["id"]) for event in site.events(path)}
    assert len(ids) == len({event for event, _ in ids})


async def test_a_reset_connection(site: Servers, engine: tuple[str, Engine]) -> None:
    name, window = engine
    left: list[Fault] = ["reset", "reset after"]
    site.fault = lambda request: left.pop(0) if left else ""
    path = f"/{name}/reset"
    await window.goto(site.page(path))
    (view,) = await site.until(path, "pageview")
    assert {event["id"] for event in site.events(path) if event["event"] == "pageview"} == {view["id"]}


async def test_a_click_that_leaves(site: Servers, engine: tuple[str, Engine]) -> None:
    name, window = engine
    site.fault = lambda request: ""
    path = f"/{name}/links"
    outside = site.page("/outside").replace("localhost", "other.localhost")
    await window.goto(site.page(path, f'<a id=out href="{outside}">out</a>', attributes="data-links"))
    await until(lambda: window.evaluate("new Promise(done => pharos(core => done(!!core.extra)))"), "x.js")
    await window.evaluate("document.getElementById('out').click()")
    (outbound,) = await site.until(path, "outbound")
    assert urlsplit(outbound["props"]["href"]).hostname == "other.localhost"

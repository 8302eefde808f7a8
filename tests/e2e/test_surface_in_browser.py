"""What Chromium does on a page with the tag, each time down to the rows that it leaves in `pharos.events`.

The hosts are names under `localhost`: a browser resolves them itself, and takes a Secure cookie there without TLS.

Long, because it is a list: what visitors do.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page

from tests.brokers import Tansu
from tests.browser import chromium, pages
from tests.clickhouse import ClickHouse
from tests.e2e.system import System
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>{head}</head>
<body><h1>{title}</h1>{body}</body></html>"""
TAG = '<script async src="COLLECTOR/t.js" data-site="{site}"{more}></script>'
STUB = "<script>window.pharos=window.pharos||function(){(pharos.q=pharos.q||[]).push(arguments)}</script>"


def page(body: str = "", *, site: str = "free", more: str = "", head: str = "", title: str = "Blue mug") -> str:
    return PAGE.format(title=title, head=head + TAG.format(site=site, more=more), body=body)


CSP = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'self' COLLECTOR; {}\">"

PAGES = {
    "/view": page(),
    "/spa": page('<a href="#part">part</a>'),
    "/early": page(
        "<script>pharos('signup',{value:'9.90',currency:'EUR',id:'order-1',user_id:'u-7',props:{plan:'pro',n:3}})</script>",
        head=STUB,
    ),
    "/asked-early": page("<script>pharos('consent', true)</script>", site="asked", head=STUB),
    "/leave": page('<a id="on" href="/left">on</a>'),
    "/left": PAGE.format(title="Left", head="", body=""),
    "/noscript": PAGE.format(
        title="No script",
        head="",
        body='<noscript><img src="COLLECTOR/p.gif?s=free&e=noscript" alt="" width="1" height="1"></noscript>',
    ),
    "/asked": page(site="asked"),
    "/asked-again": page(site="asked"),
    "/refused": page(site="asked", more=' data-consent="0"'),
    "/csp": page('<script src="/csp.js"></script>', head=CSP.format("connect-src COLLECTOR")),
    "/csp.js": STUB.removeprefix("<script>").removesuffix("</script>") + ";pharos('strict')",
    "/csp-image": page(head=CSP.format("connect-src 'none'; img-src COLLECTOR")),
    "/links": page(
        '<a id="out" href="http://other.localhost:PORT/left">out</a> <a id="file" href="/price-list.pdf">file</a>'
        ' <a id="in" href="/left">in</a>',
        more=" data-links",
    ),
    "/manual": page("<script>pharos('only')</script>", head=STUB, more=" data-manual"),
    "/offline": page(),
    "/listed": page(site="listed"),
    "/landed": page(),
    "/opted": page(),
    "/gpc": page(),
    "/host": page(),
    "/opt-ins": page(
        '<a id="mail" href="mailto:jane@shop.example">mail</a> <button id="sign" data-pharos-event="signup"'
        ' data-pharos-plan="pro" data-pharos-value="9.90" data-pharos-currency="EUR">S</button>'
        '<form id="news" action="/left?token=1"><button id="go">go</button></form><div style="height: 4000px"></div>',
        more=' data-contact data-events data-forms data-scroll data-cmp="tcf" data-hosts="shop.localhost"',
        head="<script>window.__tcfapi=(command,version,act)=>{window.tell=(consents)=>"
        "act({eventStatus:'tcloaded',purpose:{consents}},true)}</script>",
    ),
    "/both-sites": page(site="free asked", more=" data-keep"),
    "/elsewhere": page(more=' data-hosts="blog.localhost"'),
    "/hash": page(more=" data-hash"),
    "/cross": page(
        '<a id="on" href="http://blog.localhost:PORT/crossed">on</a>', more=' data-domains="blog.localhost"'
    ),
    "/crossed": page().replace("COLLECTOR", "OTHER_COLLECTOR"),
}

SITES = """
[sites.free]
consent = "assumed"
hosts = ["blog.localhost"]
[sites.asked]
[sites.listed]
consent = "assumed"
origins = ["http://shop.localhost:PORT"]
"""

LINKS = """
[links.yt]
site = "free"
to = "http://shop.localhost:PORT/landed?color=blue#part"
source = "youtube"
medium = "video"
campaign = "launch"
"""


class Place:
    """The running system, the pages, and a browser."""

    def __init__(self, system: System, browser: Browser, port: int) -> None:
        self.system = system
        self.browser = browser
        self.shop = f"http://shop.localhost:{port}"
        self.blog = f"http://blog.localhost:{port}"
        self.collector = f"http://px.shop.localhost:{system.port}"

    async def rows(self, path: str, count: int, *, engagement: bool = False) -> list[dict[str, Any]]:
        """Return the events of pages with this path, in the order in which they happened, once there are `count`.

        Whether there is any engagement depends on the machine's speed: it is left out unless it is asked for.
        """
        but = "" if engagement else " AND event != 'engagement'"
        sql = f"SELECT * FROM pharos.events WHERE path = '{path}'{but} ORDER BY occurred_at, received_at"

        async def look() -> list[dict[str, Any]]:
            found = self.system.ask(sql) if self.system.count() else []
            return found if len(found) >= count else []

        found: list[dict[str, Any]] = await until(look, f"{count} events of {path}\n{self.system.output()}")
        assert len(found) == count, [(row["event"], row["url"]) for row in found]
        return found


class _System(System):
    def environment(self, stage: str) -> dict[str, str]:
        found = super().environment(stage)
        if stage == "collector":
            found["PHAROS_COLLECTOR_LINKS"] = str(self.folder / "links.toml")
            found["PHAROS_COLLECTOR_LINK_KEY"] = "the key of this test"
        if stage == "sink":
            found |= {"PHAROS_SINK_BATCH_AGE_MS": "100", "PHAROS_SINK_INSERTS_PER_S": "20"}
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(
    _tansu_process: Tansu, own_clickhouse: ClickHouse, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Place]:
    folder: Path = tmp_path_factory.mktemp("browser")
    _tansu_process.start()
    contents = dict(PAGES)
    async with chromium() as browser, pages(contents) as base:
        port = int(base.rpartition(":")[2])
        system = _System(folder, _tansu_process, own_clickhouse, SITES.replace("PORT", str(port)))
        (folder / "links.toml").write_text(LINKS.replace("PORT", str(port)))
        found = Place(system, browser, port)
        for path, html in PAGES.items():
            html = html.replace("OTHER_COLLECTOR", found.collector.replace("shop", "blog"))
            contents[path] = html.replace("COLLECTOR", found.collector).replace("PORT", str(port))
        system.ask("DROP DATABASE IF EXISTS pharos SYNC")
        try:
            await system.start()
            yield found
        finally:
            system.kill()


@asynccontextmanager
async def visit(place: Place, path: str, host: str = "", **context: Any) -> AsyncIterator[tuple[Page, BrowserContext]]:
    """Open a page as a visitor of one's own; the tag must not throw anything into it."""
    visitor = await place.browser.new_context(**context)
    shown = await visitor.new_page()
    thrown: list[object] = []
    shown.on("pageerror", lambda error: thrown.append(error))
    await shown.goto((host or place.shop) + path)
    try:
        yield shown, visitor
        assert thrown == []
    finally:
        await visitor.close()


async def cookies(visitor: BrowserContext) -> dict[str, Any]:
    return {cookie.get("name", ""): cookie for cookie in await visitor.cookies()}


async def test_a_page_view_brings_its_campaign_and_sets_the_cookie_on_the_server(place: Place) -> None:
    query = "utm_source=youtube&utm_medium=video&utm_campaign=launch&gclid=G1"
    async with visit(place, f"/view?{query}#part") as (shown, visitor):
        (row,) = await place.rows("/view", 1)
        assert (row["site"], row["event"], row["kind"], row["title"]) == ("free", "pageview", "tag", "Blue mug")
        assert (row["url"], row["utm_campaign"], row["click_id"]) == (f"{place.shop}/view?{query}", "launch", "G1")
        assert (row["visitor_kind"], row["consent"], row["os"]) == ("cookie", "assumed", "Linux")
        cookie = (await cookies(visitor))["_pid"]
        assert cookie["value"] == row["visitor_id"]
        assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Lax")
        assert cookie["domain"] == "px.shop.localhost"
        assert await shown.evaluate("document.cookie") == ""
        assert UUID(row["client_event_id"]).version == 7, "an id makes a repeat harmless"


async def test_single_page_navigation(place: Place) -> None:
    async with visit(place, "/spa?v=1") as (shown, _):
        await shown.evaluate("history.replaceState({}, '', location.href)")
        await shown.evaluate("location.hash = 'part'")
        await shown.evaluate("document.title = 'Second'; history.pushState({}, '', '/spa?v=2')")
        await shown.wait_for_load_state("load")
        await shown.go_back()
        rows = await place.rows("/spa", 3)
    views = [row for row in rows if row["event"] == "pageview"]
    assert [urlsplit(row["url"]).query for row in views] == ["v=1", "v=2", "v=1"]
    assert [row["referrer"] for row in views] == ["", f"{place.shop}/spa?v=1", f"{place.shop}/spa?v=2"]
    assert views[1]["title"] == "Second"
    assert len({row["visitor_id"] for row in rows}) == 1


async def test_an_event_before_the_tag_is_there_keeps_its_value(place: Place) -> None:
    async with visit(place, "/early"):
        view, signup = sorted(await place.rows("/early", 2), key=lambda row: str(row["event"]))
    assert (view["event"], signup["event"]) == ("pageview", "signup")
    assert (float(signup["value"]), signup["currency"]) == (9.9, "EUR")
    assert (signup["client_event_id"], signup["user_id"]) == ("order-1", "u-7")
    assert signup["props"] == {"plan": "pro", "n": "3"}


async def test_what_happens_just_before_leaving_arrives(place: Place) -> None:
    async with visit(place, "/leave") as (shown, _):
        await shown.wait_for_timeout(150)  # engagement under 0.1 s is not reported
        await shown.evaluate("pharos('bought'); document.getElementById('on').click()")
        await shown.wait_for_url("**/left")
        rows = {row["event"]: row for row in await place.rows("/leave", 3, engagement=True)}
    assert rows.keys() == {"pageview", "bought", "engagement"}
    assert int(rows["engagement"]["props"]["ms"]) >= 100


async def test_without_scripts_the_pixel_counts_and_sets_the_cookie(place: Place) -> None:
    async with visit(place, "/noscript", java_script_enabled=False) as (_, visitor):
        sql = "SELECT * FROM pharos.events WHERE event = 'noscript'"
        (row,) = await until(lambda: place.system.ask(sql), "the noscript pixel")
        assert (row["kind"], row["host"], row["visitor_kind"]) == ("pixel", "shop.localhost", "cookie")
        assert (await cookies(visitor))["_pid"]["value"] == row["visitor_id"]


async def test_consent_is_asked_given_and_withdrawn(place: Place) -> None:
    async with visit(place, "/asked?utm_source=youtube") as (shown, visitor):
        (before,) = await place.rows("/asked", 1)
        assert (before["visitor_id"], before["consent"]) == ("", "unknown")
        assert await cookies(visitor) == {}
        await shown.evaluate("pharos.consent(true); pharos('consent', true)")
        _, given = await place.rows("/asked", 2)
        assert (given["event"], given["consent"], given["visitor_kind"]) == ("consent", "given", "cookie")
        assert given["utm_source"] == "youtube", "the campaign is not lost to the question"
        held = await cookies(visitor)
        assert (held["_pid"]["value"], held["_pcs"]["value"]) == (given["visitor_id"], "1")
        await shown.goto(f"{place.shop}/asked-again")
        again = (await place.rows("/asked-again", 1))[0]
        assert (again["visitor_id"], again["consent"]) == (given["visitor_id"], "given")
        await shown.evaluate("pharos.consent(false)")
        withdrawn = (await place.rows("/asked-again", 2))[1]
        assert (withdrawn["visitor_id"], withdrawn["consent"]) == ("", "refused")
        assert {name: cookie["value"] for name, cookie in (await cookies(visitor)).items()} == {"_pcs": "0"}


async def test_consent_given_before_the_tag_is_there_covers_the_page_view(place: Place) -> None:
    async with visit(place, "/asked-early"):
        (row,) = await place.rows("/asked-early", 1)
    assert (row["event"], row["consent"], row["visitor_kind"]) == ("pageview", "given", "cookie")


async def test_consent_refused_by_the_page(place: Place) -> None:
    async with visit(place, "/refused") as (_, visitor):
        (row,) = await place.rows("/refused", 1)
        assert (row["consent"], row["visitor_id"], row["visitor_kind"]) == ("refused", "", "none")
        assert set(await cookies(visitor)) == {"_pcs"}


async def test_sec_gpc_is_obeyed_on_the_server(place: Place) -> None:
    async with visit(place, "/gpc", extra_http_headers={"Sec-GPC": "1"}) as (_, visitor):
        (row,) = await place.rows("/gpc", 1)
        assert (row["consent"], row["visitor_id"]) == ("refused", "")
        assert await cookies(visitor) == {}


async def test_a_strict_content_security_policy(place: Place) -> None:
    async with visit(place, "/csp"):
        rows = await place.rows("/csp", 2)
    assert {(row["event"], row["kind"]) for row in rows} == {("pageview", "tag"), ("strict", "tag")}


async def test_where_the_page_may_not_connect_an_image_brings_the_event(place: Place) -> None:
    async with visit(place, "/csp-image"):
        (row,) = await place.rows("/csp-image", 1)
    assert (row["event"], row["kind"], row["title"]) == ("pageview", "pixel", "Blue mug")


async def test_outbound_and_download_clicks(place: Place) -> None:
    async with visit(place, "/links") as (shown, _):
        await shown.click("#file")
        await shown.goto(f"{place.shop}/links")
        await shown.click("#out")
        await shown.wait_for_url("**/left")
        rows = [row for row in await place.rows("/links", 4) if row["event"] != "pageview"]
    assert {(row["event"], urlsplit(row["props"]["href"]).path) for row in rows} == {
        ("download", "/price-list.pdf"),
        ("outbound", "/left"),
    }


async def test_a_page_may_count_by_hand(place: Place) -> None:
    async with visit(place, "/manual"):
        (row,) = await place.rows("/manual", 1)
    assert row["event"] == "only"


async def test_an_event_without_a_network_is_sent_once_online_again(place: Place) -> None:
    async with visit(place, "/offline") as (shown, visitor):
        await place.rows("/offline", 1)
        await visitor.set_offline(True)
        await shown.evaluate("pharos('kept')")
        await shown.wait_for_timeout(200)
        await visitor.set_offline(False)
        rows = await place.rows("/offline", 2)
    assert [row["event"] for row in rows] == ["pageview", "kept"]


async def test_two_sites_on_two_hosts(place: Place) -> None:
    ask = """async ([url, credentials]) => {
        try {
            const answer = await fetch(url, {method: 'POST', credentials, headers: {'Content-Type': 'application/json'},
                body: JSON.stringify({site: 'listed', event: 'fetched', url: location.href})});
            return [answer.status, (await answer.json()).accepted, answer.headers.get('X-Pharos')];
        } catch (error) { return [error.name] }
    }"""
    async with visit(place, "/listed") as (shown, _):
        assert await shown.evaluate(ask, [f"{place.collector}/e", "include"]) == [202, 1, "accepted"]
        rows = await place.rows("/listed", 2)
        assert {row["event"] for row in rows} == {"pageview", "fetched"}
        assert len({row["visitor_id"] for row in rows}) == 1, "the cookie travels with credentials"
    async with visit(place, "/host", place.blog) as (shown, visitor):
        assert await shown.evaluate(ask, [f"{place.collector}/e", "include"]) == ["TypeError"]
        assert await shown.evaluate(ask, [f"{place.collector}/e", "omit"]) == [202, 1, "accepted"]
        rows = await place.rows("/host", 2)
        assert {(row["event"], row["site"]) for row in rows} == {("pageview", "free"), ("fetched", "listed")}
        assert await cookies(visitor) == {}, "SameSite: on another site's page the cookie is not even stored"


async def test_a_link_ties_the_click_to_the_page_view(place: Place) -> None:
    async with visit(place, "/c/yt?fbclid=F1", place.collector) as (shown, _):
        to = urlsplit(shown.url)
        assert (to.netloc, to.path, to.fragment) == (urlsplit(place.shop).netloc, "/landed", "part")
        click, view = sorted(await place.rows("/landed", 2), key=lambda row: str(row["event"]))
    assert (click["kind"], click["link_code"], view["event"]) == ("click", "yt", "pageview")
    assert click["visitor_id"] == view["visitor_id"] != ""
    assert parse_qs(urlsplit(view["url"]).query)["_pcl"] == parse_qs(to.query)["_pcl"]
    assert (view["utm_campaign"], view["source"]) == ("launch", "youtube")


async def test_an_opt_out_holds_until_it_is_undone(place: Place) -> None:
    async with visit(place, "/opt-out", place.collector) as (shown, visitor):
        assert set(await cookies(visitor)) == {"_pno"}
        async with shown.expect_response(re.compile("/e$")) as waiting:
            await shown.goto(f"{place.shop}/opted?refused=1")
        assert (await waiting.value).status == 403
        await shown.goto(f"{place.collector}/opt-out")
        await shown.click("text=Take part again")
        assert await cookies(visitor) == {}
        await shown.goto(f"{place.shop}/opted?counted=1")
        (row,) = await place.rows("/opted", 1)
        assert urlsplit(row["url"]).query == "counted=1"


async def test_opt_ins_down_to_their_rows(place: Place) -> None:
    async with visit(place, "/elsewhere") as (shown, _):
        await shown.evaluate("pharos('unseen')")
        await shown.goto(place.shop + "/opt-ins")
        await shown.wait_for_function("new Promise(done => pharos(core => done(!!core.extra)))")
        await shown.evaluate(
            "for (const kind of ['click', 'submit'])"
            "document.addEventListener(kind, e => e.target.id == 'go' || e.preventDefault())"
        )
        await shown.evaluate("tell({1: true, 7: true, 8: true})")
        for target in ("mail", "sign", "go"):
            await shown.click(f"#{target}")
        await shown.evaluate("scrollTo(0, 1e5)")
        rows = {row["event"]: row for row in await place.rows("/opt-ins", 9)}
        await shown.goto(place.shop + "/both-sites")
        both = await place.rows("/both-sites", 2)
        await shown.goto(place.shop + "/hash#/cart")
        (cart,) = await place.rows("/hash", 1)
    assert rows.keys() == {"pageview", "consent", "contact", "signup", "form", "scroll"}
    assert (rows["pageview"]["consent"], rows["consent"]["consent"]) == ("assumed", "given")
    assert rows["contact"]["props"] == {"kind": "mailto"}
    assert (float(rows["signup"]["value"]), rows["signup"]["currency"]) == (9.9, "EUR")
    assert rows["signup"]["props"] == {"plan": "pro"}
    assert rows["form"]["props"] == {"form": "news", "action": place.shop + "/left"}
    assert {row["site"] for row in both} == {"free", "asked"}
    assert len({row["event_id"] for row in both}) == 2
    assert cart["url"] == place.shop + "/hash#/cart"
    assert place.system.ask("SELECT * FROM pharos.events WHERE path = '/elsewhere'") == []


async def test_a_visitor_keeps_the_id_on_another_domain_of_the_site(place: Place) -> None:
    async with visit(place, "/cross") as (shown, _):
        (first,) = await place.rows("/cross", 1)
        await shown.wait_for_function("new Promise(done => pharos(core => done(!!core.extra)))")
        async with shown.expect_response("**/linker?*") as asked:
            await shown.hover("#on")
        await (await asked.value).finished()
        await shown.click("#on")
        (second,) = await place.rows("/crossed", 1)
    assert (second["visitor_id"], second["visitor_kind"]) == (first["visitor_id"], "cookie")
    assert second["visitor_id"] != ""
    assert second["url"] == place.blog + "/crossed"

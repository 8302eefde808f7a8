"""The report in use: keyboard, phone, dark, a cut network, a wrong password, an empty site, a saved file."""

import json
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Browser, expect

from deploy.report.__main__ import main as save
from deploy.report.saved import zone
from tests.clickhouse import ClickHouse
from tests.report.built import FOLDER
from tests.report.reading import Reader, reading
from tests.report.servers import HALF, served
from tests.tag.built import install

pytestmark = pytest.mark.asyncio(loop_scope="module")

PHONE = {"viewport": {"width": 390, "height": 844}}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1240])
async def test_no_violation_that_axe_finds(url: str, browser: Browser, scheme: str, width: int) -> None:
    install(FOLDER)
    form = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme, "bypass_csp": True}
    async with reading(browser, url, f"{HALF}&models=1&channel=Email&goal=1", **form) as reader:
        await reader.page.locator("#block-days summary").click()
        await reader.page.add_script_tag(path=str(FOLDER / "node_modules/axe-core/axe.min.js"))
        found = await reader.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        text = json.dumps(
            [(one["id"], [node["html"][:200] for node in one["nodes"][:3]]) for one in found["violations"]]
        )
        assert found["violations"] == [], text
        assert len(found["passes"]) > 10


async def test_by_keyboard_alone(url: str, browser: Browser) -> None:
    async with reading(browser, url, HALF) as reader:
        page = reader.page
        await page.keyboard.press("Tab")
        await expect(page.get_by_text("Skip to the report")).to_be_focused()
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "main"
        await page.get_by_label("Credit by").focus()
        await page.keyboard.press("ArrowDown")
        await expect(page.locator("#block-channels .about")).to_contain_text('"Last touch"')
        await expect(page.get_by_label("Credit by")).to_be_focused()

        opener = page.locator("#block-channels button.open").first
        await opener.focus()
        lines = await page.locator("#block-channels tbody tr").count()
        await page.keyboard.press("Enter")
        await expect(page.locator("#block-channels button.open").first).to_be_focused()
        assert await page.locator("#block-channels tbody tr").count() > lines

        button = page.locator("#block-channels .tools button", has_text="SQL")
        await button.focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("dialog")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(button).to_be_focused()

        conversion = page.get_by_label("Conversion")
        await conversion.focus()
        await conversion.press("End")
        await expect(page.get_by_role("form")).to_be_visible()  # the page draws it in its own time
        await expect(conversion).to_be_focused()
        for part, text in (("Event", ""), ("Page", "/mugs*")):
            await page.keyboard.press("Tab")
            await expect(page.get_by_role("form").get_by_label(part).last).to_be_focused()
            await page.keyboard.type(text)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("form")).to_have_count(0)
        await expect(conversion).to_have_value("purchase /mugs*")

        await page.locator("#block-pages thead button").first.focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#block-pages th[aria-sort=ascending]")).to_contain_text("Page")


async def test_a_click_filters_and_the_address_keeps_it(url: str, browser: Browser) -> None:
    async with reading(browser, url, HALF) as reader:
        page = reader.page
        await page.locator("#block-channels").get_by_role("button", name="Email", exact=True).click()
        await expect(page.locator("#block-headline .tile b").first).to_have_text("60")
        assert "channel=Email" in page.url
        await page.reload()
        await reader.settle()
        await expect(page.locator("#block-headline .tile b").first).to_have_text("60")
        await page.get_by_role("button", name="Remove the filter channel Email").click()
        await expect(page.locator("#block-headline .tile b").first).to_have_text("1,454")
        await page.go_back()
        await expect(page.locator("#block-headline .tile b").first).to_have_text("60")


async def test_on_a_phone_nothing_is_wider_than_the_screen(url: str, browser: Browser) -> None:
    async with reading(browser, url, f"{HALF}&models=1&goal=1&device=smartphone", **PHONE) as reader:
        assert await reader.page.evaluate("document.documentElement.scrollWidth") == 390
        for section in await reader.page.locator("section").all():
            box = await section.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 390


async def test_dark_is_dark(url: str, browser: Browser) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        async with reading(browser, url, HALF, color_scheme=scheme) as reader:
            colour = await reader.page.evaluate("getComputedStyle(document.body).backgroundColor")
            grounds.append(sum(int(part) for part in colour.removeprefix("rgb(").rstrip(")").split(",")))
    assert grounds[0] > 600 > 150 > grounds[1]


async def test_nothing_but_its_own_server_is_asked(url: str, browser: Browser) -> None:
    async with reading(browser, url, HALF) as reader:
        assert reader.hosts == {url.split("/")[2]}
        assert reader.problems == []


async def test_the_network_is_cut_and_comes_back(url: str, browser: Browser) -> None:
    async with reading(browser, url, HALF) as reader:
        page = reader.page
        await page.context.set_offline(True)
        await page.get_by_label("Credit by").select_option("first")
        await reader.settle()
        await expect(page.locator("#block-channels .why")).to_contain_text("cannot be reached")
        await expect(page.locator("#block-funnel .why")).to_have_count(0)
        await page.context.set_offline(False)
        await page.get_by_label("Credit by").select_option("last")
        await reader.settle()
        await expect(page.locator(".why")).to_have_count(0)
        await page.get_by_label("Credit by").select_option("first")
        await reader.settle()
        await expect(page.locator(".why")).to_have_count(0)


async def test_the_network_is_away_from_the_start(url: str, browser: Browser) -> None:
    page = await browser.new_page()
    await page.route("**/query", lambda route: route.abort())
    await page.goto(url)
    await expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    await page.unroute("**/query")
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator("#block-headline h2")).to_be_visible()
    await page.close()


async def test_a_wrong_password_and_then_no_site_yet(browser: Browser, tmp_path: Path) -> None:
    server = ClickHouse(tmp_path, schema=True)
    server.password, server.analyst_password = "owner", "läse-nur"
    server.start()
    try:
        async with served(server.url) as url:
            page = await browser.new_page()
            await page.goto(url)
            await page.get_by_label("Password").fill("wrong")
            await page.get_by_role("button", name="Sign in").click()
            await expect(page.get_by_role("alert")).to_contain_text("password is wrong")
            await page.get_by_label("Password").fill("läse-nur")
            await page.get_by_role("button", name="Sign in").click()
            await expect(page.locator("#main")).to_contain_text("No site has sent an event yet")
            await page.reload()
            await expect(page.locator("#main")).to_contain_text("No site has sent an event yet")
            await page.get_by_role("button", name="Sign out").click()
            await page.reload()
            await expect(page.get_by_label("Password")).to_be_visible()
            await page.close()
    finally:
        server.kill()


async def test_an_empty_period_says_why(url: str, browser: Browser) -> None:
    async with reading(browser, url, "from=2026-08-01&to=2026-08-31&tz=UTC") as reader:
        await expect(reader.page.locator("#block-headline .empty")).to_contain_text(
            'No event "purchase" in the 31 days to Mon 31 Aug. The last one arrived on Sat 31 Oct 2026.'
        )
        await expect(reader.page.locator(".why")).to_have_count(0)
        assert await reader.page.locator("section .empty").count() >= 10


async def test_days_are_those_of_the_sites_own_zone(url: str, browser: Browser, warehouse: ClickHouse) -> None:
    async with reading(browser, url, "from=2026-10-18&to=2026-10-31", timezone_id="America/New_York") as reader:
        await expect(reader.page.get_by_label("Zone")).to_have_value("Asia/Tokyo")
        assert "'Asia/Tokyo'" in await reader.sql("days")
    client = warehouse.client()
    assert [zone(client, site) for site in ("demo", "another")] == ["Asia/Tokyo", "UTC"]
    client.close()


async def test_dead_letters_are_in_health_and_a_server_without_them_says_so(url: str, browser: Browser) -> None:
    async with reading(browser, url, "site=studio&from=2026-10-20&to=2026-10-21&tz=UTC") as reader:
        page = reader.page
        dead = page.locator("#block-health [data-part=dead]")
        await expect(dead).to_contain_text("undecodable enricher")
        await expect(dead.locator(".number")).to_have_text("3")
        await page.goto(page.url.replace("from=2026-10-20&to=2026-10-21", "from=2026-09-30&to=2026-10-21"))
        await reader.settle()
        await expect(dead).to_contain_text("None that Kafka still keeps")
        await page.route("**/dead?*", lambda route: route.abort())
        await page.goto(page.url.replace("from=2026-09-30", "from=2026-10-19"))
        await reader.settle()
        await expect(dead).to_contain_text("Not known: the server cannot be reached")
        await expect(page.locator(".why")).to_have_count(0)


async def test_an_event_that_was_never_sent_is_named(url: str, browser: Browser) -> None:
    async with reading(browser, url, f"{HALF}&conversion=purchas") as reader:
        await expect(reader.page.locator("#block-journeys .empty")).to_contain_text('never sent an event "purchas"')
        await expect(reader.page.locator("#block-journeys .empty")).to_contain_text("add_to_cart, click, open")


async def test_a_saved_report_is_the_same_page_without_a_server(
    url: str, browser: Browser, warehouse: ClickHouse, tmp_path: Path
) -> None:
    out = tmp_path / "out.html"
    argv = ["--site", "demo", "--days", "14", "--tz", "UTC", "--html", str(out), "--clickhouse", warehouse.url]
    assert save(argv, {}, datetime(2026, 10, 31, 12, tzinfo=UTC)) == 0
    context = await browser.new_context(offline=True)
    reader = Reader(await context.new_page())
    await reader.page.goto(out.as_uri())
    await reader.settle()
    async with reading(browser, url, HALF) as live:
        for block in ("headline", "channels", "posts", "codes", "letters", "pages", "funnel", "journeys", "cohorts"):
            saved = await reader.page.locator(f"#block-{block} .body").text_content()
            assert saved == await live.page.locator(f"#block-{block} .body").text_content(), block
        saved = await reader.page.locator("#block-health .body").text_content() or ""
        online = await live.page.locator("#block-health .body").text_content() or ""
        before, dead, where = saved.partition("Dead letters, all sites")
        assert (before, dead) == online.partition("Dead letters, all sites")[:2]
        assert "topic hits.dead" in where
    assert reader.hosts == set()
    assert reader.problems == []
    await expect(reader.page.locator(".why")).to_have_count(0)
    await context.close()


@pytest.mark.parametrize(
    ("argv", "code", "text"),
    [
        (["--site", "nothing"], 2, "site 'nothing' never sent an event; these did: demo, studio"),
        (["--site", "demo", "--clickhouse", "http://127.0.0.1:1"], 1, "report: "),
        (["--site", "demo", "--user", "nobody"], 1, "report: "),
    ],
)
async def test_a_report_that_cannot_be_saved_says_why(
    warehouse: ClickHouse, tmp_path: Path, capsys: pytest.CaptureFixture[str], argv: list[str], code: int, text: str
) -> None:
    out = tmp_path / "out.html"
    argv = ["--clickhouse", warehouse.url, "--html", str(out), *argv]
    assert save(argv, {}, datetime(2026, 10, 31, 12, tzinfo=UTC)) == code
    assert text in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 401),
        ({"Host": "rebound.example"}, 401),
        ({"Authorization": "Basic YW5hbHlzdDp3cm9uZw==", "Sec-Fetch-Site": "same-origin"}, 403),
    ],
    ids=["the page", "another site's page", "another name for this machine", "a wrong password"],
)
async def test_who_may_ask(url: str, headers: dict[str, str], status: int) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}query", data="SELECT 1", headers=headers) as answer,
    ):
        assert answer.status == status
        assert "WWW-Authenticate" not in answer.headers

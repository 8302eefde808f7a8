"""Every number of the report is what the SQL shown next to it gives, and is asked once."""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from clickhouse_connect.driver.client import Client
from playwright.async_api import Browser, expect

from deploy.report.questions import OPENING
from tests.clickhouse import ClickHouse
from tests.report.cost import measured
from tests.report.reading import Reader, reading
from tests.report.servers import HALF

pytestmark = pytest.mark.asyncio(loop_scope="module")

BLOCKS = (
    "headline", "days", "channels", "models", "posts", "codes", "changes", "returns", "letters", "pages", "funnel",
    "journeys", "visitors", "cohorts", "health",
)  # fmt: skip


def same(shown: Sequence[dict[str, str]], found: Sequence[dict[str, object]]) -> None:
    """Compare rows in any order, by their texts; numbers may differ by a rounded cent."""
    assert len(shown) == len(found)
    numbers = {name for name, value in found[0].items() if isinstance(value, (int, float))}
    assert list(shown[0]) == list(found[0])

    def key(row: dict[str, object]) -> list[str]:
        return [str(value) for name, value in row.items() if name not in numbers]

    def ordered(rows: Sequence[dict[str, object]]) -> list[dict[str, object]]:
        return sorted(rows, key=lambda row: (key(row), [number(row[name]) for name in sorted(numbers)]))

    for own, other in zip(ordered([dict(row) for row in shown]), ordered(found), strict=True):
        assert key(own) == key(other)
        for name in numbers:
            assert number(own[name]) == pytest.approx(number(other[name]), abs=0.011), (name, own, other)


def number(value: object) -> float:
    """Return a cell as a number; NULL, an empty text, is below every other."""
    return float("-inf") if value == "" else float(str(value))


def asked(client: Client, sql: str) -> list[dict[str, object]]:
    result = client.query(sql)
    return [
        {name: _plain(value) for name, value in zip(result.column_names, row, strict=True)}
        for row in result.result_rows
    ]


def _plain(value: object) -> object:
    if value is None:
        return ""
    return value if isinstance(value, (int, str)) else float(value) if hasattr(value, "__float__") else str(value)


@pytest.mark.parametrize(
    ("values", "blocks"),
    [
        (f"{HALF}&models=1", BLOCKS),
        (
            f"{HALF}&device=smartphone&entry_page=%2Fmugs",
            ("headline", "channels", "posts", "codes", "pages", "visitors", "returns"),
        ),
        (f"{HALF}&model=position&channel=Organic+Video&currency=USD&models=1", ("headline", "channels", "journeys")),
        (f"{HALF}&without=campaign", ("headline", "channels", "changes", "pages", "visitors")),
    ],
    ids=["as opened", "filtered by device and page", "filtered by channel", "without a campaign"],
)
async def test_each_block_shows_what_its_sql_gives(
    url: str, browser: Browser, warehouse: ClickHouse, values: str, blocks: Sequence[str]
) -> None:
    client = warehouse.client("analyst")
    async with reading(browser, url, values, accept_downloads=True) as reader:
        sections = reader.page.locator("section[id^=block-]")
        ids = [await section.get_attribute("id") for section in await sections.all()]
        assert {str(name).removeprefix("block-") for name in ids} == set(BLOCKS)
        for block in blocks:
            sql = await reader.sql(block)
            same(await reader.rows(block), asked(client, sql))
        assert reader.problems == []
    client.close()


STUDIO_DAYS = "site=studio&from=2026-10-20&to=2026-10-21&tz=UTC&compare=0"


async def test_each_part_of_a_campaign_and_each_code(url: str, browser: Browser, warehouse: ClickHouse) -> None:
    """The fourth level, and the codes: a click of a visitor without an id is no visit."""
    client = warehouse.client("analyst")
    async with reading(browser, url, STUDIO_DAYS, accept_downloads=True) as reader:
        code = {"link_code": "poster", "clicks": "4", "visits": "3", "sales": "1", "revenue": "10"}
        assert await reader.rows("codes") == [code]
        same([code], asked(client, await reader.sql("codes")))

        opener = reader.page.locator("#block-channels")
        for part in ("Paid Social", "instagram", "autumn", "Offline", "poster", "station"):
            await opener.get_by_role("button", name=f"Parts of {part}", exact=True).click()
        rows = opener.locator("tbody tr:has(th.d3)")
        await expect(rows).to_have_count(3)
        cells = [await row.locator("th, td").all_inner_texts() for row in await rows.all()]
        assert sorted(cells) == [
            ["(not set)", "3", "1", "33 %", "€10"],
            ["reel", "10", "6", "60 %", "€60"],
            ["story", "6", "0", "0 %", "€0"],
        ]
        shown = [row for row in await reader.rows("channels") if row["campaign"] == "autumn"]
        assert [(row["content"], row["visits"], row["sales"]) for row in shown] == [
            ("reel", "10", "6"),
            ("story", "6", "0"),
        ]
        same(await reader.rows("channels"), asked(client, await reader.sql("channels")))
        await opener.get_by_role("button", name="reel", exact=True).click()
        await reader.settle()
        tiles = reader.page.locator("#block-headline .tile b")
        await expect(tiles.first).to_have_text("10")
        assert "content=reel" in reader.page.url
        for name in ("channel Paid Social", "source instagram", "campaign autumn", "content reel"):
            await expect(reader.page.get_by_role("button", name=f"Remove the filter {name}")).to_be_visible()
        await expect(reader.page.locator("#block-codes .empty")).to_contain_text("No named link")
    client.close()


async def test_what_has_no_content_can_be_chosen(url: str, browser: Browser, warehouse: ClickHouse) -> None:
    client = warehouse.client("analyst")
    async with reading(browser, url, STUDIO_DAYS, accept_downloads=True) as reader:
        opener = reader.page.locator("#block-channels")
        for part in ("Offline", "poster", "station"):
            await opener.get_by_role("button", name=f"Parts of {part}", exact=True).click()
        await opener.get_by_role("button", name="(not set)", exact=True).click()
        await reader.settle()
        chip = reader.page.get_by_role("button", name="Remove the filter content (not set)")
        await expect(chip).to_be_visible()
        tiles = reader.page.locator("#block-headline .tile b")
        await expect(tiles.first).to_have_text("3")
        await reader.page.reload()
        await reader.settle()
        await expect(tiles.first).to_have_text("3")
        for block in ("headline", "channels", "codes", "visitors"):
            same(await reader.rows(block), asked(client, await reader.sql(block)))
        for name in ("channel Offline", "source poster", "campaign station"):
            await reader.page.get_by_role("button", name=f"Remove the filter {name}").click()
        await chip.click()
        await expect(tiles.first).to_have_text("19")
        assert "without" not in reader.page.url
    client.close()


@pytest.mark.parametrize(
    ("block", "name", "chip", "visits"),
    [
        ("codes", "poster", "link poster", "3"),
        ("pages", "/", "landing page /", "16"),
        ("visitors", "smartphone", "device smartphone", "10"),
    ],
    ids=["a code", "a page", "a device"],
)
async def test_a_name_in_a_table_filters(
    url: str, browser: Browser, block: str, name: str, chip: str, visits: str
) -> None:
    async with reading(browser, url, STUDIO_DAYS) as reader:
        place = reader.page.locator(f"#block-{block}")
        await place.get_by_role("button", name=name, exact=True).click()
        await reader.settle()
        tiles = reader.page.locator("#block-headline .tile b")
        await expect(tiles.first).to_have_text(visits)
        await expect(place.get_by_role("button", name=name, exact=True)).to_have_count(0)
        await expect(reader.page.locator("#block-funnel .about")).to_contain_text("the filters do not apply here")
        await reader.page.get_by_role("button", name=f"Remove the filter {chip}").click()
        await expect(tiles.first).to_have_text("19")
        await expect(reader.page.locator("#block-funnel .about")).not_to_contain_text("filters")


@pytest.mark.parametrize(
    ("event", "page", "properties", "conversion", "sales"),
    [
        ("pageview", "/th*", "", "pageview /th*", "7"),
        ("purchase", "", "plan=pro", "purchase[plan=pro]", "3"),
        ("purchase", "/thanks", "plan=basic, plan=basic", "purchase /thanks[plan=basic, plan=basic]", "4"),
    ],
    ids=["a page", "a property", "both"],
)
async def test_a_conversion_is_an_event_a_page_or_a_property(
    url: str,
    browser: Browser,
    warehouse: ClickHouse,
    event: str,
    page: str,
    properties: str,
    conversion: str,
    sales: str,
) -> None:
    client = warehouse.client("analyst")
    async with reading(browser, url, STUDIO_DAYS, accept_downloads=True) as reader:
        await reader.page.get_by_label("Conversion").select_option("A page, a property ...")
        form = reader.page.get_by_role("form", name="A page or a property")
        await form.get_by_label("Event").select_option(event)
        await form.get_by_role("textbox", name="Page").fill("no path")
        await form.get_by_role("button", name="Use").click()
        await expect(form.locator("input:invalid")).to_have_count(1)
        await form.get_by_role("textbox", name="Page").fill(page)
        await form.get_by_role("textbox", name="Property").fill(properties)
        await form.get_by_role("textbox", name="Property").press("Enter")
        await reader.settle()
        await expect(reader.page.locator("#block-headline .tile b").nth(2)).to_have_text(sales)
        assert parse_qs(urlsplit(reader.page.url).fragment.partition("?")[2])["conversion"] == [conversion]
        await reader.page.reload()
        await reader.settle()
        await expect(reader.page.locator("#block-headline .tile b").nth(2)).to_have_text(sales)
        await expect(reader.page.locator("#block-funnel li b").last).to_have_text(conversion)
        for block in ("channels", "codes", "journeys", "visitors", "funnel"):
            same(await reader.rows(block), asked(client, await reader.sql(block)))
    client.close()


async def test_the_month_of_the_documentation(url: str, browser: Browser) -> None:
    """The same figures as docs/sql.md, which another test keeps true."""
    async with reading(browser, url, "from=2026-10-02&to=2026-10-31&tz=UTC&model=last") as reader:
        tiles = reader.page.locator("#block-headline .tile b")
        assert await tiles.all_text_contents() == ["2,756", "1,594", "220", "€6,086", "$1,310", "8.0 %"]
        by_channel: dict[str, float] = {}
        for row in await reader.rows("channels"):
            by_channel[row["channel"]] = by_channel.get(row["channel"], 0) + float(row["revenue"])
        assert by_channel["Direct"] == pytest.approx(2258.2)
        assert by_channel["Organic Search"] == pytest.approx(1243.8)
        assert by_channel["Unattributed"] == pytest.approx(149.4)
        assert sum(by_channel.values()) == pytest.approx(6085.6)
        funnel = await reader.rows("funnel")
        assert sum(int(row["visitors"]) for row in funnel if row["goal"] == "pageview") == 1498
        spent = {row["campaign"]: (row["cost"], round(float(row["roas"]), 2)) for row in await reader.rows("returns")}
        assert spent == {"mugs": ("375", round(736.6 / 375, 2)), "gifts": ("127.5", 0)}


async def test_no_question_is_asked_twice(url: str, browser: Browser) -> None:
    async with reading(browser, url, HALF) as reader:
        opened = list(reader.asked)
        assert len(opened) == len(set(opened)) == 10, [sql[:60] for sql in opened]
        # Each view that is dear to read is read once; `sites` is the list of names.
        read = [view for sql in opened for view in set(re.findall(r"pharos\.(\w+)", sql))]
        assert len(read) == len(set(read)), read

        await reader.page.get_by_label("Currency").select_option("USD")
        await expect(reader.page.locator("#block-channels thead")).to_contain_text("USD")
        await reader.settle()
        assert reader.asked == opened, "another currency is in the same answers"

        await reader.page.get_by_label("Credit by").select_option("linear")
        await expect(reader.page.locator("#block-channels .about")).to_contain_text("Linear")
        await reader.settle()
        assert len(reader.asked) == len(opened) + 1, "another model asks for its credits only"
        await reader.page.get_by_label("Credit by").select_option("last_non_direct")
        await reader.settle()
        assert len(reader.asked) == len(opened) + 1, "what was answered is not asked again"


async def test_pictures_are_pictures(url: str, browser: Browser) -> None:
    async with reading(browser, url, HALF, accept_downloads=True) as reader:
        for block in ("days", "channels"):
            image = await reader.file(block, "PNG")
            assert size(image) >= (1000, 400)


def size(path: Path) -> tuple[int, int]:
    head = path.read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    return int.from_bytes(head[16:20]), int.from_bytes(head[20:24])


async def test_a_currency_is_never_added_to_another(url: str, browser: Browser) -> None:
    sums: list[float] = []
    for currency in ("EUR", "USD"):
        async with reading(browser, url, f"{HALF}&currency={currency}") as reader:
            sums.append(await total(reader))
    assert sums == [pytest.approx(3641.5), pytest.approx(733.1)]


async def total(reader: Reader) -> float:
    return sum(float(row["revenue"]) for row in await reader.rows("channels"))


async def test_the_cost_of_opening_can_be_measured(tmp_path: Path) -> None:
    """The measurement in small: every question that the page asks runs on the benchmark's table."""
    costs = await asyncio.to_thread(measured, tmp_path, 20_000, OPENING)
    assert set(costs) == set(OPENING)
    assert all(cost.whole.cpu_s > 0 and cost.analysis.cpu_s > 0 for cost in costs.values())
    assert costs["visits"].whole.read_mb > 0

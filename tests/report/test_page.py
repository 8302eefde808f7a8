"""The report in a browser, on the demo's month."""

import aiohttp
import pytest
from playwright.async_api import Browser

from tests.report.servers import PERIOD

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_page_opens_on_the_demo(url: str, browser: Browser) -> None:
    page = await browser.new_page()
    await page.goto(f"{url}#/report?site=demo&{PERIOD}")
    tiles = page.locator("#block-headline .tile b")
    await tiles.first.wait_for()
    assert await tiles.all_text_contents() == ["2,756", "1,594", "220", "€6,086", "$1,310", "8.0 %"]
    await page.close()


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

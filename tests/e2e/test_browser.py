"""A real browser loads a page with the pixel and the tag, and what it did is found by SQL."""

import pytest
from playwright.async_api import Browser

from tests.browser import pages
from tests.e2e.system import System
from tests.waiting import until

_PAGE = """<!doctype html><html lang="en"><head><title>Blue mug</title>
<script async src="COLLECTOR/t.js" data-site="demo"></script></head>
<body><h1>Blue mug</h1>
<img src="COLLECTOR/p.gif?s=demo&e=seen&t=Blue%20mug" alt=""
  width="1" height="1" referrerpolicy="no-referrer-when-downgrade">
</body></html>"""


@pytest.mark.parametrize("broker", ["tansu"], indirect=True)
async def test_a_visitor_comes_back(system: System, browser: Browser) -> None:
    collector = f"http://localhost:{system.port}"
    async with pages({"/mug": _PAGE.replace("COLLECTOR", collector)}) as base:
        base = base.replace("127.0.0.1", "localhost")  # where a browser takes a Secure cookie without TLS
        visitor, other = await browser.new_context(), await browser.new_context()
        for context in (visitor, visitor, other):
            page = await context.new_page()
            await page.goto(f"{base}/mug?utm_source=newsletter&utm_medium=email", wait_until="networkidle")
            await page.close()

    await until(lambda: _count(system, "seen") == _count(system, "pageview") == 3, f"six events\n{system.output()}")
    seen = system.ask("SELECT * FROM pharos.events WHERE event = 'seen' ORDER BY received_at")
    viewed = system.ask("SELECT * FROM pharos.events WHERE event = 'pageview' ORDER BY received_at")
    for row in (*seen, *viewed):
        assert (row["site"], row["host"], row["path"]) == ("demo", "localhost", "/mug")
        assert (row["os"], row["device"], row["visitor_kind"]) == ("Linux", "desktop", "cookie")
        # It says of itself what it is.
        assert (row["browser"], row["is_bot"]) == ("Headless Chrome", True)
        assert row["title"] == "Blue mug"
    assert {row["channel"] for row in viewed} == {"Email"}
    assert {row["kind"] for row in seen} == {"pixel"}
    assert {row["kind"] for row in viewed} == {"tag"}
    visitors = [row["visitor_id"] for row in viewed]
    assert visitors[0] == visitors[1] != visitors[2]
    assert [row["visitor_id"] for row in seen] == visitors


def _count(system: System, event: str) -> int:
    found = (
        system.ask(f"SELECT count() AS n FROM pharos.events WHERE event = '{event}'") if system.count() else [{"n": 0}]
    )
    return int(found[0]["n"])

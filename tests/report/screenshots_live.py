"""Make the pictures of Live and the links form: `python -m tests.report.screenshots_live [FOLDER]` (or docs/images).

Starts a `make run` of its own, sends it a few visitors of the demo, and a mistake.
"""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Final

import aiohttp
from playwright.async_api import Browser

from tests.browser import chromium
from tests.deploy.local.running import ROOT, Local
from tests.processes import Program
from tests.waiting import until

FOLDER: Final = Path(__file__).parents[2] / "docs" / "images"
MISTAKE: Final = '{"site":"demmo","event":"pageview","url":"https://shop.example/"}'
FILLED: Final = "url=https://shop.example/mugs&code=letter-12&source=newsleter&medium=email&campaign=spring"


async def take(folder: Path) -> None:
    """Write live.png and links.png into the folder."""
    with tempfile.TemporaryDirectory() as data:
        programs: list[Program] = []

        def start(argv: list[str], env: dict[str, str] | None = None, cwd: Path | None = None) -> Program:
            programs.append(Program(argv, log=Path(data) / "run.log", env=env, cwd=cwd))
            return programs[-1]

        local = Local(Path(data) / "var", start)
        try:
            await local.up()
            command = [sys.executable, "-m", "loadtest", "demo", "--visitors", "60"]
            demo = Program(command, log=Path(data) / "demo.log", env=local.env, cwd=ROOT)
            await until(lambda: not demo.running, "the demo", 120)
            async with aiohttp.ClientSession(headers={"Origin": "https://www.shop.example"}) as http:
                for _ in range(3):
                    async with http.post(f"{local.collector}/e", data=MISTAKE) as answer:
                        assert answer.status == 400
            async with chromium() as browser:
                await _take(browser, f"http://localhost:{local.env['PHAROS_LOCAL_PAGE_PORT']}/report/", folder)
        finally:
            for program in programs:
                program.terminate()
                program.kill()


async def _take(browser: Browser, url: str, folder: Path) -> None:
    page = await browser.new_page(viewport={"width": 1240, "height": 900})
    await page.goto(f"{url}#/live?site=demo")
    await page.locator("ol.live li", has_text="Organic Video").first.get_by_role("button").click()
    await page.locator(".detail ol.steps").wait_for()
    await page.locator(".detail ol.journey").wait_for()
    await page.evaluate("scrollTo(0, 0)")
    await page.screenshot(path=folder / "live.png")
    await page.goto(f"{url}#/links?site=demo&{FILLED}")
    await page.locator(".hint").first.wait_for()
    await page.screenshot(path=folder / "links.png")
    await page.close()


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(take(target))

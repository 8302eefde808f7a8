"""Make the screenshots of the documentation: `python -m tests.report.screenshots [FOLDER]` (default docs/images)."""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from tests.browser import chromium
from tests.report.servers import HALF, clickhouse, served

FOLDER: Final = Path(__file__).parents[2] / "docs" / "images"
SHOTS: Final[dict[str, tuple[int, int, dict[str, Any]]]] = {
    "report": (1240, 1180, {}),
    "report-dark": (1240, 1180, {"color_scheme": "dark"}),
    "report-phone": (390, 844, {}),
    "report-whole": (1240, 0, {}),
}
"""Name -> width and height in pixels (0: the whole page), and the browser's form."""
TALL: Final = 9000
"""A block asks when it comes into view: so high, all of them do."""


async def take(folder: Path) -> None:
    """Write every screenshot into the folder."""
    with tempfile.TemporaryDirectory() as data:
        server = clickhouse(Path(data))
        try:
            await _take(server.url, folder)
        finally:
            server.kill()


async def _take(clickhouse_url: str, folder: Path) -> None:
    async with served(clickhouse_url) as url, chromium() as browser:
        for name, (width, height, form) in SHOTS.items():
            context = await browser.new_context(viewport={"width": width, "height": TALL}, **form)
            page = await context.new_page()
            await page.goto(f"{url}#/report?site=demo&{HALF}")
            await page.locator(".blocks:not(:has(section[aria-busy], section:not([data-ready])))").wait_for()
            await page.set_viewport_size({"width": width, "height": height or 900})
            await page.screenshot(path=folder / f"{name}.png", full_page=not height)
            await context.close()


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(take(target))

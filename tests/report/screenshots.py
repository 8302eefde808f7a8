"""Make the screenshots of the documentation: `python -m tests.report.screenshots [FOLDER]` (default docs/images)."""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from tests.browser import chromium
from tests.report.servers import PERIOD, clickhouse, served

FOLDER: Final = Path(__file__).parents[2] / "docs" / "images"
SHOTS: Final[dict[str, tuple[dict[str, Any], bool]]] = {
    "report": ({"viewport": {"width": 1240, "height": 1180}}, False),
    "report-dark": ({"viewport": {"width": 1240, "height": 1180}, "color_scheme": "dark"}, False),
    "report-phone": ({"viewport": {"width": 390, "height": 844}, "is_mobile": True}, False),
    "report-whole": ({"viewport": {"width": 1240, "height": 1180}}, True),
}
"""Name -> the browser's form, and whether the whole page is shown."""


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
        for name, (form, whole) in SHOTS.items():
            context = await browser.new_context(**form)
            page = await context.new_page()
            page.on("console", lambda message: print(message.text))
            page.on("pageerror", lambda error: print(error))
            await page.goto(f"{url}#/report?site=demo&{PERIOD}")
            await page.locator(".blocks:not(:has(section[aria-busy]))").wait_for()
            await page.screenshot(path=folder / f"{name}.png", full_page=whole)
            await context.close()


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(take(target))

"""Every line of README.md's "Try it" works as it is pasted, next to a running `make run`."""

import asyncio
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import aiohttp
from playwright.async_api import Browser

from tests.deploy.local.running import ROOT, Local
from tests.processes import Program
from tests.waiting import until

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TEXT = (ROOT / "README.md").read_text().partition("## Try it")[2].partition("## Run it for real")[0]

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
"""Conversions leave bots out, and a script is one."""


def blocks(language: str) -> list[str]:
    """Return the README's blocks of one language."""
    return [text for name, text in _BLOCK.findall(_TEXT) if name == language]


async def test_every_line_works_as_pasted(tmp_path: Path, start: Callable[..., Program], browser: Browser) -> None:
    local = Local(tmp_path / "var", start)
    await local.up()
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    used = {"8080": "COLLECTOR", "8123": "CLICKHOUSE", "8088": "PAGE"}
    (query,) = blocks("sql")
    (tmp_path / "question.sql").write_text(query)

    async def shell(text: str) -> str:
        for port, name in used.items():
            text = text.replace(f"localhost:{port}", f"localhost:{local.env[f'PHAROS_LOCAL_{name}_PORT']}")
        done = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, text + done.stdout + done.stderr
        return done.stdout

    starting, seeing, linking, mailing, asking, adding = blocks("sh")
    assert re.findall(r"^make (\w+)", starting, re.MULTILINE) == ["run", "demo"]

    hit, query = seeing.strip().split("\n")
    assert "X-Pharos: accepted" in await shell(hit)

    async def stored() -> bool:
        return "Organic Video" in await shell(query)

    await until(stored, "the row of the first hit")

    page = "".join(blocks("html")).replace("http://localhost:8080", local.collector)
    (tmp_path / "page.html").write_text(f"<!doctype html><title>A page</title>{page}")
    await _visit((tmp_path / "page.html").as_uri(), browser)
    (pixel,) = re.findall(r'<noscript><img src="([^"]*)"', page)
    link = (await shell(linking)).strip()
    async with aiohttp.ClientSession(headers={"User-Agent": BROWSER}) as http:
        async with http.get(link, allow_redirects=False) as clicked:
            assert (clicked.status, clicked.headers["X-Pharos"]) == (302, "accepted")
            assert clicked.headers["Location"].startswith("https://example.org/mug?utm_source=youtube")
        async with http.get(pixel) as without_scripts:
            assert without_scripts.headers["X-Pharos"] == "accepted"
    assert "/o.gif?s=shop" in await shell(mailing)

    async def answered() -> bool:
        answer = await shell(asking)
        return "19.9" in answer and "EUR" in answer

    await until(answered, "the sale in the answer")
    assert 'data-site="shop" data-hosts="*"' in await shell(adding)
    async with aiohttp.ClientSession() as http:

        async def taken() -> bool:
            async with http.get(f"{local.collector}/p.gif?s=shop") as answer:
                return answer.headers["X-Pharos"] == "accepted"

        await until(taken, "the new site's first hit")


async def _visit(url: str, browser: Browser) -> None:
    """Open the page in a browser that hides that a program drives it; return when its events are accepted."""
    context = await browser.new_context(user_agent=BROWSER)
    page = await context.new_page()
    await page.add_init_script("Object.defineProperty(navigator, 'webdriver', {get: () => false})")
    async with page.expect_response(lambda answer: answer.url.endswith("/e")) as sent:
        await page.goto(url)
    assert await (await sent.value).header_value("x-pharos") == "accepted"
    await context.close()


def test_what_the_first_screen_names_is_a_target() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {"make run", "make demo"} <= {" ".join(line.split()[:2]) for line in listed.splitlines()}

"""The links form: what it prints is what the collector's own commands print and take."""

import shlex
from collections.abc import Mapping
from html import unescape
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from collector.commands import link, mail_pixel, site
from collector.policy import link_file, links, sites
from tests.report.test_live import picture
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
JSQR = Path(__file__).parents[2] / "deploy" / "report" / "node_modules" / "jsqr" / "dist" / "jsQR.js"
BASE = "https://px.shop.example"
READ_QR = """async () => {
  const image = document.querySelector(".qr img");
  await image.decode();
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const { data, width, height } = context.getImageData(0, 0, canvas.width, canvas.height);
  return jsQR(data, width, height)?.data;
}"""


async def form(browser: Browser, url: str, fields: Mapping[str, str]) -> Page:
    page = await browser.new_page(viewport={"width": 1240, "height": 1000})
    await page.goto(f"{url}#/links?site=demo")
    await page.locator('[name="base"]').fill(f"{BASE}/")
    for name, text in fields.items():
        await page.locator(f'[name="{name}"]').fill(text)
    return page


async def choose(page: Page, kind: str) -> None:
    """Press a kind of link, and wait until the form shows it: what it prints is drawn with the button."""
    button = page.get_by_role("button", name=kind)
    await button.click()
    await expect(button).to_have_attribute("aria-pressed", "true")


async def printed(page: Page, name: str) -> str:
    return await page.locator(f'[data-text="{name}"] pre').inner_text()


FIELDS = {
    "url": "https://shop.example/mugs?color=blue#reviews",
    "source": "youtube",
    "medium": "video",
    "campaign": 'launch day\'s "best"',
    "code": "yt.launch-1",
}


async def test_a_named_link_is_what_the_collector_takes(
    url: str, browser: Browser, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = await form(browser, url, FIELDS)
    assert await printed(page, "The link") == f"{BASE}/c/yt.launch-1"
    lines = (await printed(page, "Or the lines of links.toml")).encode()
    (parsed,) = link_file.parse(lines, sites.parse(b"[sites.demo]\n")).values()
    assert (parsed.site, parsed.to, parsed.campaign) == ("demo", FIELDS["url"], FIELDS["campaign"])

    (tmp_path / "sites.toml").write_text("[sites.demo]\n")
    python, _, module, command, *argv = shlex.split(await printed(page, "The command"))
    assert (python, module, command) == ("python", "collector", "link")
    files = ["--links", str(tmp_path / "links.toml"), "--sites", str(tmp_path / "sites.toml")]
    assert link.main([*argv, *files], {}) == 0
    assert capsys.readouterr().out == f"{BASE}/c/yt.launch-1\n"
    assert link_file.parse((tmp_path / "links.toml").read_bytes(), {"demo": sites.Site()}) == {"yt.launch-1": parsed}
    await picture(page, "links")
    await page.close()


async def test_a_press_right_after_typing_counts(url: str, browser: Browser) -> None:
    """A field that loses the focus changes the address, and with it the page, while the button is held down."""
    page = await form(browser, url, FIELDS)

    async def press_after_typing(button: Locator, campaign: str) -> None:
        await page.locator('[name="campaign"]').fill(campaign)
        await button.hover()
        async with page.expect_event("framenavigated"):  # the new address
            await page.mouse.down()
        assert campaign in page.url
        await page.evaluate("new Promise((drawn) => setTimeout(drawn))")  # after the event of the new address
        await page.mouse.up()

    await press_after_typing(page.get_by_role("button", name="Copy: The link"), "spring")
    await expect(page.locator('[data-text="The link"] [role="status"]')).not_to_be_empty()
    parameters = page.get_by_role("button", name="Only parameters")
    await press_after_typing(parameters, "autumn")
    await expect(parameters).to_have_attribute("aria-pressed", "true")
    await page.close()


@pytest.mark.parametrize(
    "address",
    [
        "https://shop.example",
        "https://shop.example/?",
        "https://shop.example/a?utm_source=other&x=1#b",
        "https://shop.example?x=1&",
        "https://shop.example/?utm%5Fmedium=x",
        "http://[2001:db8::1]:8080/x(1)'*!",
    ],
)
async def test_parameters_are_added_as_the_collector_adds_them(url: str, browser: Browser, address: str) -> None:
    page = await form(browser, url, FIELDS | {"url": address})
    await choose(page, "Only parameters")
    pairs = [(f"utm_{name}", FIELDS[name]) for name in ("source", "medium", "campaign")]
    expected = links.with_parameters(address, pairs)
    assert await printed(page, "The link") == expected
    await page.evaluate(JSQR.read_text())  # not as an element: the page's policy allows only its own scripts

    async def has_its_code() -> bool:
        return bool(await page.evaluate(READ_QR) == expected)

    await until(has_its_code, "the QR code holds the link")
    await page.close()


async def test_a_signed_link_is_made_by_the_command(
    url: str, browser: Browser, capsys: pytest.CaptureFixture[str]
) -> None:
    page = await form(browser, url, FIELDS)
    await choose(page, "Signed link")
    argv = shlex.split(await printed(page, "The command"))[4:]
    assert link.main(argv, {link.KEY_VARIABLE: "k" * 16}) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"{BASE}/c?s=demo&u=")
    assert quote(FIELDS["url"].partition("#")[0], safe="") in shown
    assert "utm_campaign" in unquote(shown)
    await page.close()


async def test_pixel_and_tag_are_those_of_the_commands(url: str, browser: Browser) -> None:
    page = await form(browser, url, {})
    for sender, texts in mail_pixel.SENDERS.items():
        await page.locator('[name="sender"]').select_option(sender)
        plain = mail_pixel.tag(BASE, "demo", texts.message, texts.list, "", consent=False)
        assert await printed(page, "The pixel") == plain
    await page.locator('[name="recipient"]').check()
    await page.locator('[name="consent"]').check()
    named = mail_pixel.tag(BASE, "demo", texts.message, texts.list, texts.recipient, consent=True)
    assert await printed(page, "The pixel") == named
    assert "n=1" in unescape(named)
    for base in (BASE, "https://localhost.example", "http://localhost:8080", "http://127.0.0.1", "http://[::1]:1"):
        await page.locator('[name="base"]').fill(base)
        shown = await printed(page, "The tag")
        assert shown == site.snippet(base, "demo")
        assert ("data-hosts" in shown) == base.startswith("http:")
    await page.close()


async def test_the_sites_history_warns(url: str, browser: Browser) -> None:
    page = await form(
        browser, url, FIELDS | {"source": "newsleter", "medium": "email", "url": "https://shopp.example/"}
    )
    source = page.locator(".line-source .hints")
    await expect(source).to_contain_text('Did you mean "newsletter"')
    await expect(page.locator(".line-url .hints")).to_contain_text("No page of shopp.example was ever seen")
    await picture(page, "links-warn")
    await source.get_by_role("button", name='Use "newsletter"').click()
    await expect(source).not_to_contain_text("Did you mean")
    await expect(page.locator(".line-medium .hints")).to_contain_text("Counted as Email")
    await page.locator('[name="medium"]').fill("social")
    await expect(page.locator(".line-medium .hints")).to_contain_text('came with the medium "email" so far')
    await page.locator('[name="campaign"]').fill("Kim@shop.example")
    await expect(page.locator(".line-campaign .hints")).to_contain_text("e-mail address")
    await page.close()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"url": ""}, "Where should the link lead?"),
        ({"url": "javascript:alert(1)"}, "no plain http or https address"),
        ({"url": "https://kim:secret@shop.example/"}, "no plain http or https address"),
        ({"url": "https://shop.example:99999/"}, "port is out of range"),
        ({"code": "-x"}, "A code has 1-64"),
        ({"code": ""}, "Choose a code"),
    ],
)
async def test_what_cannot_be_a_link_says_why(url: str, browser: Browser, fields: dict[str, str], says: str) -> None:
    page = await form(browser, url, FIELDS | fields)
    await expect(page.locator("section", has_text="What to use")).to_contain_text(says)
    assert await page.locator(".qr").count() == 0
    if fields.get("url"):
        assert links.wrong_with(fields["url"])
    await page.close()


async def test_an_international_address_is_written_in_ascii(url: str, browser: Browser) -> None:
    page = await form(browser, url, FIELDS | {"url": " https://münchen.example/straße?q=ü#ö "})
    await choose(page, "Only parameters")
    shown = await printed(page, "The link")
    assert shown.startswith("https://xn--mnchen-3ya.example/stra%C3%9Fe?q=%C3%BC&utm_source=youtube")
    assert shown.endswith("#%C3%B6")
    assert not links.wrong_with(shown)
    await page.close()

"""`data-domains`: a visitor who follows a link to another domain of the site stays the same, if they may be known."""

import pytest
from playwright.async_api import Browser

from tests.tag.servers import Servers
from tests.tag.visit import extras, visit

pytestmark = pytest.mark.asyncio(loop_scope="module")


def pages(site: Servers, name: str, attributes: str) -> str:
    """Serve a page on each of two domains; return the URL of the one, which links to the other."""
    other = site.site.replace("//shop.", "//other.")
    collector = site.collector.replace("//px.shop.", "//px.other.")
    link = f'<a id=on href="{other}/{name}/landed?a=%20b">on</a> <a id=out href="{other}x/">out</a>'
    site.pages[f"/{name}"] = f"<title>One</title>{site.tag(attributes, 'linked')}<body>{link}", {}
    landed = site.tag('data-consent="1"', "linked", collector)
    site.pages[f"/{name}/landed"] = f"<title>Other</title>{landed}<body>", {}
    return f"{site.site}/{name}"


@pytest.mark.parametrize(
    ("name", "attributes", "same"),
    [
        ("given", 'data-consent="1" data-domains="other.localhost"', True),
        ("refused", 'data-consent="0" data-domains="other.localhost"', False),
        ("unlinked", 'data-consent="1" data-links', False),
    ],
)
async def test_a_link_to_another_domain(
    site: Servers, browser: Browser, name: str, attributes: str, same: bool
) -> None:
    async with visit(browser, pages(site, name, attributes)) as page:
        await extras(page)
        (first,) = await site.until(f"/{name}", "pageview")
        if "domains" in attributes:
            async with page.expect_response(lambda answer: "/linker?" in answer.url) as asked:
                await page.hover("#on")
            answer = await asked.value
            assert answer.status == (200 if same else 204)
            await answer.finished()
        await page.click("#on")
        await page.wait_for_url("**/landed?*")
        shown = page.url
        landed = f"{site.site.replace('//shop.', '//other.')}/{name}/landed?a=%20b"
        (second,) = await site.until_url(landed, "pageview")
    assert ("_plk=" in shown) == same
    assert (first["visitor"] == "") == (name == "refused")
    assert second["visitor"] != ""
    assert (first["visitor"] == second["visitor"]) == same
    assert second["url"] == landed, "the linker is not stored"


async def test_no_other_link_changes(site: Servers, browser: Browser) -> None:
    url = pages(site, "kept", 'data-consent="1" data-domains="other.localhost"')
    async with visit(browser, url) as page:
        await extras(page)
        await site.until("/kept", "pageview")
        await page.evaluate("document.addEventListener('click', e => e.preventDefault())")
        for target in ("#out", "#on"):
            before = await page.get_attribute(target, "href")
            await page.hover(target)
            await page.click(target)
            await page.evaluate("new Promise(done => setTimeout(done))")
            assert await page.get_attribute(target, "href") == before

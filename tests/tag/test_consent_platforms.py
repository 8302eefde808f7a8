"""`data-cmp`: consent as a consent platform has it, in the events that are stored."""

import pytest
from playwright.async_api import Browser

from tests.tag.servers import Servers
from tests.tag.visit import extras, visit
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

TCF = """
window.__tcfapi = (command, version, act) => { window.tell = (status, consents, applies) =>
  act({eventStatus: status, purpose: {consents}, gdprApplies: applies}, true) };"""


async def test_consent_of_a_tcf_platform(site: Servers, browser: Browser) -> None:
    async with visit(browser, site.page("/tcf", attributes='data-cmp="tcf"')) as page:
        # The platform comes late.
        await page.evaluate(f"() => {{ {TCF} }}")
        await until(lambda: page.evaluate("!!window.tell"), "the question")
        await page.evaluate("tell('cmpuishown', {}, true); tell('tcloaded', {}, false); pharos('open')")
        (opened,) = await site.until("/tcf", "open")
        await page.evaluate("tell('useractioncomplete', {1: true, 7: true, 8: true}, true); pharos('given')")
        (given,) = await site.until("/tcf", "given")
        await page.evaluate("tell('tcloaded', {1: true, 7: true, 8: false}, true); pharos('partly')")
        (partly,) = await site.until("/tcf", "partly")
    assert [event["consent"] for event in (opened, given, partly)] == ["assumed", "given", "refused"]
    assert [event["event"] for event in site.events("/tcf")].count("consent") == 2


async def test_purposes_of_ones_own(site: Servers, browser: Browser) -> None:
    async with visit(browser, site.page("/tcf-own", attributes='data-cmp="tcf 1"'), TCF) as page:
        await until(lambda: page.evaluate("!!window.tell"), "the question")
        await page.evaluate("tell('tcloaded', {1: true}, true)")
        (given,) = await site.until("/tcf-own", "consent")
    assert given["consent"] == "given"


GTAG = "<script>dataLayer = []; function gtag() { dataLayer.push(arguments) }"


@pytest.mark.parametrize(
    ("early", "late", "expected"),
    [
        ("gtag('consent', 'default', {analytics_storage: 'denied'})", "", "assumed"),
        ("gtag('consent', 'default', {analytics_storage: 'granted'})", "", "given"),
        ("gtag('consent', 'default', {analytics_storage: 'granted', region: ['US']})", "", "assumed"),
        ("dataLayer.push({event: 'x'})", "gtag('consent', 'update', {analytics_storage: 'granted'})", "given"),
        ("", "gtag('consent', 'update', {analytics_storage: 'denied'})", "refused"),
        ("", "gtag('consent', 'update', {ad_storage: 'denied'})", "assumed"),
    ],
)
async def test_google_consent_mode(site: Servers, browser: Browser, early: str, late: str, expected: str) -> None:
    path = f"/gcm-{abs(hash(early + late))}"
    url = site.page(path, attributes='data-cmp="gcm"', head=f"{GTAG};{early}</script>")
    async with visit(browser, url) as page:
        await extras(page)
        await page.evaluate(f"() => {{ {late}; pharos('probe') }}")
        (probe,) = await site.until(path, "probe")
        assert await page.evaluate("dataLayer.push({event: 'y'})") == await page.evaluate("dataLayer.length")
    assert probe["consent"] == expected

"""Many visits while requests fail at random: every event of the pages is stored, and each under one id.

25 visits; 1,000 with PHAROS_TEST_SCALE=full.
"""

from collections import defaultdict
from random import Random

import pytest
from aiohttp import web
from playwright.async_api import Browser

from tests.collector import scale
from tests.tag.servers import Fault, Servers
from tests.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(1800)]

VISITS = scale.of(small=25, full=1000)
FAULTS: tuple[Fault, ...] = ("503", "502", "reset", "reset after", "", "", "", "", "", "")

RECORD = """
const real = fetch;
window.fetch = function (url, init) {
  // The test's own memory, which outlives the page: the id of each event that is tried at least once.
  for (const event of JSON.parse(init.body)) localStorage[event.id] = event.event;
  return real.apply(this, arguments);
};"""


async def test_every_event_is_stored_once(site: Servers, browser: Browser, capsys: pytest.CaptureFixture[str]) -> None:
    random = Random(VISITS)
    asked: defaultdict[Fault, int] = defaultdict(int)

    def fault(request: web.Request) -> Fault:
        chosen = random.choice(FAULTS)
        asked[chosen] += 1
        return chosen

    site.fault = fault
    pages = [site.page(f"/visit-{name}", attributes='data-keep="1"') for name in "abc"]
    visitor = await browser.new_context()
    await visitor.add_init_script(RECORD)
    page = await visitor.new_page()
    for number in range(VISITS):
        await page.goto(f"{random.choice(pages)}?n={number}", wait_until="domcontentloaded")
        await until(lambda: page.evaluate("!!(window.pharos && pharos.on)"), "the tag")
        await page.evaluate(f"pharos('did', {{props: {{n: {number}}}}})")
    site.fault = lambda request: ""
    await page.goto(site.page("/visit-end", attributes='data-keep="1"'))
    await until(lambda: any("/visit-end" in event["url"] for event in site.events()), "the last view")

    produced = await page.evaluate("Object.entries(localStorage)")
    wanted = {(event, key) for key, event in produced if "-" in key}
    stored = {(event["event"], event["id"]) for event in site.events()}
    assert wanted <= stored
    ids: defaultdict[str, set[str]] = defaultdict(set)
    for event in site.events():
        if event["event"] == "did":
            ids[event["props"]["n"]].add(event["id"])
        elif event["event"] == "pageview":
            ids[event["url"].partition("?n=")[2]].add("view " + event["id"])
    assert {number: len(found) for number, found in ids.items() if number} == {
        str(number): 2 for number in range(VISITS)
    }, "one view and one event a visit, each under one id"
    with capsys.disabled():
        copies = len(site.events()) - len(stored)
        print(f"\n{VISITS} visits: {len(stored)} events, {copies} copies of them; requests: {dict(asked)}")

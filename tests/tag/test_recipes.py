"""Each recipe of docs/recipes.md, down to the stored event. The frameworks are in test_package.py."""

import asyncio
import hashlib
import hmac
import json
import os
import time
from pathlib import Path
from typing import Any

import pharos_client
import pytest
from playwright.async_api import Browser

from tests import needs
from tests.collector.surface import TOKEN
from tests.tag.recipes import recipe
from tests.tag.servers import Fault, Servers
from tests.tag.visit import visit
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def run(program: str, *arguments: str, **environment: str) -> str:
    """Run a program; return what it printed."""
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdout=asyncio.subprocess.PIPE, env={**os.environ, **environment}
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode()


def orders(site: Servers, order: str) -> list[dict[str, Any]]:
    """Return the stored purchases of an order, with the kind of their hits."""
    return [event for event in site.events() if event["event"] == "purchase" and event["id"] == order]


async def test_plain_html(site: Servers, browser: Browser) -> None:
    site.pages["/plain"] = f"<title>Plain</title>{recipe('Plain HTML', site)}", {}
    async with visit(browser, site.site + "/plain") as page:
        await page.click("button")
        view, signup = await site.until("/plain", "pageview", "signup")
    assert (view["title"], signup["props"]) == ("Plain", {"plan": "pro"})


WORDPRESS = r"""<?php
// As much of WordPress and WooCommerce as the recipes call.
define('PHAROS_TOKEN', getenv('TOKEN'));
$hooks = []; $later = [];
function add_action($name, $act, $priority = 10, $arguments = 1) { $GLOBALS['hooks'][$name][] = [$act, $arguments]; }
function do_action($name, ...$a) {
    foreach ($GLOBALS['hooks'][$name] ?? [] as [$act, $n]) $act(...array_slice($a, 0, $n));
}
function current_user_can($what) { return getenv('EDITOR') === '1'; }
function as_enqueue_async_action($name, $a) { $GLOBALS['later'][] = [0, $name, $a]; }
function as_schedule_single_action($at, $name, $a) { $GLOBALS['later'][] = [$at - time(), $name, $a]; }
function wp_json_encode($value, $flags = 0) { return json_encode($value, $flags | JSON_THROW_ON_ERROR); }
function wp_print_inline_script_tag($text) { echo "<script>$text</script>"; }
function wp_remote_post($url, $options) {
    $lines = array_map(fn($name, $text) => "$name: $text", array_keys($options['headers']), $options['headers']);
    $http = ['method' => 'POST', 'header' => $lines, 'content' => $options['body'], 'ignore_errors' => true];
    $body = @file_get_contents($url, false, stream_context_create(['http' => $http]));
    return $body === false ? 'WP_Error' : (int) explode(' ', $http_response_header[0])[1];
}
function wp_remote_retrieve_response_code($answer) { return $answer === 'WP_Error' ? '' : $answer; }
class Order {
    function get_order_number() { return getenv('ORDER'); }
    function get_total() { return '19.90'; }
    function get_currency() { return 'EUR'; }
    function is_paid() { return true; }
    function get_date_paid() { return new DateTimeImmutable(); }
}
function wc_get_order($id) { return $id === 4711 ? new Order : false; }
"""


async def test_wordpress(site: Servers, browser: Browser, tmp_path: Path) -> None:
    php = needs.program("php", "php-cli")
    (tmp_path / "plugin.php").write_text(recipe("WordPress", site))
    (tmp_path / "page.php").write_text(f"{WORDPRESS} require 'plugin.php'; do_action('wp_head');")
    assert await run(php, str(tmp_path / "page.php"), EDITOR="1") == ""
    head = await run(php, str(tmp_path / "page.php"))
    site.pages["/blog"] = f"<title>Blog</title>{head}", {}
    async with visit(browser, site.site + "/blog"):
        (view,) = await site.until("/blog", "pageview")
    assert view["title"] == "Blog"


async def test_woocommerce(site: Servers, browser: Browser, tmp_path: Path) -> None:
    php = needs.program("php", "php-cli")
    (tmp_path / "plugin.php").write_text(recipe("WooCommerce", site, browser=False))
    queue = """require 'plugin.php';
        do_action('woocommerce_payment_complete', 4711);
        for ($pauses = []; $later;) { [$pauses[], $name, $a] = array_shift($later); do_action($name, ...$a); }
        echo implode(' ', $pauses);"""
    (tmp_path / "paid.php").write_text(WORDPRESS + queue)
    faults: list[Fault] = ["503", "reset", ""]
    site.fault = lambda request: faults.pop(0) if faults else ""
    pauses = await run(php, str(tmp_path / "paid.php"), TOKEN=TOKEN, ORDER="77")
    site.fault = lambda request: ""
    assert pauses == "0 60 120"
    (paid,) = orders(site, "order-77")
    assert (paid["kind"], paid["value"], paid["currency"]) == ("server", "19.90", "EUR")

    (tmp_path / "thanks.php").write_text(f"{WORDPRESS} require 'plugin.php'; do_action('woocommerce_thankyou', 4711);")
    thanks = await run(php, str(tmp_path / "thanks.php"), ORDER="77<!--<script>")
    assert "<!--" not in thanks
    thanks = await run(php, str(tmp_path / "thanks.php"), ORDER="77")
    site.pages["/thanks"] = f"<title>Thanks</title>{site.tag(site='shop')}{thanks}", {}
    async with visit(browser, site.site + "/thanks"):
        (bought,) = await site.until("/thanks", "purchase")
    assert (bought["kind"], bought["id"], bought["value"]) == ("tag", "order-77", "19.90")


SHOPIFY = """<title>pixel</title><script>
const init = {customerPrivacy: {analyticsProcessingAllowed: true}};
const context = {document: {location: {href: 'https://shop.example/checkout'}, referrer: '', title: 'Checkout'}};
const acts = {};
const analytics = {subscribe: (name, act) => (acts[name] = act)};
RECIPE
acts.page_viewed({id: 'sh-1', context});
acts.product_added_to_cart({id: 'sh-2', context, data: {cartLine: {cost: {totalAmount:
  {amount: 9.9, currencyCode: 'EUR'}}}}});
acts.checkout_completed({id: 'sh-3', context, data: {checkout: {order: {id: '5'}, currencyCode: 'EUR',
  totalPrice: {amount: 19.9}}}});
</script>"""


async def test_shopify(site: Servers, browser: Browser) -> None:
    pixel = SHOPIFY.replace("RECIPE", recipe("Shopify", site))
    site.pages["/pixel"] = pixel, {}
    # Shopify's sandbox: scripts, and an opaque origin.
    site.pages["/checkout"] = '<iframe sandbox="allow-scripts allow-forms" src="/pixel"></iframe>', {}
    faults: list[Fault] = ["503"]
    site.fault = lambda request: faults.pop(0) if faults else ""
    page = await browser.new_page()
    await page.goto(site.site + "/checkout")
    names = {"sh-1": "pageview", "sh-2": "add_to_cart", "order-5": "purchase"}

    def found() -> dict[str, dict[str, Any]]:
        return {event["id"]: event for event in site.events() if event.get("id") in names}

    await until(lambda: found().keys() == names.keys(), "the three events")
    stored = found()
    await page.close()
    assert {key: event["event"] for key, event in stored.items()} == names
    assert {event["consent"] for event in stored.values()} == {"given"}
    assert {event["url"] for event in stored.values()} == {"https://shop.example/checkout"}
    assert (stored["order-5"]["value"], stored["order-5"]["currency"]) == ("19.9", "EUR")


def signed(event: dict[str, Any], secret: str, at: int) -> tuple[bytes, str]:
    """Return the body and the header `Stripe-Signature` of a webhook."""
    body = json.dumps(event).encode()
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return body, f"t={at},v1={'0' * 64},v1={digest},v0=x"


async def test_stripe(site: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pharos_client, "SHORTEST_PAUSE_S", 0.01)
    room: dict[str, Any] = {}
    exec(compile(recipe("Stripe", site, browser=False), "recipe", "exec"), room)
    webhook, now = room["stripe_webhook"], int(time.time())
    session = {"id": "cs_1", "client_reference_id": "order-31", "amount_total": 1990, "currency": "eur"}
    event = {"type": "checkout.session.completed", "created": now, "data": {"object": session}}
    body, header = signed(event, room["SECRET"], now)

    faults: list[Fault] = ["503", "reset after"]
    site.fault = lambda request: faults.pop(0) if faults else ""
    assert await asyncio.to_thread(webhook, body, header) == 200
    site.fault = lambda request: ""
    assert {paid["value"] for paid in orders(site, "order-31")} == {"19.90"}
    assert {paid["currency"] for paid in orders(site, "order-31")} == {"EUR"}

    yen = session | {"id": "cs_2", "client_reference_id": None, "currency": "jpy"}
    body, header = signed(event | {"data": {"object": yen}}, room["SECRET"], now)
    assert await asyncio.to_thread(webhook, body, header) == 200
    assert {paid["value"] for paid in orders(site, "cs_2")} == {"1990.00"}

    for wrong in (header.replace("v1", "v2"), signed(event, "another", now)[1], "", "t=,v1="):
        assert webhook(body, wrong) == 400
    assert webhook(*signed(event, room["SECRET"], now - 600)) == 400
    assert webhook(*signed({"type": "other"}, room["SECRET"], now)) == 200
    room["pharos"].close()


async def test_curl(site: Servers) -> None:
    needs.program("curl", "curl")
    faults: list[Fault] = ["503"]
    site.fault = lambda request: faults.pop(0) if faults else ""
    out = await run("bash", "-c", recipe("Other servers", site), TOKEN=TOKEN)
    site.fault = lambda request: ""
    assert json.loads(out.splitlines()[-1])["accepted"] == 1
    assert [order["kind"] for order in orders(site, "order-4711")] == ["server"]

"""The demo page of `make run`: it carries the tag, sends the first hits, and shows them when they are rows."""

import html
from pathlib import Path
from string import Template
from typing import Final

from aiohttp import web

from deploy.local.programs import Place

SNIPPET: Final = '<script async src="$collector/t.js" data-site="demo" data-hosts="*"></script>'
SCRIPT: Final = Path(__file__).with_name("demo.js")

_PAGE: Final = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Pharos: demo page</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/report/report.css">
</head>
<body>
<header class="top demo"><span class="brand">Pharos <span class="soft">demo page</span></span>
<nav aria-label="Pages"><a href="/report/#/report?site=demo">Report</a><a href="/report/#/live?site=demo">Live</a>
<a href="/report/#/links?site=demo">Links</a></nav></header>
<main class="demo">
<section><h1>Your visit was just recorded</h1>
<p>This page carries the tag. What it sends becomes a row in ClickHouse within seconds:</p>
<div class="scroll"><table><caption class="hidden">What this tab has sent</caption>
<thead><tr><th>Event</th><th>State</th><th>Channel</th><th>Source</th><th>Value</th></tr></thead>
<tbody id="hits"></tbody></table></div>
<p id="say" class="soft" role="status"></p></section>
<section><h2>Come again, from somewhere else</h2>
<p class="row"><a href="/?utm_source=youtube&amp;utm_medium=video&amp;utm_campaign=launch">a YouTube video</a>
<a href="/?utm_source=newsletter&amp;utm_medium=email&amp;utm_campaign=november">the newsletter</a>
<a href="/?gclid=demo-click">a Google ad</a>
$link
<a href="/">no source</a></p></section>
<section><h2>Do something</h2>
<p class="row"><button type="button" class="primary" id="buy">Buy a mug for 19.90 EUR</button>
<button type="button" id="signup">Sign up</button> <button type="button" id="wrong">Send a wrong event</button></p>
<p class="soft">The wrong event is refused:
<a href="/report/#/live?site=demo&amp;show=refused">Live</a> shows why, and what to correct.</p></section>
<section><h2>The tag for your own page</h2>
<pre class="copy">$snippet</pre>
<h2>Ask ClickHouse yourself</h2>
<pre class="copy">$sql</pre></section>
</main>
<script src="/demo.js"></script>
$tag
</body>
</html>
""")


def snippet(place: Place) -> str:
    """Return the HTML to paste into a page."""
    return Template(SNIPPET).substitute(collector=place.url("collector_port"))


def pixel_curl(place: Place) -> str:
    """Return a shell line that sends one hit."""
    page = "https%3A%2F%2Fdemo.example%2F%3Futm_source%3Dyoutube%26utm_medium%3Dvideo"
    return f"curl -sD - -o /dev/null '{place.url('collector_port')}/p.gif?s=demo&u={page}'"


def sql_curl(place: Place) -> str:
    """Return a shell line that shows the last events."""
    sql = "SELECT received_at, event, url, source, medium, channel FROM pharos.events ORDER BY received_at DESC LIMIT 5"
    user = " --user default" if place.settings.clickhouse_password or "@" in place.settings.clickhouse else ""
    return f"curl {place.shown_clickhouse}/{user} --data '{sql} FORMAT PrettyCompact'"


def link_url(place: Place) -> str:
    """Return the address of the named link that the first start makes; empty if the files are the user's own."""
    return "" if place.settings.sites else f"{place.url('collector_port')}/c/video"


def routes(place: Place) -> list[web.RouteDef]:
    """Return the routes of the page and its script."""
    link = link_url(place)
    text = _PAGE.substitute(
        sql=html.escape(sql_curl(place)),
        snippet=html.escape(snippet(place)),
        tag=snippet(place),
        link=f'<a href="{html.escape(link)}">a named link</a>' if link else "",
    )

    async def show(_: web.Request) -> web.Response:
        return web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-store"})

    async def script(_: web.Request) -> web.Response:
        code = SCRIPT.read_text(encoding="utf-8")
        return web.Response(text=code, content_type="text/javascript", headers={"Cache-Control": "no-store"})

    return [web.get("/", show), web.get("/demo.js", script)]

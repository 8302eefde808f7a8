"""The demo page of `make run`: a page with the pixel, which sends the first hits."""

import html
from string import Template
from typing import Final

from aiohttp import web

from deploy.local.programs import Place

SNIPPET: Final = '<img src="$collector/p.gif?s=demo" alt="" width="1" height="1" referrerpolicy="unsafe-url">'
TAG: Final = '<script async src="$collector/t.js" data-site="demo"></script>'

_PAGE: Final = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Pharos: demo page</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem; }
  pre { background: #f4f4f4; padding: .7rem; overflow-x: auto; }
</style>
<h1>Your visit was just recorded</h1>
<p>This page contains the Pharos pixel. Visit it again with another source:</p>
<ul>
  <li><a href="/?utm_source=youtube&amp;utm_medium=video&amp;utm_campaign=launch">from a YouTube video</a>
  <li><a href="/?utm_source=newsletter&amp;utm_medium=email&amp;utm_campaign=november">from the newsletter</a>
  <li><a href="/?gclid=demo-click">from a Google ad</a>
  <li><a href="/">without a source</a>
</ul>
<p>Record a sale (an event with a value):
  <a href="/?bought=1">a mug for 19.90 EUR</a>$bought</p>
<p>Then ask ClickHouse:</p>
<pre>$sql</pre>
<p>The pixel for your own page:</p>
<pre>$snippet</pre>
$pixel
""")

_PURCHASE: Final = (
    '<img src="$collector/p.gif?s=demo&amp;e=purchase&amp;v=19.90&amp;c=EUR" alt="" width="1" height="1">'
)


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


def routes(place: Place) -> list[web.RouteDef]:
    """Return the page's route."""
    collector = place.url("collector_port")

    async def show(request: web.Request) -> web.Response:
        bought = (
            Template(_PURCHASE).substitute(collector=collector) + " Thank you!" if "bought" in request.query else ""
        )
        text = _PAGE.substitute(
            bought=bought,
            sql=html.escape(sql_curl(place)),
            snippet=html.escape(snippet(place)),
            pixel=snippet(place),
        )
        return web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-store"})

    return [web.get("/", show)]

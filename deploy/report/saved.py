"""The report as one file: the built page with its answers inside, to be mailed or kept. It asks no server."""

import base64
import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from deploy.report import questions

DIST: Final = Path(__file__).parent / "dist"
CONVERSIONS: Final[tuple[str, ...]] = (
    "purchase",
    "order",
    "sale",
    "subscribe",
    "subscription",
    "signup",
    "sign_up",
    "lead",
    "registration",
)
STEPS: Final[tuple[str, ...]] = ("pageview", "view_item", "add_to_cart", "begin_checkout", "checkout")
_STYLE: Final = '<link rel="stylesheet" href="report.css">'
_SCRIPT: Final = '<script src="report.js" defer></script>'
_POLICY: Final = re.compile(r'(<meta http-equiv="Content-Security-Policy" content=")[^"]*(">)')


class UnknownSite(Exception):
    """A site that never sent an event; the text names those that did."""


def values(events: list[str], given: Mapping[str, str], days: int, now: datetime) -> dict[str, str]:
    """Return what the page's address would hold: site, days, zone, conversion, model, steps of the funnel.

    `given` has site, tz, model and, if chosen, conversion. The period is `days` days up to and with `now`'s.
    """
    last = now.astimezone(ZoneInfo(given["tz"])).date()
    conversion = given.get("conversion") or next((name for name in CONVERSIONS if name in events), "")
    steps = [name for name in STEPS if name in events and name != conversion]
    if re.split(r"[ \[]", conversion)[0] in events:
        steps.append(conversion)
    return {
        "site": given["site"],
        "tz": given["tz"],
        "model": given["model"],
        "conversion": conversion,
        "steps": ",".join(steps),
        "from": str(last - timedelta(days=days - 1)),
        "to": str(last),
    }


def answers(client: Client, chosen: Mapping[str, str]) -> dict[str, Any]:
    """Ask everything that the page asks of these values; by SQL, each ClickHouse's JSONCompact or {error, code}."""
    since, last = date.fromisoformat(chosen["from"]), date.fromisoformat(chosen["to"])
    until = last + timedelta(days=1)
    asked = {**chosen, "since": str(since), "until": str(until), "before": str(since - (until - since))}
    found: dict[str, Any] = {}
    for sql in questions.whole(asked):
        try:
            found[sql] = msgspec.json.decode(client.raw_query(sql, fmt="JSONCompact"))
        except DatabaseError as refused:
            code = re.search(r"Code: (\d+)", str(refused))
            found[sql] = {"error": str(refused), "code": int(code[1]) if code else 0}
    return found


def events(client: Client, site: str) -> list[str]:
    """Return the names of the site's events. Raises UnknownSite."""
    rows = client.query("SELECT site, event FROM pharos.names GROUP BY site, event ORDER BY event").result_rows
    found = [event for own, event in rows if own == site]
    if not found:
        known = ", ".join(sorted({own for own, _ in rows})) or "no site at all"
        raise UnknownSite(f"site {site!r} never sent an event; these did: {known}")
    return found


def zone(client: Client, site: str) -> str:
    """Return the site's time zone, "UTC" where the sink has stored none."""
    rows = client.query(
        "SELECT time_zone FROM pharos.sites FINAL WHERE site = {site:String}", parameters={"site": site}
    ).result_rows
    return str(rows[0][0]) if rows else "UTC"


def page(chosen: Mapping[str, str], found: Mapping[str, Any], now: datetime) -> str:
    """Return the HTML: styles, script and answers inside, and a policy that allows these and no connection."""
    style = (DIST / "report.css").read_text(encoding="utf-8")
    script = (DIST / "report.js").read_text(encoding="utf-8").replace("</script", "<\\/script")
    at = now.astimezone(ZoneInfo(chosen["tz"]))
    inside = {
        "site": chosen["site"],
        "at": f"{at:%Y-%m-%d %H:%M}",
        "made_at": now.astimezone(UTC).isoformat(),
        "values": chosen,
        "answers": found,
    }
    # No text of a visitor may end the element.
    data = msgspec.json.encode(inside).decode().replace("<", "\\u003c")
    policy = f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data: blob:"
    html = (DIST / "index.html").read_text(encoding="utf-8")
    html = _POLICY.sub(lambda tag: f"{tag[1]}{policy}{tag[2]}", html)
    for old, new in (
        (_STYLE, f"<style>{style}</style>"),
        (_SCRIPT, f'<script type="application/json" id="answers">{data}</script>\n<script>{script}</script>'),
    ):
        before, _, after = html.partition(old)
        html = before + new + after
    return html


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

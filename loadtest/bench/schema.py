"""`python -m loadtest.bench.schema [--rows N] [--table FILE.sql]`: what `pharos.event_log` costs on disk and in time.

Fills the table of the first migration (or of another file, to compare) with made-up visits inside chDB, merges it, and
prints bytes a row by column and the time of the five commonest questions, asked of `pharos.events`. The visits are made
in SQL from row numbers, so every run has the same ones: sessions of four events, visitors who come back, few browsers,
many pages, a click id on one session in twelve; kinds and ids of events in the shares of the mix.
"""

import argparse
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import clickhouse_connect
from rich.console import Console
from rich.table import Table

from stage import version

EVENTS: Final = Path(__file__).parents[2] / "sink" / "schema" / "0002_events.sql"
SCHEMA: Final = Path(__file__).parent.parent.parent / "sink" / "schema" / "0001_event_log.sql"
CHUNK: Final = 500_000

FILL: Final = """
INSERT INTO pharos.event_log
(event_id, site, event, kind, received_at, occurred_at, version, visitor_id, visitor_kind, user_id, client_event_id,
 url, host, path, title, referrer, referrer_host, referrer_name, referrer_kind, utm_source, utm_medium, utm_campaign,
 utm_content, source, medium, campaign, channel, click_id_name, click_id, value, currency, user_agent, browser,
 browser_version, os, os_version, device, is_bot, bot_reason, language, country, region, city, ip, consent, props,
 enriched_by)
WITH
    number AS n,
    -- 400 sessions are open at a time, so that a visitor's events lie apart, as they do in life.
    intDiv(n, 1600) * 400 + n % 400 AS session,
    intDiv(n % 1600, 400) AS step,
    cityHash64(session, 'v') AS hs,
    cityHash64(n, 'e') AS hn,
    hs % 100 AS share,
    least(hs % {visitors:UInt64}, cityHash64(hs) % {visitors:UInt64}) AS visitor,
    toInt64(1788220800000) + intDiv(n * 7776000000, {rows:UInt64}) + hn % 900 AS ms,
    -- Kinds and their ids in the shares of the mix.
    cityHash64(n, 'k') % 100 AS carrier,
    carrier < 10 AS own_id,
    carrier >= 40 AS is_tag,
    (hs % 17) AS page_seed,
    toUInt64(pow((hn % 1000000) / 1000000., 3) * 3000) AS page,
    ['shop', 'blog', 'docs'][1 + (share > 60) + (share > 85)] AS site_,
    multiIf(share < 30, 0, share < 42, 1, share < 50, 2, share < 62, 3, share < 80, 4, share < 88, 5, 6) AS way,
    cityHash64(visitor, 'ua') % 400 AS agent,
    concat('/', ['p', 'category', 'help'][1 + page % 3], '/', toString(page)) AS path_,
    concat(site_, '.example') AS host_,
    hex(toUInt64(ms)) AS hms,
    hex(sipHash128(n)) AS h128,
    if(hs % 12 = 0 AND step = 0, substring(base64Encode(toString(sipHash128(hs))), 1, 40), '') AS click,
    toUUID(concat(if(own_id, substring(h128, 20, 8), substring(hms, 1, 8)), '-', substring(hms, 9, 4),
        if(own_id, '-5', '-7'), substring(h128, 1, 3), '-8', substring(h128, 4, 3), '-', substring(h128, 7, 12))) AS id
SELECT
    id,
    site_,
    multiIf(step = 3 AND hn % 10 = 0, 'purchase', hn % 7 = 0, 'scroll', 'pageview'),
    multiIf(own_id, 'server', carrier < 15, 'open', carrier < 20, 'click', is_tag, 'tag', 'pixel'),
    ms / 1000., (ms - hn % 400) / 1000.,
    bitOr(bitShiftLeft(toUInt64(2), 60), bitOr(bitShiftLeft(toUInt64(1), 44), 17592186044415 - ms)),
    lower(hex(sipHash128(visitor))), 'cookie',
    if(visitor % 20 = 0, concat('u-', toString(visitor)), ''),
    multiIf(own_id, concat('order-', toString(n)), is_tag, toString(id), ''),
    concat('https://', host_, path_, if(step = 0 AND way IN (1, 2),
        concat('?utm_source=', ['newsletter', 'youtube'][way], '&utm_medium=', ['email', 'video'][way],
        '&utm_campaign=c', toString(hs % 60)), ''), if(click = '', '', concat('&gclid=', click))),
    host_, path_, concat('Page ', toString(page), ' of our ', site_),
    if(step > 0, concat('https://', host_, '/p/', toString(page_seed * 7)),
        ['', '', 'https://www.youtube.com/', 'https://www.google.com/', 'https://www.google.com/',
         'https://www.reddit.com/r/coffee/', 'https://t.co/'][1 + way]),
    if(step > 0, host_,
        ['', '', 'www.youtube.com', 'www.google.com', 'www.google.com', 'www.reddit.com', 't.co'][1 + way]),
    if(step > 0, '', ['', '', 'YouTube', 'Google', 'Google', 'Reddit', 'X'][1 + way]),
    if(step > 0, 'internal', ['none', 'none', 'video', 'search', 'search', 'social', 'social'][1 + way]),
    if(way IN (1, 2) AND step = 0, ['newsletter', 'youtube'][way], ''),
    if(way IN (1, 2) AND step = 0, ['email', 'video'][way], ''),
    if(way IN (1, 2) AND step = 0, concat('c', toString(hs % 60)), ''),
    if(way = 1 AND step = 0, concat('link-', toString(hs % 9)), ''),
    ['(direct)', 'newsletter', 'youtube', 'google', 'google', 'reddit', 'x'][1 + way],
    ['(none)', 'email', 'video', 'organic', 'organic', 'social', 'social'][1 + way],
    if(way IN (1, 2), concat('c', toString(hs % 60)), ''),
    ['Direct', 'Email', 'Organic Video', 'Organic Search', 'Organic Search', 'Organic Social',
        'Organic Social'][1 + way],
    if(click = '', '', 'gclid'), click,
    if(step = 3 AND hn % 10 = 0, toDecimal64((hn % 20000) / 100., 4), 0), if(step = 3 AND hn % 10 = 0, 'EUR', ''),
    concat('Mozilla/5.0 (', ['X11; Linux x86_64', 'Windows NT 10.0; Win64; x64', 'Macintosh; Intel Mac OS X 10_15_7',
        'iPhone; CPU iPhone OS 18_6 like Mac OS X'][1 + agent % 4], ') AppleWebKit/537.36 (KHTML, like Gecko) Chrome/',
        toString(100 + intDiv(agent, 8)), '.0.', toString(agent), '.0 Safari/537.36'),
    ['Chrome', 'Firefox', 'Safari', 'Edge'][1 + agent % 4], concat(toString(100 + intDiv(agent, 8)), '.0'),
    ['Linux', 'Windows', 'macOS', 'iOS'][1 + agent % 4], toString(10 + agent % 5),
    ['desktop', 'desktop', 'desktop', 'smartphone'][1 + agent % 4],
    hs % 33 = 0, if(hs % 33 = 0, 'Googlebot', ''),
    ['de', 'en', 'fr', 'es'][1 + visitor % 4], ['AT', 'DE', 'US', 'FR', 'ES'][1 + visitor % 5],
    toString(visitor % 9), ['Wien', 'Berlin', 'Paris', 'Graz', 'Linz', 'Madrid'][1 + visitor % 6],
    concat(toString(1 + visitor % 220), '.', toString(intDiv(visitor, 220) % 250), '.',
        toString(intDiv(visitor, 55000) % 250), '.0'),
    'assumed', if(hn % 20 = 0, map('plan', ['free', 'pro'][1 + visitor % 2]), map()), 1
FROM numbers({first:UInt64}, {count:UInt64})
SETTINGS max_threads = 1, max_insert_threads = 1, max_block_size = 65536, optimize_on_insert = 0
"""

QUESTIONS: Final = {
    "events and visitors a day, one site, 30 days": """
        SELECT toDate(occurred_at) AS day, count(), uniq(visitor_id) FROM pharos.events
        WHERE site = 'shop' AND NOT is_bot
          AND occurred_at >= '2026-10-15 00:00:00' AND occurred_at < '2026-11-14 00:00:00'
        GROUP BY day ORDER BY day""",
    "top pages, one site, 7 days": """
        SELECT path, count() AS views, uniq(visitor_id) FROM pharos.events
        WHERE site = 'shop' AND event = 'pageview' AND NOT is_bot
          AND occurred_at >= '2026-11-07 00:00:00' AND occurred_at < '2026-11-14 00:00:00'
        GROUP BY path ORDER BY views DESC LIMIT 20""",
    "conversions and value by channel, one site, 30 days": """
        SELECT channel, source, campaign, countIf(event = 'purchase'), sumIf(value, event = 'purchase')
        FROM pharos.events
        WHERE site = 'shop' AND NOT is_bot
          AND occurred_at >= '2026-10-15 00:00:00' AND occurred_at < '2026-11-14 00:00:00'
        GROUP BY channel, source, campaign""",
    "one visitor's whole history": """
        SELECT occurred_at, event, url, source FROM pharos.events
        WHERE site = 'shop' AND visitor_id = (SELECT any(visitor_id) FROM pharos.event_log WHERE site = 'shop'
          AND toYYYYMM(received_at) = 202610) ORDER BY occurred_at""",
    "the last 30 minutes, one site": """
        SELECT toStartOfMinute(occurred_at) AS minute, event, count() FROM pharos.events
        WHERE site = 'shop' AND occurred_at >= '2026-11-29 12:00:00' AND occurred_at < '2026-11-29 12:30:00'
        GROUP BY minute, event""",
}


def fill(client: Any, rows: int) -> float:
    """Insert the visits; return the seconds it took."""
    began = time.monotonic()
    for first in range(0, rows, CHUNK):
        bounds = {"rows": rows, "visitors": max(1, rows // 12), "first": first, "count": min(CHUNK, rows - first)}
        client.command(FILL, parameters=bounds)
    client.command("OPTIMIZE TABLE pharos.event_log FINAL SETTINGS optimize_throw_if_noop = 0")
    return time.monotonic() - began


def columns(client: Any, rows: int) -> list[tuple[str, str, float, float]]:
    """Return (column, type, compressed bytes a row, raw bytes a row), the largest first."""
    found = client.query(
        "SELECT column, any(type), sum(column_data_compressed_bytes) AS packed, sum(column_data_uncompressed_bytes) "
        "FROM system.parts_columns WHERE database = 'pharos' AND table = 'event_log' AND active "
        "GROUP BY column ORDER BY packed DESC"
    )
    return [(name, kind, packed / rows, raw / rows) for name, kind, packed, raw in found.result_rows]


def times(client: Any, rounds: int) -> dict[str, float]:
    """Return each question's median time in milliseconds."""
    found = {}
    for name, sql in QUESTIONS.items():
        spent = []
        for _ in range(rounds):
            began = time.monotonic()
            client.query(sql)
            spent.append((time.monotonic() - began) * 1000)
        found[name] = statistics.median(spent)
    return found


def main() -> int:
    """Print the two tables."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.bench.schema", description="Measure what pharos.event_log costs on disk and in time."
    )
    version.add_option(parser)
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows to insert (default %(default)s)")
    parser.add_argument("--table", type=Path, default=SCHEMA, help="file with the CREATE TABLE statement")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each query (default %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        client: Any = clickhouse_connect.get_client(interface="chdb", path=folder)
        client.command("CREATE DATABASE pharos")
        for path in (options.table, EVENTS):
            for statement in re.split(r";[ \t]*\n", path.read_text()):
                if any(line and not line.startswith("--") for line in statement.splitlines()):
                    client.command(statement)
        seconds = fill(client, options.rows)
        console = Console(width=120)
        console.print(f"{options.rows:,} rows of {options.table.name}, made and merged in {seconds:.0f} s")
        shown = Table("column", "type", "bytes a row", "raw", title_justify="left")
        found = columns(client, options.rows)
        for name, kind, packed, raw in found:
            shown.add_row(name, kind, f"{packed:.2f}", f"{raw:.1f}")
        shown.add_row("all", "", f"{sum(one[2] for one in found):.2f}", f"{sum(one[3] for one in found):.1f}")
        console.print(shown)
        asked = Table("question", "ms")
        for name, milliseconds in times(client, options.rounds).items():
            asked.add_row(name, f"{milliseconds:.0f}")
        console.print(asked)
        client.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The rows of `python -m loadtest.bench sql`, made in SQL and seeded by hash functions.

Visits of four events in the shares of the mix; one event in a hundred is written twice, three visits in two hundred
end with a purchase.
"""

from collections.abc import Callable
from typing import Final

from loadtest.bench.sql.engine import Engine

ROWS_A_VISITOR: Final = 10
CHUNK: Final = 1_000_000
MONTH_DAYS: Final = 30
START_MS: Final = 1788566400000
"""2026-09-05, UTC."""

FILL: Final = """
INSERT INTO pharos.event_log (event_id, site, event, kind, received_at, occurred_at, version, visitor_id, visitor_kind,
    user_id, client_event_id, url, host, path, title, utm_source, utm_medium, utm_campaign, source, medium, campaign,
    channel, click_id_name, click_id, value, currency, is_bot, consent, open_kind, message_id, list_id, ip, user_agent,
    props)
WITH
    number AS n,
    intDiv(n, 4) AS visit,
    n % 4 AS step,
    sipHash64(visit, {start_ms}, 'visitor') % {visitors} AS visitor,
    sipHash64(visit, 'way') AS luck,
    if(step = 0, luck % 10, 0) AS way,
    toUInt64({start_ms} + toUInt64(visit * {ms_a_visit}) + step * 47000 + sipHash64(n, 'ms') % 1000) AS ms,
    lower(hex(toUInt64(ms))) AS ms_hex,
    lower(hex(sipHash128(n, {start_ms}, 'id'))) AS random,
    toUUID(concat(substring(ms_hex, 1, 8), '-', substring(ms_hex, 9, 4), '-7', substring(random, 1, 3), '-8',
                  substring(random, 4, 3), '-', substring(random, 7, 12))) AS timed_id,
    -- Shares of rows as in the mix: tag 60 %, pixel 20, server 10, opens and clicks 5 each.
    step = 1 AND luck % 10 < 4 AS is_server,
    step = 3 AND luck % 200 >= 160 AS is_open,
    step = 0 AND luck % 10 >= 8 AS is_click,
    NOT (is_server OR is_open OR is_click) AND sipHash64(visit, 'carrier') % 4 > 0 AS is_tag,
    multiIf(step = 3 AND luck % 200 < 3, 'purchase', step = 2 AND luck % 20 = 1, 'signup', is_open, 'open',
            is_server, 'renewal', is_click, 'click', is_tag AND step = 3, 'engagement', 'pageview') AS name,
    concat('camp-', toString(luck % 7)) AS tag,
    way IN (1, 2, 3, 4, 8, 9) AS tagged,
    is_open OR is_click AS of_mail,
    if(is_server, '', concat('/p/', toString(sipHash64(n, 'page') % 2000))) AS page
SELECT
    if(is_server, toUUID(concat(substring(random, 1, 8), '-', substring(random, 9, 4), '-5', substring(random, 13, 3),
                                '-8', substring(random, 16, 3), '-', substring(random, 19, 12))), timed_id),
    'shop', name, multiIf(is_click, 'click', is_open, 'open', is_server, 'server', is_tag, 'tag', 'pixel'),
    ms / 1000., ms / 1000., {version},
    lower(hex(sipHash128(visitor, 'name'))), 'cookie',
    if(visitor % 10 = 0, concat('u-', toString(visitor % {users})), ''),
    multiIf(is_server, concat('order-', toString(n)), is_tag, toString(timed_id), ''),
    if(is_server, '', concat('https://shop.example', page)), if(is_server, '', 'shop.example'), page,
    if(is_server, '', 'Blue mug'),
    if(tagged, ['youtube', 'linkedin', 'newsletter', 'google', '', '', '', 'newsletter', 'partner'][way], ''),
    if(tagged, ['video', 'social', 'email', 'cpc', '', '', '', 'email', 'affiliate'][way], ''),
    if(tagged, tag, ''),
    ['(direct)', 'youtube', 'linkedin', 'newsletter', 'google', '(direct)', 'google', 'bing', 'newsletter',
     'partner'][way + 1],
    ['(none)', 'video', 'social', 'email', 'cpc', '(none)', 'organic', 'organic', 'email', 'affiliate'][way + 1],
    if(tagged, tag, ''),
    ['Direct', 'Organic Video', 'Organic Social', 'Email', 'Paid Search', 'Direct', 'Organic Search', 'Organic Search',
     'Email', 'Affiliates'][way + 1],
    if(way = 4, 'gclid', ''), if(way = 4, toString(luck), ''),
    if(name IN ('purchase', 'renewal'), toDecimal64(990 + luck % 9000, 4) / 100, 0),
    if(name IN ('purchase', 'renewal'), ['EUR', 'USD'][1 + (luck % 5 = 0)], ''),
    visitor % 33 = 0, 'given',
    if(is_open, ['human', 'human', 'proxy', 'prefetch'][1 + luck % 4], ''), if(of_mail, tag, ''),
    if(is_open, 'all', ''),
    if(of_mail, concat('198.51.', toString(visitor % 250), '.0'), ''),
    if(of_mail, concat('Mozilla/5.0 (browser ', toString(visitor % 40), ')'), ''),
    if(name = 'engagement', map('ms', toString(100 + luck % 60000)), map())
FROM numbers_mt({first}, {count})
WHERE {which}
SETTINGS max_block_size = 131072, max_insert_threads = 2
"""


def visitors(rows: int) -> int:
    """Return how many visitors have that many events."""
    return max(1, rows // ROWS_A_VISITOR)


def visitor_of(event: int, rows: int) -> str:
    """Return an expression: the visitor of the event of that number, of `rows` that are not moved back."""
    chosen = f"sipHash64(toUInt64({event // 4}), {START_MS}, 'visitor') % {visitors(rows)}"
    return f"lower(hex(sipHash128({chosen}, 'name')))"


def fill(
    engine: Engine, rows: int, days: int, months_before: int, on_chunk: Callable[[int], None] = lambda rows: None
) -> None:
    """Write `rows` events of `days` days, and one in a hundred again.

    Args:
        engine: has the schema.
        rows: without those that are written again.
        days: over which they are spread evenly.
        months_before: moves their start back.
        on_chunk: is called with the number of rows that were written since the last call.
    """
    for first in range(0, rows, CHUNK):
        count = min(CHUNK, rows - first)
        for version, which in ((1, "true"), (2, "n % 100 = 0")):
            engine.run(
                FILL.format(
                    first=first,
                    count=count,
                    visitors=visitors(rows),
                    users=max(1, visitors(rows) // 2),
                    ms_a_visit=days * 86_400_000 / (rows / 4),
                    start_ms=START_MS - months_before * MONTH_DAYS * 86_400_000,
                    version=version,
                    which=which,
                )
            )
        on_chunk(count)

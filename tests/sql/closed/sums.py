"""What the report's sums must be: the same counted from the events alone, as the page asked before there were sums."""

from collections import Counter
from datetime import date, timedelta

from tests.sql.warehouse import Warehouse
from tests.sql.worlds import START

ZONES = ("UTC", "Asia/Kathmandu", "America/St_Johns", "Pacific/Auckland")
"""With quarters and halves of an hour, east and west."""

_VISITS = """
WITH toDate(started_at, {tz:String}) AS day
SELECT day >= {since:String} AS now, day, channel, source, medium, campaign, entry_page, grouping(day) AS all_days,
    grouping(channel) AS all_sources, grouping(entry_page) AS all_pages, count() AS visits,
    if(all_days AND all_sources AND all_pages, uniq(visitor_id), 0) AS visitors
FROM pharos.sessions_raw(site = {site:String}, since = {before:String}, until = {until:String}, tz = {tz:String})
WHERE NOT is_bot
GROUP BY GROUPING SETS ((now), (now, day), (now, channel, source, medium, campaign), (now, entry_page))
"""
_HEALTH = """
SELECT finding.1 AS part, finding.2 AS name, count() AS events
FROM pharos.events
ARRAY JOIN arrayConcat([('traffic', if(is_bot, concat('bot: ', bot_reason), 'people')), ('consent', toString(consent))],
    if(kind = 'click' AND NOT is_bot AND link_code != '', [('click', toString(link_code))], []),
    arrayMap(field -> ('dropped', toString(field)), dropped)) AS finding
WHERE site = {site:String} AND occurred_at >= toDateTime({since:String}, {tz:String})
    AND occurred_at < toDateTime({until:String}, {tz:String})
GROUP BY part, name
"""
_PERIOD = "site = {site:String}, since = {since:String}, until = {until:String}, tz = {tz:String}"
PAIRS = {
    "visit_counts": (
        "SELECT * FROM pharos.visit_counts(site = {site:String}, before = {before:String}, since = {since:String}, "
        "until = {until:String}, tz = {tz:String})",
        _VISITS,
    ),
    "health": (f"SELECT * FROM pharos.health({_PERIOD})", _HEALTH),
    "tagging_counts": (
        f"SELECT * FROM pharos.tagging_counts({_PERIOD})",
        f"SELECT * EXCEPT (visitors) FROM pharos.tagging({_PERIOD})",
    ),
}
"""By view: how sums are asked for, and the same of the events alone."""

Period = tuple[int, int, int]
"""Days from START: before, since, until."""


def asked(warehouse: Warehouse, sql: str, site: str, period: Period, tz: str) -> Counter[str]:
    """Return the rows of an answer."""
    before, since, until = (str(_day(place)) for place in period)
    rows = warehouse.rows(sql, site=site, before=before, since=since, until=until, tz=tz)
    return Counter(str(row) for row in rows)


def agree(warehouse: Warehouse, site: str, period: Period, tz: str) -> None:
    """Compare the sums with the events."""
    for view, (summed, counted) in PAIRS.items():
        assert asked(warehouse, summed, site, period, tz) == asked(warehouse, counted, site, period, tz), view


def _day(place: int) -> date:
    return START.date() + timedelta(days=place)

"""The statements of `sink.closed_days`: what is due, the steps of a run, what puts it into use, what cleans up."""

from typing import Final

SITES: Final = """
SELECT DISTINCT toString(site) AS name FROM pharos.names WHERE {site:String} = '' OR site = {site:String} ORDER BY name
"""
CLOSED: Final = "SELECT day, max(generation) FROM pharos.closed_days WHERE site = {site:String} GROUP BY day"
CHANGED: Final = """
SELECT day, toUnixTimestamp64Milli(at) FROM pharos.changed(site = {site:String}, of_closed = 0) WHERE day > '1970-01-03'
"""
RECENT: Final = """
SELECT DISTINCT toDate(occurred_at) AS day FROM pharos.event_log
WHERE site = {site:String} AND occurred_at >= toDateTime64({since:String}, 3, 'UTC')
"""
COUNTS: Final = """
SELECT toDate(occurred_at) AS day, count() FROM pharos.event_log
WHERE site = {site:String} AND toDate(occurred_at) IN (SELECT arrayJoin(CAST({days:String}, 'Array(Date)')))
GROUP BY day
"""

STEPS: Final = {
    "begun": """
INSERT INTO pharos.closed_begun (site, day, generation)
SELECT {site:String}, toDate({first:String}) + number AS day, {generation:UInt64} + bitAnd(toUInt16(day), 8191)
FROM numbers(toUInt64(toDate({end:String}) - toDate({first:String})))
""",
    # Visitors without a pause for a whole day: next to such a day their sessions are not known from three days alone.
    "restless": """
INSERT INTO pharos.closed_restless (site, day, generation, visitor_id)
SELECT DISTINCT {site:String}, near AS day, {generation:UInt64} + bitAnd(toUInt16(near), 8191), visitor_id
FROM
(
    SELECT visitor_id, arrayJoin([toDate(busy.day) - 1, toDate(busy.day) + 1]) AS near
    FROM pharos.restless(site = {site:String}, first = {before:String}, end = {after:String},
        edges = CAST({days:String}, 'Array(Date32)')) AS busy
)
WHERE near >= toDate({first:String}) AND near < toDate({end:String})
""",
    "sessions": """
INSERT INTO pharos.closed_sessions (site, day, generation, visitor_id, is_bot, session_id, started_at, lasted_ms,
    entry_page, exit_page, origin, events, value)
SELECT site, toDate(started_at) AS day, {generation:UInt64} + bitAnd(toUInt16(day), 8191), visitor_id, is_bot,
    session_id, started_at, toUnixTimestamp64Milli(ended_at) - toUnixTimestamp64Milli(started_at), entry_page,
    exit_page,
    if(channel = 'Direct' AND source = '(direct)' AND medium = '(none)' AND campaign = '', '',
       concat(source, '\\0', medium, '\\0', campaign, '\\0', channel)), events, value
FROM pharos.sessions_raw(site = {site:String}, since = {first:String}, until = {end:String}, tz = 'UTC')
WHERE (visitor_id, toDate(started_at)) NOT IN (
    SELECT visitor_id, day FROM pharos.closed_restless
    WHERE site = {site:String} AND generation BETWEEN {generation:UInt64} AND {generation:UInt64} + 8191)
""",
    # Clicks within sessions: only visitors with a click are cut once more.
    "clicks": """
INSERT INTO pharos.closed_touches (site, day, generation, visitor_id, user_id, occurred_at, event_id, kind, source,
    medium, campaign, channel)
SELECT site, toDate(occurred_at) AS day, {generation:UInt64} + bitAnd(toUInt16(day), 8191), visitor_id, user_id,
    occurred_at, event_id, kind, source, medium, campaign, channel
FROM pharos.touches_raw(site = {site:String}, since = {first:String}, until = {end:String}, tz = 'UTC')
WHERE kind = 'click' AND visitor_id != '' AND visitor_id IN (
        SELECT visitor_id FROM pharos.event_log
        WHERE site = {site:String} AND kind = 'click' AND occurred_at >= toDateTime64({first:String}, 3, 'UTC')
            AND occurred_at < toDateTime64({end:String}, 3, 'UTC'))
    AND (visitor_id, toDate(occurred_at)) NOT IN (
        SELECT visitor_id, day FROM pharos.closed_restless
        WHERE site = {site:String} AND generation BETWEEN {generation:UInt64} AND {generation:UInt64} + 8191)
""",
    "opens": """
INSERT INTO pharos.closed_touches (site, day, generation, visitor_id, user_id, occurred_at, event_id, kind, source,
    medium, campaign, channel)
SELECT site, toDate(occurred_at) AS day, {generation:UInt64} + bitAnd(toUInt16(day), 8191), visitor_id,
    if(visitor_id = '', e.user_id, ''), occurred_at, event_id, kind, source, medium, campaign, channel
FROM pharos.standing(site = {site:String}, events = '', since = {first:String}, until = {end:String}, tz = 'UTC') AS e
WHERE NOT is_bot AND ((kind = 'open' AND open_kind = 'human') OR (kind = 'click' AND visitor_id = ''))
""",
    "ids": """
INSERT INTO pharos.closed_ids (site, id, day, generation)
SELECT site, bitShiftRight(sipHash64(event_id), 16), toDate(occurred_at) AS day,
    {generation:UInt64} + bitAnd(toUInt16(day), 8191)
FROM pharos.standing(site = {site:String}, events = '', since = {first:String}, until = {end:String}, tz = 'UTC')
WHERE (visitor_id != '' OR kind IN ('click', 'open'))
    AND toDate(UUIDv7ToDateTime(event_id, 'UTC')) != toDate(occurred_at)
""",
}
"""What a run writes, by name and in order; nothing of it counts before USE."""

USE: Final = """
INSERT INTO pharos.closed_days (site, day, generation)
SELECT {site:String}, toDate({first:String}) + number AS day, {generation:UInt64} + bitAnd(toUInt16(day), 8191)
FROM numbers(toUInt64(toDate({end:String}) - toDate({first:String})))
"""
ERASED: Final = """
SELECT count() FROM pharos.late_rows
WHERE site = {site:String} AND id = 0 AND toUnixTimestamp64Milli(at) >= bitShiftRight({generation:UInt64}, 22)
"""
"""An erasure notes the days that it changes as rows with the id 0."""

FORGETTABLE: Final = """
({site:String} = '' OR site = {site:String}) AND toUnixTimestamp64Milli(at) < {until_ms:Int64}
"""
UNUSED: Final = """
SELECT toString(site), groupArray(generation) FROM pharos.closed_begun
WHERE generation < {before:UInt64} AND (site, generation) NOT IN (SELECT site, generation FROM pharos.closed_days FINAL)
GROUP BY site
"""

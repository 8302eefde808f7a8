"""The statements of `sink.closed_days`: what is due, the steps of a run, what puts it into use, what cleans up."""

from typing import Final

SITES: Final = """
SELECT DISTINCT toString(site) AS name FROM pharos.names WHERE {site:String} = '' OR site = {site:String} ORDER BY name
"""
FORM: Final = 2
"""Which columns the rows of a closed day have; what `pharos.settled` asks for."""
CLOSED: Final = f"""
SELECT day, generation FROM pharos.closed_days FINAL WHERE site = {{site:String}} AND form >= {FORM}
"""  # noqa: S608  own constant
OUTDATED: Final = f"SELECT day FROM pharos.closed_days FINAL WHERE site = {{site:String}} AND form < {FORM}"  # noqa: S608  own constant
"""Closed by an older sink."""
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
    entry_page, exit_page, origin, events, value, views, engaged_ms, landed, content, term, link_code, device, browser,
    os, language, country)
SELECT site, toDate(started_at) AS day, {generation:UInt64} + bitAnd(toUInt16(day), 8191), visitor_id, is_bot,
    session_id, started_at, toUnixTimestamp64Milli(ended_at) - toUnixTimestamp64Milli(started_at), entry_page,
    exit_page,
    if(channel = 'Direct' AND source = '(direct)' AND medium = '(none)' AND campaign = '', '',
       concat(source, '\\0', medium, '\\0', campaign, '\\0', channel)), events, value,
    views, engaged_ms, landed, content, term, link_code, device, browser, os, language, country
FROM pharos.session_measures(site = {site:String}, since = {first:String}, until = {end:String}, closed = 0)
WHERE (visitor_id, toDate(started_at)) NOT IN (
    SELECT visitor_id, day FROM pharos.closed_restless
    WHERE site = {site:String} AND generation BETWEEN {generation:UInt64} AND {generation:UInt64} + 8191)
""",
    # Clicks within sessions: only visitors with a click are cut once more.
    "clicks": """
INSERT INTO pharos.closed_touches (site, day, generation, visitor_id, user_id, occurred_at, event_id, kind, source,
    medium, campaign, channel, content, term, link_code, path, device, country)
SELECT t.site, toDate(t.occurred_at) AS day, {generation:UInt64} + bitAnd(toUInt16(day), 8191), t.visitor_id, t.user_id,
    t.occurred_at, t.event_id, t.kind, t.source, t.medium, t.campaign, t.channel,
    own.utm_content, own.utm_term, own.link_code, own.path, own.device, own.country
FROM
(
    SELECT event_id, utm_content, utm_term, link_code, path, device, country
    FROM pharos.standing(site = {site:String}, events = '', since = {first:String}, until = {end:String}, tz = 'UTC')
    WHERE kind = 'click'
) AS own
RIGHT ANY JOIN
(
    SELECT *
    FROM pharos.touches_raw(site = {site:String}, since = {first:String}, until = {end:String}, tz = 'UTC')
    WHERE kind = 'click' AND visitor_id != '' AND visitor_id IN (
            SELECT visitor_id FROM pharos.event_log
            WHERE site = {site:String} AND kind = 'click' AND occurred_at >= toDateTime64({first:String}, 3, 'UTC')
                AND occurred_at < toDateTime64({end:String}, 3, 'UTC'))
        AND (visitor_id, toDate(occurred_at)) NOT IN (
            SELECT visitor_id, day FROM pharos.closed_restless
            WHERE site = {site:String} AND generation BETWEEN {generation:UInt64} AND {generation:UInt64} + 8191)
) AS t ON t.event_id = own.event_id
""",
    "opens": """
INSERT INTO pharos.closed_touches (site, day, generation, visitor_id, user_id, occurred_at, event_id, kind, source,
    medium, campaign, channel, content, term, link_code, path, device, country)
SELECT site, toDate(occurred_at) AS day, {generation:UInt64} + bitAnd(toUInt16(day), 8191), visitor_id,
    if(visitor_id = '', e.user_id, ''), occurred_at, event_id, kind, source, medium, campaign, channel,
    utm_content, utm_term, link_code, path, device, country
FROM pharos.standing(site = {site:String}, events = '', since = {first:String}, until = {end:String}, tz = 'UTC') AS e
WHERE NOT is_bot AND ((kind = 'open' AND open_kind = 'human') OR (kind = 'click' AND visitor_id = ''))
""",
    "ids": """
INSERT INTO pharos.closed_ids (site, id, day, generation)
SELECT site, bitShiftRight(sipHash64(event_id), 16), toDate(occurred_at) AS day,
    {generation:UInt64} + bitAnd(toUInt16(day), 8191)
FROM pharos.standing(site = {site:String}, events = '', since = {first:String}, until = {end:String}, tz = 'UTC')
WHERE toDate(UUIDv7ToDateTime(event_id, 'UTC')) != toDate(occurred_at)
""",
    # Sums: of the sessions above, and of all events.
    "visits": """
INSERT INTO pharos.closed_counts (site, day, generation, part, name, number)
SELECT site, day, generation, counted.1, counted.2, count()
FROM pharos.closed_sessions
ARRAY JOIN [('visit_time', toString(toHour(started_at) * 4 + intDiv(toMinute(started_at), 15))),
    ('visit_origin', toString(origin)), ('visit_page', entry_page)] AS counted
WHERE site = {site:String} AND generation BETWEEN {generation:UInt64} AND {generation:UInt64} + 8191 AND NOT is_bot
GROUP BY ALL
""",
    "findings": """
INSERT INTO pharos.closed_counts (site, day, generation, part, name, number)
SELECT {site:String}, toDate(occurred_at) AS day, {generation:UInt64} + bitAnd(toUInt16(day), 8191), part, name, count()
FROM pharos.findings(site = {site:String}, since = {first:String}, until = {end:String})
GROUP BY ALL
""",
    "arrivals": """
INSERT INTO pharos.closed_arrivals (site, day, generation, utm_source, utm_medium, utm_campaign, utm_id, click_id_name,
    referrer_host, referrer_kind, source, medium, campaign, channel, arrivals)
SELECT {site:String}, toDate(occurred_at) AS day, {generation:UInt64} + bitAnd(toUInt16(day), 8191), utm_source,
    utm_medium, utm_campaign, utm_id, click_id_name, referrer_host, referrer_kind, source, medium, campaign, channel,
    count()
FROM pharos.arrivals(site = {site:String}, since = {first:String}, until = {end:String})
GROUP BY ALL
""",
}
"""What a run writes, by name and in order; nothing of it counts before USE."""

USE: Final = f"""
INSERT INTO pharos.closed_days (site, day, generation, form)
SELECT {{site:String}}, toDate({{first:String}}) + number AS day,
    {{generation:UInt64}} + bitAnd(toUInt16(day), 8191), {FORM}
FROM numbers(toUInt64(toDate({{end:String}}) - toDate({{first:String}})))
"""  # noqa: S608  own constant
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

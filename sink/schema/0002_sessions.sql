-- Sessions and touches. Definitions in words: docs/sql.md.
-- Order is (occurred_at, event_id as text): ClickHouse compares UUIDs by their second half first, hence UUIDToNum.
-- One aggregation a visitor with arrays instead of window functions: events are grouped once, sorted inside their
-- visitor and cut into sessions there. Both views are cuts of the same `visits`.

-- One row a (site, visitor, bot or not): events in order of (occurred_at, event_id), cut into sessions.
-- `arrivals` holds what attribution needs of each event, `pages` what only `sessions` shows, in the same order and cut,
-- so that a query that does not ask for pages never reads them. Mail opens are no visits.
-- arrivals: 1 occurred_at, 2 event_id, 3 campaign key (0: none), 4 click, 5 visit, 6 source, 7 medium, 8 campaign, 9 channel
-- pages: 1 occurred_at, 2 event_id, 3 path, 4 currency, 5 value
CREATE OR REPLACE VIEW pharos.visits AS
WITH
    arraySort(e -> (e.1, UUIDToNum(e.2)), groupArray((
        occurred_at,
        event_id,
        -- What starts a session of its own: a campaign or a click id other than the session's last one.
        if(utm_source != '' OR utm_medium != '' OR utm_campaign != '' OR utm_id != '' OR click_id != '',
           sipHash64(source, medium, campaign, utm_id, click_id), 0),
        kind = 'click',
        -- A server's event that names no page (a payment confirmed, a refund) is part of a session, but nobody arrived.
        kind != 'server' OR url != '',
        source, medium, campaign, channel
    ))) AS ordered,
    ordered.1 AS at,
    ordered.3 AS key,
    arrayMap((this, before) -> this - before >= 1800, at, arrayPopBack(arrayPushFront(at, toDateTime64(0, 3, 'UTC')))) AS idle,
    -- The session's last campaign up to each event: carried on until the next campaign or the next idle gap.
    arrayFill((k, i) -> k != 0 OR i, key, idle) AS campaign_so_far,
    arrayMap((i, k, before) -> i OR (k != 0 AND k != before),
             idle, key, arrayPopBack(arrayPushFront(campaign_so_far, toUInt64(0)))) AS cut
SELECT
    site,
    visitor_id,
    is_bot,
    arraySplit((e, c) -> c, ordered, cut) AS arrivals,
    arraySplit((e, c) -> c, arraySort(e -> (e.1, UUIDToNum(e.2)), groupArray((occurred_at, event_id, path, currency, value))), cut) AS pages
FROM pharos.events
WHERE visitor_id != '' AND kind != 'open'
GROUP BY site, visitor_id, is_bot;

-- One row a session. `value` is by currency: read it as value['EUR'], add it up with sumMap(value).
CREATE OR REPLACE VIEW pharos.sessions AS
WITH
    greatest(arrayFirstIndex(e -> e.5, events_of), 1) AS arrival,
    arrayFilter(p -> p.3 != '', pages_of) AS with_path,
    arrayFilter(p -> p.5 != 0, pages_of) AS paid,
    arrayDistinct(paid.4) AS currencies
SELECT
    site,
    visitor_id,
    events_of[1].2 AS session_id,
    events_of[1].1 AS started_at,
    events_of[-1].1 AS ended_at,
    with_path[1].3 AS entry_page,
    with_path[-1].3 AS exit_page,
    events_of[arrival].6 AS source,
    events_of[arrival].7 AS medium,
    events_of[arrival].8 AS campaign,
    events_of[arrival].9 AS channel,
    length(events_of) AS events,
    mapFromArrays(currencies, arrayMap(c -> arraySum(p -> if(p.4 = c, p.5, 0), paid), currencies)) AS value,
    is_bot
FROM pharos.visits
ARRAY JOIN arrivals AS events_of, pages AS pages_of;

-- One row a touch: the arrival of a session, a click on a link of ours, a mail opened by a human. An event is one touch
-- at most: a click that starts a session is that session's arrival. `user_id` is filled where there is no visitor_id.
CREATE OR REPLACE VIEW pharos.touches AS
WITH arrayFirstIndex(e -> e.5, events_of) AS arrival
SELECT
    site,
    visitor_id,
    '' AS user_id,
    touch.1 AS occurred_at,
    touch.2 AS event_id,
    if(touch.3, 'arrival', 'click') AS kind,
    touch.4 AS source,
    touch.5 AS medium,
    touch.6 AS campaign,
    touch.7 AS channel
FROM pharos.visits
ARRAY JOIN arrivals AS events_of
ARRAY JOIN arrayMap(
    (e, i) -> (e.1, e.2, i = arrival, e.6, e.7, e.8, e.9),
    arrayFilter((e, i) -> e.4 OR i = arrival, events_of, arrayEnumerate(events_of)) AS chosen,
    arrayFilter((i, e) -> e.4 OR i = arrival, arrayEnumerate(events_of), events_of)) AS touch
WHERE NOT is_bot
UNION ALL
SELECT
    site,
    visitor_id,
    if(visitor_id = '', e.user_id, '') AS user_id,
    occurred_at,
    event_id,
    kind,
    source,
    medium,
    campaign,
    channel
FROM pharos.events AS e
WHERE NOT is_bot AND ((kind = 'open' AND open_kind = 'human') OR (kind = 'click' AND visitor_id = ''));

-- Who is who: one row a visitor that ever named its user. The first name stays, so that answers about the past do not
-- change when a visitor's browser is used by someone else later.
CREATE OR REPLACE VIEW pharos.people AS
SELECT site, visitor_id, argMin(e.user_id, (occurred_at, UUIDToNum(event_id))) AS user_id
FROM pharos.events AS e
WHERE e.user_id != '' AND visitor_id != '' AND NOT is_bot
GROUP BY site, visitor_id;

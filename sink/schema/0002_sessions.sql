-- Sessions and touches. Definitions in words: docs/sql.md.
-- Order is (occurred_at, event_id as text): ClickHouse compares UUIDs by their second half first, hence UUIDToNum.
-- One aggregation a visitor with arrays instead of window functions: events are grouped once, sorted inside their
-- visitor and cut into sessions there. Both views are cuts of the same `visits`.

-- One row a (site, visitor, bot or not): events in order of (occurred_at, event_id), cut into sessions.
-- Millions of visitors are held at once, so an event is kept small: where it comes from is one text, empty for direct,
-- and what only `sessions` shows lies in arrays of its own (`paths`, `payments`), never read by who does not ask.
-- groupArray keeps one order of rows within a GROUP BY, so `paths` fits `arrivals`. Mail opens are no visits.
-- arrivals: 1 occurred_at, 2 event_id, 3 campaign key (0: none), 4 click, 5 visit, 6 source, medium, campaign, channel
-- payments: 1 event_id, 2 currency, 3 value
CREATE OR REPLACE VIEW pharos.visits AS
WITH
    groupArray((
        occurred_at,
        event_id,
        -- What starts a session of its own: a campaign or a click id other than the session's last one.
        if(utm_source != '' OR utm_medium != '' OR utm_campaign != '' OR utm_id != '' OR click_id != '',
           sipHash64(source, medium, campaign, utm_id, click_id), 0),
        kind = 'click',
        -- A server's event that names no page (a payment confirmed, a refund) is part of a session, but nobody arrived.
        kind != 'server' OR url != '',
        if(channel = 'Direct' AND source = '(direct)' AND medium = '(none)' AND campaign = '',
           '', concat(source, '\0', medium, '\0', campaign, '\0', channel))
    )) AS as_read,
    arraySort(e -> (e.1, UUIDToNum(e.2)), as_read) AS ordered,
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
    arraySplit((p, c) -> c, arraySort((p, e) -> (e.1, UUIDToNum(e.2)), groupArray(path), as_read), cut) AS paths,
    groupArrayIf((event_id, currency, value), value != 0) AS payments
FROM pharos.events
WHERE visitor_id != '' AND kind != 'open'
GROUP BY site, visitor_id, is_bot
-- Past this, groups go to disk for a while: twenty million events are answered within 4 GiB, and more too.
SETTINGS max_bytes_before_external_group_by = 2500000000;

-- One row a session. `value` is by currency: read it as value['EUR'], add it up with sumMap(value).
CREATE OR REPLACE VIEW pharos.sessions AS
WITH
    splitByChar('\0', if(arrival.6 = '', '(direct)\0(none)\0\0Direct', arrival.6)) AS origin,
    arrayDistinct(paid.2) AS currencies
SELECT
    site,
    visitor_id,
    events_of[1].2 AS session_id,
    events_of[1].1 AS started_at,
    events_of[-1].1 AS ended_at,
    arrayFirst(path -> path != '', paths_of) AS entry_page,
    arrayLast(path -> path != '', paths_of) AS exit_page,
    origin[1] AS source,
    origin[2] AS medium,
    origin[3] AS campaign,
    origin[4] AS channel,
    length(events_of) AS events,
    mapFromArrays(currencies, arrayMap(c -> arraySum(p -> if(p.2 = c, p.3, 0), paid), currencies)) AS value,
    is_bot
FROM
(
    SELECT
        site,
        visitor_id,
        is_bot,
        events_of,
        paths_of,
        events_of[greatest(arrayFirstIndex(e -> e.5, events_of), 1)] AS arrival,
        arrayFilter(p -> has(ids, p.1), payments) AS paid
    FROM
    (
        SELECT site, visitor_id, is_bot, payments, events_of, paths_of, if(empty(payments), [], events_of.2) AS ids
        FROM pharos.visits
        ARRAY JOIN arrivals AS events_of, paths AS paths_of
    )
);

-- One row a touch: the arrival of a session, a click on a link of ours, a mail opened by a human. An event is one touch
-- at most: a click that starts a session is that session's arrival. `user_id` is filled where there is no visitor_id.
CREATE OR REPLACE VIEW pharos.touches AS
WITH
    arrayFirstIndex(e -> e.5, events_of) AS arrival,
    splitByChar('\0', if(touch.4 = '', '(direct)\0(none)\0\0Direct', touch.4)) AS origin
SELECT
    site,
    visitor_id,
    '' AS user_id,
    touch.1 AS occurred_at,
    touch.2 AS event_id,
    if(touch.3, 'arrival', 'click') AS kind,
    origin[1] AS source,
    origin[2] AS medium,
    origin[3] AS campaign,
    origin[4] AS channel
FROM pharos.visits
ARRAY JOIN arrivals AS events_of
ARRAY JOIN arrayMap(
    (e, i) -> (e.1, e.2, i = arrival, e.6),
    arrayFilter((e, i) -> e.4 OR i = arrival, events_of, arrayEnumerate(events_of)),
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
-- change when a visitor's browser is used by someone else later. Every copy of an event may name the user, the server's
-- too, so the log is read as it lies.
CREATE OR REPLACE VIEW pharos.people AS
SELECT site, visitor_id, argMin(e.user_id, (occurred_at, UUIDToNum(event_id))) AS user_id
FROM pharos.event_log AS e
WHERE e.user_id != '' AND visitor_id != '' AND NOT is_bot
GROUP BY site, visitor_id;

-- Open days in fewer reads. A question about nothing costs what ClickHouse needs to analyse its parts, and most of these are the
-- sessions of days that are not closed. Each definition below reads the events once, and once more the ids of those that servers may
-- have sent, which it looks up in one join. `visit_events` (0003_sessions.sql) is read by no view any more.

-- As `visit_events` (0003_sessions.sql): events of [since, until) but for those of the days in `skip`, and of `visitors` all events ever.
CREATE OR REPLACE VIEW pharos.visit_rows SQL SECURITY DEFINER AS
SELECT
    site,
    visitor_id,
    is_bot,
    occurred_at,
    code,
    concat(
        reinterpretAsFixedString(byteSwap(toUInt64(toUnixTimestamp64Milli(occurred_at) + 2208988800000))),
        UUIDToNum(event_id),
        reinterpretAsFixedString(if({whole:UInt8} = 1, bitOr(code, if(value != 0, 262144, 0)), bitAnd(code, 18446744073709486080))),
        if({whole:UInt8} = 1, path, ''),
        origin,
        if({whole:UInt8} = 0 OR value = 0, '',
           concat(reinterpretAsFixedString(value), reinterpretAsFixedString(reinterpretAsUInt64(currency))))) AS packed
FROM
(
    SELECT
        site, visitor_id, if(server.found, server.is_bot, copy.is_bot) AS is_bot, occurred_at, copy.event_id AS event_id, code, path,
        origin, if(server.claims, server.value, copy.value) AS value, if(server.claims, server.currency, copy.currency) AS currency
    FROM
    (
        SELECT site, visitor_id, is_bot, occurred_at, event_id, visit_code AS code, path, origin, value, currency
        FROM pharos.event_log FINAL
        PREWHERE {site:String} = '' OR site = {site:String}
        WHERE ({since:String} = '' OR occurred_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC'))
            AND ({until:String} = '' OR occurred_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC'))
            AND toDate32(occurred_at) NOT IN {skip:Array(Date32)}
            AND visitor_id != '' AND kind != 'open' AND NOT (event = 'consent' AND consent = 'refused')
        -- A read of its own: with one condition for both ClickHouse would read all events ever.
        UNION ALL
        SELECT site, visitor_id, is_bot, occurred_at, event_id, visit_code AS code, path, origin, value, currency
        FROM pharos.event_log FINAL
        PREWHERE notEmpty({visitors:Array(String)}) AND ({site:String} = '' OR site = {site:String})
        WHERE has({visitors:Array(String)}, visitor_id)
            AND NOT (({since:String} = '' OR occurred_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC'))
                AND ({until:String} = '' OR occurred_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC'))
                AND toDate32(occurred_at) NOT IN {skip:Array(Date32)})
            AND visitor_id != '' AND kind != 'open' AND NOT (event = 'consent' AND consent = 'refused')
    ) AS copy
    LEFT ANY JOIN
    (
        SELECT event_id, a.value AS value, a.currency AS currency, a.is_bot AS is_bot, true AS found,
            a.value != 0 OR a.currency != '' AS claims
        FROM pharos.authenticated AS a FINAL
        WHERE ({site:String} = '' OR site = {site:String}) AND UUIDToNum(event_id) IN (
            SELECT UUIDToNum(event_id)
            FROM pharos.event_log
            PREWHERE event IN (SELECT event FROM pharos.names WHERE authenticated) AND ({site:String} = '' OR site = {site:String})
            WHERE ({since:String} = '' OR occurred_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC'))
                AND ({until:String} = '' OR occurred_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC'))
                AND (kind != 'server' OR client_event_id = '') -- where no other copy won there is nothing to look up
            UNION ALL
            SELECT UUIDToNum(event_id)
            FROM pharos.event_log
            PREWHERE notEmpty({visitors:Array(String)}) AND event IN (SELECT event FROM pharos.names WHERE authenticated)
                AND ({site:String} = '' OR site = {site:String})
            WHERE has({visitors:Array(String)}, visitor_id) AND (kind != 'server' OR client_event_id = ''))
    ) AS server USING (event_id)
);

-- As in 0003_sessions.sql.
CREATE OR REPLACE VIEW pharos.restless SQL SECURITY DEFINER AS
WITH
    arraySort(groupArray((toUInt64(toUnixTimestamp64Milli(occurred_at) + 2208988800000),
                          if(bitTest(code, 19), 0, bitShiftRight(code, 20))))) AS ordered,
    ordered.1 AS at,
    arrayMap((t, back) -> t - back, at, ordered.2) AS began,
    toUInt64(toUnixTimestamp64Milli(toDateTime64(day, 3, 'UTC')) + 2208988800000) AS start
SELECT visitor_id, toDate32(occurred_at) AS day
FROM pharos.visit_rows(site = {site:String}, since = {first:String}, until = {end:String}, whole = 0, skip = [], visitors = [])
WHERE toDate32(occurred_at) IN {edges:Array(Date32)}
GROUP BY site, visitor_id, is_bot, day
HAVING began[1] < start + 1800000
    AND at[-1] >= start + 86400000 - 45000000
    AND NOT arrayExists((b, t) -> b >= t + 1800000, arrayPopFront(began), arrayPopBack(at));

-- As in 0003_sessions.sql.
CREATE OR REPLACE VIEW pharos.visits AS
SELECT
    site,
    visitor_id,
    is_bot,
    -- A part without an arrival is not a session.
    arrayFilter((p, c) -> bitTest(c[1], 17), parts, codes_of_parts) AS cuts,
    arrayFilter(c -> bitTest(c[1], 17), codes_of_parts) AS codes
FROM
(
    SELECT
        site, visitor_id, is_bot,
        arraySplit((e, c) -> c, ordered, cut) AS parts,
        arraySplit((e, c) -> c, code, cut) AS codes_of_parts
    FROM
    (
        SELECT
            site, visitor_id, is_bot, ordered, code,
            arrayMap((i, a, h, k, before) -> i OR (a AND NOT h) OR (k != 0 AND k != before),
                     idle, arrives, arrayPopBack(arrayPushFront(here, false)),
                     key, arrayPopBack(arrayPushFront(campaign_so_far, toUInt64(0)))) AS cut
        FROM
        (
            SELECT
                *,
                -- Whether somebody has arrived since the last idle gap, and the session's last campaign up to each event.
                arrayFill((a, i) -> a OR i, arrives, idle) AS here,
                arrayFill((k, i) -> k != 0 OR i, key, idle) AS campaign_so_far
            FROM
            (
                SELECT
                    site, visitor_id, is_bot, ordered, code,
                    arrayMap(c -> bitTest(c, 17), code) AS arrives,
                    arrayMap(c -> if(bitTest(c, 19), bitShiftRight(c, 19), 0), code) AS key,
                    -- An engagement counts its time backwards.
                    arrayMap((t, c, before) -> t - if(bitTest(c, 19), 0, bitShiftRight(c, 20)) >= before + 1800000,
                             at, code, arrayPopBack(arrayPushFront(at, toUInt64(0)))) AS idle
                FROM
                (
                    SELECT
                        site, visitor_id, is_bot, ordered,
                        arrayMap(e -> reinterpretAsUInt64(substring(e, 25, 8)), ordered) AS code,
                        arrayMap(e -> byteSwap(reinterpretAsUInt64(substring(e, 1, 8))), ordered) AS at
                    FROM
                    (
                        SELECT site, visitor_id, is_bot, arraySort(groupArray(packed)) AS ordered
                        FROM pharos.visit_rows(site = {site:String}, since = {first:String}, until = {end:String},
                            whole = {whole:UInt8}, skip = {skip:Array(Date32)}, visitors = {visitors:Array(String)})
                        GROUP BY site, visitor_id, is_bot
                    )
                )
            )
        )
    )
)
-- Past this, groups go to disk for a while: twenty million events are answered within 4 GiB, and more too.
SETTINGS max_bytes_before_external_group_by = 3200000000;

-- As in 0003_sessions.sql.
CREATE OR REPLACE VIEW pharos.loose_touches SQL SECURITY DEFINER AS
SELECT
    site, visitor_id, if(visitor_id != '', '', if(server.user_id != '', server.user_id, copy.user_id)) AS user_id, occurred_at,
    copy.event_id AS event_id, kind, source, medium, campaign, channel
FROM
(
    SELECT site, visitor_id, user_id, occurred_at, event_id, kind, source, medium, campaign, channel, is_bot
    FROM pharos.event_log FINAL
    PREWHERE {site:String} = '' OR site = {site:String}
    WHERE ({since:String} = '' OR occurred_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC'))
        AND ({until:String} = '' OR occurred_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC'))
        AND (kind = 'open' AND open_kind = 'human' OR kind = 'click' AND visitor_id = '')
) AS copy
LEFT ANY JOIN
(
    SELECT event_id, a.user_id AS user_id, a.is_bot AS is_bot, true AS found
    FROM pharos.authenticated AS a FINAL
    WHERE ({site:String} = '' OR site = {site:String}) AND UUIDToNum(event_id) IN (
        SELECT UUIDToNum(event_id)
        FROM pharos.event_log
        PREWHERE event IN (SELECT event FROM pharos.names WHERE authenticated) AND ({site:String} = '' OR site = {site:String})
        WHERE ({since:String} = '' OR occurred_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC'))
            AND ({until:String} = '' OR occurred_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC'))
            AND (kind = 'open' AND open_kind = 'human' OR kind = 'click' AND visitor_id = ''))
) AS server USING (event_id)
WHERE NOT if(server.found, server.is_bot, copy.is_bot);

-- Sessions and touches. Definitions in words: docs/sql.md.
-- Order is (occurred_at, event_id as text): ClickHouse compares UUIDs by their second half first, hence UUIDToNum.
-- One aggregation a visitor with arrays instead of window functions, and one text an event: millions of visitors are held
-- at once. A text that begins with the time and the id sorts as it is. Figures: docs/benchmarks.md.

-- Events that may be part of a session, each as a text: 8 bytes of time (ms since 1900, greatest first), 16 of id, 8 of
-- code, path, origin, and with money (bit 18 of the code) 8 of value, 8 of currency. With whole = 0 there is no path and no
-- money, and neither is read: touches need none. Mail opens and suppressions are no visits. With everyone = 0 of `visitors`
-- alone. It is `standing` (0002_events.sql) with the columns that a visit needs: a question about little costs what ClickHouse
-- needs to analyse all columns of each view.
CREATE OR REPLACE VIEW pharos.visit_events SQL SECURITY DEFINER AS
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
    SELECT site, visitor_id, is_bot, occurred_at, event_id, visit_code AS code, path, origin, value, currency
    FROM pharos.event_log FINAL
    PREWHERE event NOT IN (SELECT event FROM pharos.names WHERE authenticated) AND ({site:String} = '' OR site = {site:String})
    WHERE ({since:String} = '' OR occurred_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC'))
        AND ({until:String} = '' OR occurred_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC'))
        AND ({everyone:UInt8} = 1 OR has({visitors:Array(String)}, visitor_id))
        AND visitor_id != '' AND kind != 'open' AND NOT (event = 'consent' AND consent = 'refused')
    UNION ALL
    SELECT
        site, visitor_id, if(server.found, server.is_bot, copy.is_bot), occurred_at, copy.event_id, code, path, origin,
        if(server.claims, server.value, copy.value), if(server.claims, server.currency, copy.currency)
    FROM
    (
        SELECT site, visitor_id, is_bot, occurred_at, event_id, visit_code AS code, path, origin, value, currency
        FROM pharos.event_log FINAL
        PREWHERE event IN (SELECT event FROM pharos.names WHERE authenticated) AND ({site:String} = '' OR site = {site:String})
        WHERE ({since:String} = '' OR occurred_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC'))
            AND ({until:String} = '' OR occurred_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC'))
            AND ({everyone:UInt8} = 1 OR has({visitors:Array(String)}, visitor_id))
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
                AND ({everyone:UInt8} = 1 OR has({visitors:Array(String)}, visitor_id))
                AND visitor_id != '' AND kind != 'open' AND NOT (event = 'consent' AND consent = 'refused'))
    ) AS server USING (event_id)
);

-- Days of a site that late rows change, with the moment of the last of these. A day's sessions depend on the days before
-- and after it; and a row may be a copy of an event of a closed day. With of_closed = 1 nothing is read if none is closed.
CREATE OR REPLACE VIEW pharos.changed SQL SECURITY DEFINER AS
SELECT arrayJoin([day - 1, day, day + 1]) AS day, max(at) AS at
FROM
(
    SELECT day, at FROM pharos.late_rows
    WHERE site = {site:String} AND ({of_closed:UInt8} = 0 OR site IN (SELECT site FROM pharos.closed_days WHERE site = {site:String}))
    UNION ALL
    SELECT known.day, late.at
    FROM pharos.closed_ids AS known
    INNER JOIN
    (
        SELECT id, max(at) AS at
        FROM pharos.late_rows
        WHERE site = {site:String} AND site IN (SELECT site FROM pharos.closed_days WHERE site = {site:String})
        GROUP BY id
    ) AS late ON late.id = known.id
    WHERE known.site = {site:String} AND known.id IN (
        SELECT id FROM pharos.late_rows
        WHERE site = {site:String} AND site IN (SELECT site FROM pharos.closed_days WHERE site = {site:String}))
)
GROUP BY day;

-- Closed days of a site that are in use, with their generation: nothing has changed them since. Of [since, until).
CREATE OR REPLACE VIEW pharos.settled AS
SELECT toDate32(c.day) AS day, c.generation AS generation
FROM
(
    SELECT day, generation
    FROM pharos.closed_days FINAL
    WHERE site = {site:String}
        AND day >= toDate32(parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC'))
        AND day < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC')
) AS c
LEFT ANY JOIN (SELECT day, at FROM pharos.changed(site = {site:String}, of_closed = 1)) AS late ON late.day = c.day
WHERE bitShiftRight(c.generation, 22) > toUnixTimestamp64Milli(late.at);

-- How the sessions that begin in the days of [since, until), UTC, are found. One row: `days` and `generations` of those that
-- are closed; the sessions of the others are cut from events: of [first, end), without the days in `skip`. At `edges` a
-- session may go on into days that are not read. With whole = 0 touches are asked for: what happens later does not matter.
CREATE OR REPLACE VIEW pharos.plan AS
WITH
    toDate32(parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC')) AS first_day,
    toDate32(parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC') - toIntervalMillisecond(1)) AS last_day,
    kept.1 AS days,
    arrayFilter(d -> (d = last_day OR has(days, d + 1)) AND ({whole:UInt8} = 0 OR d = first_day OR has(days, d - 1)), days) AS skip
SELECT
    days,
    kept.2 AS generations,
    skip,
    if({since:String} = '', [], arrayConcat(
        arrayFilter(d -> NOT has(skip, d), days),
        if(has(days, first_day), [], [first_day - 1]),
        if({whole:UInt8} = 0 OR has(days, last_day), [], [last_day + 1]))) AS edges,
    if({since:String} = '', '', toString(first_day + if(has(days, first_day),
        arrayCount((d, n) -> d = first_day + n - 1, skip, arrayEnumerate(skip)), -1))) AS first,
    if({until:String} = '', '', toString(last_day + 1 + if(has(days, last_day),
        -arrayCount((d, n) -> d = last_day - n + 1, arrayReverse(skip), arrayEnumerate(skip)), {whole:UInt8}))) AS end
FROM
(
    SELECT arraySort(groupArray((day, generation))) AS kept
    FROM pharos.settled(site = {site:String}, since = {since:String}, until = {until:String})
    WHERE {closed:UInt8} = 1
);

-- Visitors whose events follow each other so closely, for nearly the whole of a day in `edges`, that only older or later
-- events say where a session of theirs begins or ends. They are few, or none.
CREATE OR REPLACE VIEW pharos.restless SQL SECURITY DEFINER AS
WITH
    arraySort(groupArray((toUInt64(toUnixTimestamp64Milli(occurred_at) + 2208988800000),
                          if(bitTest(code, 19), 0, bitShiftRight(code, 20))))) AS ordered,
    ordered.1 AS at,
    arrayMap((t, back) -> t - back, at, ordered.2) AS began,
    toUInt64(toUnixTimestamp64Milli(toDateTime64(day, 3, 'UTC')) + 2208988800000) AS start
SELECT visitor_id, toDate32(occurred_at) AS day
FROM pharos.visit_events(site = {site:String}, since = {first:String}, until = {end:String}, whole = 0, everyone = 1, visitors = [])
WHERE toDate32(occurred_at) IN {edges:Array(Date32)}
GROUP BY site, visitor_id, is_bot, day
HAVING began[1] < start + 1800000
    AND at[-1] >= start + 86400000 - 45000000
    AND NOT arrayExists((b, t) -> b >= t + 1800000, arrayPopFront(began), arrayPopBack(at));

-- The restless visitors, those next to closed days too, in one row.
CREATE OR REPLACE VIEW pharos.hot AS
SELECT groupUniqArray(visitor_id) AS visitors
FROM
(
    SELECT visitor_id
    FROM pharos.restless(site = {site:String}, first = {first:String}, end = {end:String}, edges = {edges:Array(Date32)})
    UNION ALL
    SELECT visitor_id FROM pharos.closed_restless WHERE site = {site:String} AND generation IN {generations:Array(UInt64)}
);

-- One row a (site, visitor, bot or not): their events, in order of (occurred_at, event_id), cut into sessions. The parameters
-- are what `plan` and `hot` return. Of restless visitors everything is read, so that each cut is where it would be if all
-- events were read. One step a level: what a level names, ClickHouse writes out again wherever it is used there.
-- codes: the code of each event, in the same order and cuts.
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
                        FROM
                        (
                            SELECT site, visitor_id, is_bot, packed
                            FROM pharos.visit_events(site = {site:String}, since = {first:String}, until = {end:String},
                                whole = {whole:UInt8}, everyone = 1, visitors = [])
                            WHERE toDate32(occurred_at) NOT IN {skip:Array(Date32)}
                            UNION ALL
                            SELECT site, visitor_id, is_bot, packed
                            FROM pharos.visit_events(site = {site:String}, since = '', until = '',
                                whole = {whole:UInt8}, everyone = 0,
                                visitors = {visitors:Array(String)})
                            WHERE NOT (({first:String} = '' OR occurred_at >= parseDateTime64BestEffortOrZero({first:String}, 3, 'UTC'))
                                AND ({end:String} = '' OR occurred_at < parseDateTime64BestEffortOrZero({end:String}, 3, 'UTC'))
                                AND toDate32(occurred_at) NOT IN {skip:Array(Date32)})
                        )
                        GROUP BY site, visitor_id, is_bot
                    )
                )
            )
        )
    )
)
-- Past this, groups go to disk for a while: twenty million events are answered within 4 GiB, and more too.
SETTINGS max_bytes_before_external_group_by = 3200000000;

-- One row a session that began in [since, until). `value` is by currency: read it as value['EUR'], add it up with
-- sumMap(value). The other parameters are what `plan` and `hot` return.
CREATE OR REPLACE VIEW pharos.sessions_planned AS
SELECT
    site,
    visitor_id,
    session_id,
    started_at,
    started_at + toIntervalMillisecond(lasted_ms) AS ended_at,
    entry_page,
    exit_page,
    substringIndex(if(origin = '', '(direct)\0(none)\0\0Direct', origin) AS whole_origin, '\0', 1) AS source,
    substringIndex(substringIndex(whole_origin, '\0', 2), '\0', -1) AS medium,
    substringIndex(substringIndex(whole_origin, '\0', 3), '\0', -1) AS campaign,
    substringIndex(whole_origin, '\0', -1) AS channel,
    events,
    value,
    is_bot
FROM pharos.closed_sessions
WHERE site = {site:String} AND generation IN {generations:Array(UInt64)}
    AND started_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC')
    AND started_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC')
UNION ALL
WITH
    e -> reinterpretAsUUID(concat(reverse(substring(e, 9, 8)), reverse(substring(e, 17, 8)))) AS id_of,
    e -> fromUnixTimestamp64Milli(toInt64(byteSwap(reinterpretAsUInt64(substring(e, 1, 8)))) - 2208988800000, 'UTC') AS time_of,
    arrayFirstIndex(c -> bitAnd(c, 65535) != 0, code) AS entry,
    arrayLastIndex(c -> bitAnd(c, 65535) != 0, code) AS exit,
    (e, c) -> substring(e, 33 + bitAnd(c, 65535), length(e) - 32 - bitAnd(c, 65535) - if(bitTest(c, 18), 16, 0)) AS origin_of,
    origin_of(event[1], code[1]) AS arrived_from,
    toLowCardinality(if(arrived_from = '', '(direct)\0(none)\0\0Direct', arrived_from)) AS origin,
    arrayFilter((e, c) -> bitTest(c, 18), event, code) AS paid,
    arrayMap(e -> reinterpretAsInt64(substring(e, -16, 8)), paid) AS amounts,
    arrayMap(e -> reinterpretAsString(reinterpretAsUInt64(substring(e, -8))), paid) AS currency_of,
    arrayDistinct(currency_of) AS currencies
SELECT
    site,
    visitor_id,
    id_of(event[1]) AS session_id,
    time_of(event[1]) AS started_at,
    time_of(event[-1]) AS ended_at,
    substring(event[entry], 33, bitAnd(code[entry], 65535)) AS entry_page,
    substring(event[exit], 33, bitAnd(code[exit], 65535)) AS exit_page,
    substringIndex(origin, '\0', 1) AS source,
    substringIndex(substringIndex(origin, '\0', 2), '\0', -1) AS medium,
    substringIndex(substringIndex(origin, '\0', 3), '\0', -1) AS campaign,
    substringIndex(origin, '\0', -1) AS channel,
    length(event) AS events,
    mapFromArrays(currencies, arrayMap(c -> arraySum((amount, own) -> if(own = c, reinterpret(amount, 'Decimal(18, 4)'), 0), amounts, currency_of), currencies)) AS value,
    is_bot
FROM pharos.visits(site = {site:String}, first = {first:String}, end = {end:String}, skip = {skip:Array(Date32)}, visitors = {visitors:Array(String)}, whole = 1)
ARRAY JOIN cuts AS event, codes AS code
WHERE ({since:String} = '' OR started_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC'))
    AND ({until:String} = '' OR started_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC'))
    AND (toDate32(started_at) NOT IN {days:Array(Date32)} OR (visitor_id, toDate(started_at)) IN (
        SELECT visitor_id, day FROM pharos.closed_restless WHERE site = {site:String} AND generation IN {generations:Array(UInt64)}));

-- With closed = 1 those of closed days are read from there; with 0 all are cut from events.
CREATE OR REPLACE VIEW pharos.sessions_cut AS
WITH
    (SELECT (days, generations, skip, edges, first, end)
     FROM pharos.plan(site = {site:String}, since = {since:String}, until = {until:String}, whole = 1, closed = {closed:UInt8})) AS plan,
    (SELECT visitors FROM pharos.hot(site = {site:String}, first = plan.5, end = plan.6, edges = plan.4, generations = plan.2)) AS hot
SELECT *
FROM pharos.sessions_planned(site = {site:String}, since = {since:String}, until = {until:String}, days = plan.1,
    generations = plan.2, skip = plan.3, first = plan.5, end = plan.6, visitors = hot);

-- Touches that need no visit: a mail opened by a human, a click without a visitor. As `standing`, in few columns.
CREATE OR REPLACE VIEW pharos.loose_touches AS
SELECT site, visitor_id, if(visitor_id = '', e.user_id, '') AS user_id, occurred_at, event_id, kind, source, medium, campaign, channel
FROM pharos.event_log AS e FINAL
PREWHERE event NOT IN (SELECT event FROM pharos.names WHERE authenticated) AND ({site:String} = '' OR site = {site:String})
WHERE ({since:String} = '' OR occurred_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC'))
    AND ({until:String} = '' OR occurred_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC'))
    AND (kind = 'open' AND open_kind = 'human' OR kind = 'click' AND visitor_id = '')
    AND NOT is_bot
UNION ALL
SELECT
    site, visitor_id, if(visitor_id != '', '', if(server.user_id != '', server.user_id, copy.user_id)) AS user_id, occurred_at,
    copy.event_id AS event_id, kind, source, medium, campaign, channel
FROM
(
    SELECT site, visitor_id, user_id, occurred_at, event_id, kind, source, medium, campaign, channel, is_bot
    FROM pharos.event_log FINAL
    PREWHERE event IN (SELECT event FROM pharos.names WHERE authenticated) AND ({site:String} = '' OR site = {site:String})
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

-- One row a touch in [since, until): the arrival of a session, a click on a link of ours, a mail opened by a human. An
-- event is one touch at most: a click that starts a session is that session's arrival. `user_id` is filled where there is
-- no visitor_id. Parameters as of `sessions_planned`.
CREATE OR REPLACE VIEW pharos.touches_planned AS
SELECT
    site,
    visitor_id,
    '' AS user_id,
    started_at AS occurred_at,
    session_id AS event_id,
    'arrival' AS kind,
    substringIndex(if(origin = '', '(direct)\0(none)\0\0Direct', origin) AS whole_origin, '\0', 1) AS source,
    substringIndex(substringIndex(whole_origin, '\0', 2), '\0', -1) AS medium,
    substringIndex(substringIndex(whole_origin, '\0', 3), '\0', -1) AS campaign,
    substringIndex(whole_origin, '\0', -1) AS channel
FROM pharos.closed_sessions
WHERE site = {site:String} AND generation IN {generations:Array(UInt64)} AND NOT is_bot
    AND started_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC')
    AND started_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC')
UNION ALL
SELECT site, visitor_id, user_id, occurred_at, event_id, kind, source, medium, campaign, channel
FROM pharos.closed_touches
WHERE site = {site:String} AND generation IN {generations:Array(UInt64)}
    AND occurred_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC')
    AND occurred_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC')
UNION ALL
SELECT site, visitor_id, user_id, occurred_at, event_id, kind, source, medium, campaign, channel
FROM pharos.loose_touches(site = {site:String}, since = {first:String}, until = {end:String})
WHERE ({since:String} = '' OR occurred_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC'))
    AND ({until:String} = '' OR occurred_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC'))
    AND toDate32(occurred_at) NOT IN {days:Array(Date32)}
UNION ALL
SELECT
    site,
    visitor_id,
    '' AS user_id,
    occurred_at,
    event_id,
    if(begins, 'arrival', 'click') AS kind,
    substringIndex(origin, '\0', 1) AS source,
    substringIndex(substringIndex(origin, '\0', 2), '\0', -1) AS medium,
    substringIndex(substringIndex(origin, '\0', 3), '\0', -1) AS campaign,
    substringIndex(origin, '\0', -1) AS channel
FROM
(
    SELECT
        site,
        visitor_id,
        touch.3 AS begins,
        fromUnixTimestamp64Milli(toInt64(byteSwap(reinterpretAsUInt64(substring(touch.1, 1, 8)))) - 2208988800000, 'UTC') AS occurred_at,
        reinterpretAsUUID(concat(reverse(substring(touch.1, 9, 8)), reverse(substring(touch.1, 17, 8)))) AS event_id,
        -- Of a touch no path and no money was read.
        toLowCardinality(if(length(touch.1) = 32, '(direct)\0(none)\0\0Direct', substring(touch.1, 33))) AS origin
    FROM pharos.visits(site = {site:String}, first = {first:String}, end = {end:String}, skip = {skip:Array(Date32)}, visitors = {visitors:Array(String)}, whole = 0)
    ARRAY JOIN cuts AS event, codes AS code
    ARRAY JOIN arrayFilter(t -> t.3 OR bitTest(t.2, 16),
                           arrayMap((e, c, i) -> (e, c, i = 1), event, code, arrayEnumerate(code))) AS touch
    WHERE NOT is_bot
)
WHERE ({since:String} = '' OR occurred_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC'))
    AND ({until:String} = '' OR occurred_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC'))
    AND (toDate32(occurred_at) NOT IN {days:Array(Date32)} OR (visitor_id, toDate(occurred_at)) IN (
        SELECT visitor_id, day FROM pharos.closed_restless WHERE site = {site:String} AND generation IN {generations:Array(UInt64)}));

-- `closed`: as of `sessions_cut`.
CREATE OR REPLACE VIEW pharos.touches_cut AS
WITH
    (SELECT (days, generations, skip, edges, first, end)
     FROM pharos.plan(site = {site:String}, since = {since:String}, until = {until:String}, whole = 0, closed = {closed:UInt8})) AS plan,
    (SELECT visitors FROM pharos.hot(site = {site:String}, first = plan.5, end = plan.6, edges = plan.4, generations = plan.2)) AS hot
SELECT *
FROM pharos.touches_planned(site = {site:String}, since = {since:String}, until = {until:String}, days = plan.1,
    generations = plan.2, skip = plan.3, first = plan.5, end = plan.6, visitors = hot);

-- Of a site, in [since, until); times without a zone are of `tz`. They read that window only.
CREATE OR REPLACE VIEW pharos.sessions_between SQL SECURITY DEFINER AS
SELECT *
FROM pharos.sessions_cut(site = {site:String},
    since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')),
    until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')), closed = 1)
WHERE (SELECT wrong FROM pharos.question(site = {site:String}, events = '', since = {since:String}, until = {until:String}, tz = {tz:String})) = 0;

CREATE OR REPLACE VIEW pharos.touches_between SQL SECURITY DEFINER AS
SELECT *
FROM pharos.touches_cut(site = {site:String},
    since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')),
    until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')), closed = 1)
WHERE (SELECT wrong FROM pharos.question(site = {site:String}, events = '', since = {since:String}, until = {until:String}, tz = {tz:String})) = 0;

-- The same from the events alone: what the closed days must agree with, to the last bit. Tests compare them.
CREATE OR REPLACE VIEW pharos.sessions_raw SQL SECURITY DEFINER AS
SELECT *
FROM pharos.sessions_cut(site = {site:String},
    since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')),
    until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')), closed = 0);

CREATE OR REPLACE VIEW pharos.touches_raw SQL SECURITY DEFINER AS
SELECT *
FROM pharos.touches_cut(site = {site:String},
    since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')),
    until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')), closed = 0);

-- All of them, of all sites: each reads everything that is stored.
CREATE OR REPLACE VIEW pharos.sessions_of_shard SQL SECURITY DEFINER AS
SELECT * FROM pharos.sessions_cut(site = '', since = '', until = '', closed = 0);

CREATE OR REPLACE VIEW pharos.sessions SQL SECURITY DEFINER AS
SELECT *
FROM pharos.sessions_of_shard
WHERE (SELECT throwIf(is_part, 'this server holds one of several shards: ask pharos.sessions_everywhere') FROM pharos.shard) = 0;

CREATE OR REPLACE VIEW pharos.touches_of_shard SQL SECURITY DEFINER AS
SELECT * FROM pharos.touches_cut(site = '', since = '', until = '', closed = 0);

CREATE OR REPLACE VIEW pharos.touches SQL SECURITY DEFINER AS
SELECT *
FROM pharos.touches_of_shard
WHERE (SELECT throwIf(is_part, 'this server holds one of several shards: ask pharos.touches_everywhere') FROM pharos.shard) = 0;

-- Who is who: one row a visitor that ever named its user. The first name counts, so that answers about the past do not
-- change when somebody else uses a visitor's browser later.
CREATE OR REPLACE VIEW pharos.people SQL SECURITY DEFINER AS
SELECT site, visitor_id, min(i.first).3 AS user_id
FROM pharos.identities AS i
GROUP BY site, visitor_id;

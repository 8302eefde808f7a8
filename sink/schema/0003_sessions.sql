-- Sessions and touches. Definitions in words: docs/sql.md.
-- Order is (occurred_at, event_id as text): ClickHouse compares UUIDs by their second half first, hence UUIDToNum.
-- One aggregation a visitor with arrays instead of window functions, and one text an event: millions of visitors are held
-- at once. A text that begins with the time and the id sorts as it is. Figures: docs/benchmarks.md.

-- Events that may be part of a session, each as a text: 8 bytes of time (ms since 1900, greatest first), 16 of id, 8 of
-- code, path, origin, and with money (bit 18 of the code) 8 of value, 8 of currency. With whole = 0 there is no path and no
-- money, and neither is read: touches need none. Mail opens and suppressions are no visits.
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
FROM pharos.standing(site = {site:String}, events = '', since = {since:String}, until = {until:String}, tz = 'UTC')
WHERE visitor_id != '' AND kind != 'open' AND NOT (event = 'consent' AND consent = 'refused');

-- Visitors whose events follow each other so closely, for nearly a whole day before `since` or (with ahead_days = 1) from
-- `until` on, that only older or later events say where a session of theirs begins or ends. They are few, or none.
CREATE OR REPLACE VIEW pharos.restless SQL SECURITY DEFINER AS
WITH
    arraySort(groupArray((toUInt64(toUnixTimestamp64Milli(occurred_at) + 2208988800000),
                          if(bitTest(code, 19), 0, bitShiftRight(code, 20))))) AS ordered,
    ordered.1 AS at,
    arrayMap((t, back) -> t - back, at, ordered.2) AS began,
    toUInt64(toUnixTimestamp64Milli(if(ahead, parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC'),
        parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC') - toIntervalDay(1))) + 2208988800000) AS start
SELECT visitor_id, occurred_at >= parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC') AS ahead
FROM pharos.visit_events(site = {site:String}, since = '', until = '', whole = 0)
WHERE ({since:String} != '' AND occurred_at < parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC')
        AND occurred_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC') - toIntervalDay(1))
    OR ({until:String} != '' AND {ahead_days:UInt8} = 1 AND occurred_at >= parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC')
        AND occurred_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC') + toIntervalDay(1))
GROUP BY site, visitor_id, is_bot, ahead
HAVING began[1] < start + 1800000
    AND at[-1] >= start + 86400000 - 45000000
    AND NOT arrayExists((b, t) -> b >= t + 1800000, arrayPopFront(began), arrayPopBack(at));

-- One row a (site, visitor, bot or not), for the sessions and touches of [since, until): their events, in order of
-- (occurred_at, event_id), cut into sessions. Reads a day more at the start, with ahead_days = 1 (and then whole events) one
-- at the end too,
-- and of restless visitors everything, so that each cut is where it would be if all events were read.
-- codes: the code of each event, in the same order and cuts.
CREATE OR REPLACE VIEW pharos.visits SQL SECURITY DEFINER AS
WITH
    arraySort(as_read) AS ordered,
    arrayMap(e -> reinterpretAsUInt64(substring(e, 25, 8)), ordered) AS code,
    arrayMap(c -> bitTest(c, 17), code) AS arrives,
    arrayMap(c -> if(bitTest(c, 19), bitShiftRight(c, 19), 0), code) AS key,
    arrayMap(e -> byteSwap(reinterpretAsUInt64(substring(e, 1, 8))), ordered) AS at,
    -- An engagement counts its time backwards.
    arrayMap((t, c, before) -> t - if(bitTest(c, 19), 0, bitShiftRight(c, 20)) >= before + 1800000,
             at, code, arrayPopBack(arrayPushFront(at, toUInt64(0)))) AS idle,
    -- Whether somebody has arrived since the last idle gap, and the session's last campaign up to each event.
    arrayFill((a, i) -> a OR i, arrives, idle) AS here,
    arrayFill((k, i) -> k != 0 OR i, key, idle) AS campaign_so_far,
    arrayMap((i, a, h, k, before) -> i OR (a AND NOT h) OR (k != 0 AND k != before),
             idle, arrives, arrayPopBack(arrayPushFront(here, false)),
             key, arrayPopBack(arrayPushFront(campaign_so_far, toUInt64(0)))) AS cut,
    arraySplit((e, c) -> c, ordered, cut) AS parts,
    arraySplit((e, c) -> c, code, cut) AS codes_of_parts
SELECT
    site,
    visitor_id,
    is_bot,
    -- A part without an arrival is not a session.
    arrayFilter((p, c) -> bitTest(c[1], 17), parts, codes_of_parts) AS cuts,
    arrayFilter(c -> bitTest(c[1], 17), codes_of_parts) AS codes
FROM
(
    SELECT site, visitor_id, is_bot, groupArray(packed) AS as_read
    FROM
    (
        SELECT site, visitor_id, is_bot, packed
        FROM pharos.visit_events(site = {site:String},
            since = if({since:String} = '', '', toString(parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC') - toIntervalDay(1))),
            until = if({until:String} = '', '', toString(parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC') + toIntervalDay({ahead_days:UInt8}))),
            whole = {ahead_days:UInt8})
        UNION ALL
        SELECT site, visitor_id, is_bot, packed
        FROM pharos.visit_events(site = {site:String}, since = '', until = '', whole = {ahead_days:UInt8})
        WHERE has((SELECT groupUniqArray(visitor_id) FROM pharos.restless(site = {site:String}, since = {since:String},
                   until = {until:String}, ahead_days = {ahead_days:UInt8})), visitor_id)
            AND ((({since:String} != '' AND occurred_at < parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC') - toIntervalDay(1)))
                OR ({until:String} != '' AND occurred_at >= parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC') + toIntervalDay({ahead_days:UInt8})))
    )
    GROUP BY site, visitor_id, is_bot
)
-- Past this, groups go to disk for a while: twenty million events are answered within 4 GiB, and more too.
SETTINGS max_bytes_before_external_group_by = 3200000000;

-- One row a session that began in [since, until). `value` is by currency: read it as value['EUR'], add it up with
-- sumMap(value).
CREATE OR REPLACE VIEW pharos.sessions_cut SQL SECURITY DEFINER AS
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
FROM pharos.visits(site = {site:String}, since = {since:String}, until = {until:String}, ahead_days = 1)
ARRAY JOIN cuts AS event, codes AS code
WHERE ({since:String} = '' OR started_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC'))
    AND ({until:String} = '' OR started_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC'));

-- One row a touch in [since, until): the arrival of a session, a click on a link of ours, a mail opened by a human. An
-- event is one touch at most: a click that starts a session is that session's arrival. `user_id` is filled where there is
-- no visitor_id.
CREATE OR REPLACE VIEW pharos.touches_cut SQL SECURITY DEFINER AS
WITH
    e -> reinterpretAsUUID(concat(reverse(substring(e, 9, 8)), reverse(substring(e, 17, 8)))) AS id_of,
    (e, c) -> substring(e, 33 + bitAnd(c, 65535), length(e) - 32 - bitAnd(c, 65535) - if(bitTest(c, 18), 16, 0)) AS origin_of,
    origin_of(touch.1, touch.2) AS came_from,
    toLowCardinality(if(came_from = '', '(direct)\0(none)\0\0Direct', came_from)) AS origin
SELECT
    site,
    visitor_id,
    '' AS user_id,
    fromUnixTimestamp64Milli(toInt64(byteSwap(reinterpretAsUInt64(substring(touch.1, 1, 8)))) - 2208988800000, 'UTC') AS occurred_at,
    id_of(touch.1) AS event_id,
    if(touch.3, 'arrival', 'click') AS kind,
    substringIndex(origin, '\0', 1) AS source,
    substringIndex(substringIndex(origin, '\0', 2), '\0', -1) AS medium,
    substringIndex(substringIndex(origin, '\0', 3), '\0', -1) AS campaign,
    substringIndex(origin, '\0', -1) AS channel
FROM pharos.visits(site = {site:String}, since = {since:String}, until = {until:String}, ahead_days = 0)
ARRAY JOIN cuts AS event, codes AS code
ARRAY JOIN arrayFilter(t -> t.3 OR bitTest(t.2, 16),
                       arrayMap((e, c, i) -> (e, c, i = 1), event, code, arrayEnumerate(code))) AS touch
WHERE NOT is_bot
    AND ({since:String} = '' OR occurred_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC'))
    AND ({until:String} = '' OR occurred_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC'))
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
FROM pharos.standing(site = {site:String}, events = '', since = {since:String}, until = {until:String}, tz = 'UTC') AS e
WHERE NOT is_bot AND ((kind = 'open' AND open_kind = 'human') OR (kind = 'click' AND visitor_id = ''));

-- Of a site, in [since, until); times without a zone are of `tz`. They read that window only.
CREATE OR REPLACE VIEW pharos.sessions_between SQL SECURITY DEFINER AS
SELECT *
FROM pharos.sessions_cut(site = {site:String},
    since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')),
    until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')))
WHERE (SELECT wrong FROM pharos.question(site = {site:String}, events = '', since = {since:String}, until = {until:String}, tz = {tz:String})) = 0;

CREATE OR REPLACE VIEW pharos.touches_between SQL SECURITY DEFINER AS
SELECT *
FROM pharos.touches_cut(site = {site:String},
    since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')),
    until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')))
WHERE (SELECT wrong FROM pharos.question(site = {site:String}, events = '', since = {since:String}, until = {until:String}, tz = {tz:String})) = 0;

-- All of them, of all sites: each reads everything that is stored.
CREATE OR REPLACE VIEW pharos.sessions SQL SECURITY DEFINER AS
SELECT * FROM pharos.sessions_cut(site = '', since = '', until = '');

CREATE OR REPLACE VIEW pharos.touches SQL SECURITY DEFINER AS
SELECT * FROM pharos.touches_cut(site = '', since = '', until = '');

-- Who is who: one row a visitor that ever named its user. The first name counts, so that answers about the past do not
-- change when somebody else uses a visitor's browser later.
CREATE OR REPLACE VIEW pharos.people SQL SECURITY DEFINER AS
SELECT site, visitor_id, min(i.first).3 AS user_id
FROM pharos.identities AS i
GROUP BY site, visitor_id;

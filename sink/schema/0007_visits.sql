-- Sessions and touches from one text an event: half the time and memory of 0002's arrays of tuples, the same answers.
-- Millions of visitors are held at once: what counts is how many things an event is made of there. A text that begins
-- with the time and the id sorts as it stands; what its sessions need to know of it is worked out once, at insert.
-- Figures: docs/benchmarks.md. Definitions in words: docs/sql.md.

-- visit_code, from the lowest bit: 16 length of path in bytes, a click, a visit, money, a campaign, 44 which campaign.
-- A server's event that names no page (a payment confirmed, a refund) is part of a session, but no visit: nobody arrived.
-- A campaign or click id other than the session's last one starts a session of its own. That two that follow each other
-- are taken for one has a chance of 2^-44.
-- origin: where it comes from as one text, empty for direct.
ALTER TABLE pharos.event_log
    ADD COLUMN IF NOT EXISTS visit_code UInt64 MATERIALIZED bitOr(
        length(path) + 65536 * (kind = 'click') + 131072 * (kind != 'server' OR url != '') + 262144 * (value != 0),
        if(utm_source != '' OR utm_medium != '' OR utm_campaign != '' OR utm_id != '' OR click_id != '',
           bitShiftLeft(sipHash64(source, medium, campaign, utm_id, click_id), 20) + 524288, 0)) CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS origin LowCardinality(String) MATERIALIZED
        if(channel = 'Direct' AND source = '(direct)' AND medium = '(none)' AND campaign = '',
           '', concat(source, '\0', medium, '\0', campaign, '\0', channel));

-- Rows from before have them worked out at each read until this is through; it works in the background.
ALTER TABLE pharos.event_log MATERIALIZE COLUMN visit_code, MATERIALIZE COLUMN origin;

-- One row a (site, visitor, bot or not): events in order of (occurred_at, event_id), cut into sessions. Mail opens are no
-- visits. An event is a text: 8 bytes of time (ms since 1900, greatest first), 16 of id, 8 of visit_code, path, origin, and
-- with money 8 of value, 8 of currency. codes: the visit_code of each, in the same order and cuts.
CREATE OR REPLACE VIEW pharos.visits AS
WITH
    arraySort(as_read) AS ordered,
    arrayMap(e -> reinterpretAsUInt64(substring(e, 25, 8)), ordered) AS code,
    arrayMap(c -> bitShiftRight(c, 19), code) AS key,
    arrayMap(ms -> ms >= 1800000,
             arrayDifference(arrayMap(e -> byteSwap(reinterpretAsUInt64(substring(e, 1, 8))), ordered))) AS idle,
    -- The session's last campaign up to each event: carried on until the next campaign or the next idle gap.
    arrayFill((k, i) -> k != 0 OR i, key, idle) AS campaign_so_far,
    arrayMap((i, k, before) -> i OR (k != 0 AND k != before),
             idle, key, arrayPopBack(arrayPushFront(campaign_so_far, toUInt64(0)))) AS cut
SELECT
    site,
    visitor_id,
    is_bot,
    arraySplit((e, c) -> c, ordered, cut) AS cuts,
    arraySplit((e, c) -> c, code, cut) AS codes
FROM
(
    SELECT
        site,
        visitor_id,
        is_bot,
        groupArray(concat(
            reinterpretAsFixedString(byteSwap(toUInt64(toUnixTimestamp64Milli(occurred_at) + 2208988800000))),
            UUIDToNum(event_id),
            reinterpretAsFixedString(visit_code),
            path,
            origin,
            if(value = 0, '', concat(reinterpretAsFixedString(value), reinterpretAsFixedString(reinterpretAsUInt64(currency)))))) AS as_read
    -- As in `events`, which does not show these two columns.
    FROM pharos.event_log FINAL
    WHERE visitor_id != '' AND kind != 'open'
    GROUP BY site, visitor_id, is_bot
)
-- Past this, groups go to disk for a while: twenty million events are answered within 4 GiB, and more too.
SETTINGS max_bytes_before_external_group_by = 3200000000;

-- One row a session. `value` is by currency: read it as value['EUR'], add it up with sumMap(value).
CREATE OR REPLACE VIEW pharos.sessions AS
WITH
    e -> reinterpretAsUUID(concat(reverse(substring(e, 9, 8)), reverse(substring(e, 17, 8)))) AS id_of,
    e -> fromUnixTimestamp64Milli(toInt64(byteSwap(reinterpretAsUInt64(substring(e, 1, 8)))) - 2208988800000, 'UTC') AS time_of,
    arrayFirstIndex(c -> bitAnd(c, 65535) != 0, code) AS entry,
    arrayLastIndex(c -> bitAnd(c, 65535) != 0, code) AS exit,
    greatest(1, arrayFirstIndex(c -> bitTest(c, 17), code)) AS arrival,
    (e, c) -> substring(e, 33 + bitAnd(c, 65535), length(e) - 32 - bitAnd(c, 65535) - if(bitTest(c, 18), 16, 0)) AS origin_of,
    origin_of(event[arrival], code[arrival]) AS arrived_from,
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
FROM pharos.visits
ARRAY JOIN cuts AS event, codes AS code;

-- One row a touch: the arrival of a session, a click on a link of ours, a mail opened by a human. An event is one touch
-- at most: a click that starts a session is that session's arrival. `user_id` is filled where there is no visitor_id.
CREATE OR REPLACE VIEW pharos.touches AS
WITH
    e -> reinterpretAsUUID(concat(reverse(substring(e, 9, 8)), reverse(substring(e, 17, 8)))) AS id_of,
    arrayFirstIndex(c -> bitTest(c, 17), code) AS arrival,
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
FROM pharos.visits
ARRAY JOIN cuts AS event, codes AS code
ARRAY JOIN arrayFilter(t -> t.3 OR bitTest(t.2, 16),
                       arrayMap((e, c, i) -> (e, c, i = arrival), event, code, arrayEnumerate(code))) AS touch
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

-- Conversions and the journeys that led to them. Definitions in words: docs/sql.md.

-- One row a conversion: an event that meets the goal `event`, once each. `value` is what is left of `gross` after refunds.
-- A refund is an event `refund`, or any with a negative value, that names the conversion's id. It counts where a server
-- sent it, or where no server vouched for the conversion: ids of orders can be guessed. Without a value it takes all back;
-- never more than there was; never of another currency.
-- `person` is the user if known, otherwise the visitor, otherwise this event alone.
CREATE OR REPLACE VIEW pharos.conversions_cut SQL SECURITY DEFINER AS
WITH
    arrayFilter(r -> r.1 != event AND (r.2 = '' OR r.2 = currency) AND (r.3 OR NOT authenticated), back.refunds) AS own
SELECT
    site,
    event,
    event_id,
    occurred_at,
    kind,
    found.visitor_id AS visitor_id,
    found.user_id AS user_id,
    client_event_id,
    CAST(if(empty(own) OR found.value <= 0, toDecimal128(found.value, 4),
            if(arrayExists(r -> r.4 = 0, own), toDecimal128(0, 4),
               greatest(toDecimal128(0, 4), toDecimal128(found.value, 4) - arraySum(r -> abs(toDecimal128(r.4, 4)), own)))),
        'Decimal(18, 4)') AS value,
    found.value AS gross,
    currency,
    multiIf(
        known.user_id != '', concat('user ', known.user_id),
        found.visitor_id != '', concat('visitor ', found.visitor_id),
        found.user_id != '', concat('user ', found.user_id),
        concat('event ', toString(event_id))) AS person
FROM
(
    SELECT site, event, event_id, occurred_at, kind, visitor_id, user_id, client_event_id, value, currency, authenticated
    FROM pharos.goal_events(site = {site:String}, goals = {event:String}, only = 1, since = {since:String}, until = {until:String})
    WHERE NOT is_bot
) AS found
LEFT ANY JOIN (SELECT visitor_id, user_id FROM pharos.people WHERE site = {site:String}) AS known
    ON known.visitor_id = found.visitor_id
LEFT ANY JOIN
(
    SELECT order_id, groupArray((event, currency, authenticated, value)) AS refunds
    FROM pharos.refunds FINAL
    WHERE site = {site:String} AND NOT is_bot
    GROUP BY order_id
) AS back ON back.order_id = found.client_event_id;

CREATE OR REPLACE VIEW pharos.conversions SQL SECURITY DEFINER AS
SELECT *
FROM pharos.conversions_cut(site = {site:String}, event = {event:String},
    since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')),
    until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')))
WHERE (SELECT wrong FROM pharos.question(site = {site:String}, events = {event:String}, since = {since:String}, until = {until:String}, tz = {tz:String})) = 0;

-- One row a path: a conversion in [since, until) with the touches that led to it, and, where `everyone` is 1, what each
-- person touched in [since, until) after their last conversion and that ended in nothing (`converted` 0).
-- With `restart` a journey starts after the last conversion before its last touch. Touches are of `touch_kinds` (arrival,
-- click, open, with commas between), and of no source in `ignore`.
-- touches: 1 occurred_at, 2 event_id, 3 channel, 4 source, 5 medium, 6 campaign, 7 kind
CREATE OR REPLACE VIEW pharos.paths AS
SELECT
    person,
    converted,
    ending.1 AS occurred_at,
    ending.2 AS event_id,
    ending.3 AS visitor_id,
    ending.4 AS user_id,
    ending.5 AS value,
    ending.6 AS gross,
    ending.7 AS currency,
    arrayFilter(t -> (t.1, UUIDToNum(t.2)) > start, within) AS touches
FROM
(
    SELECT
        person,
        converted,
        ending,
        within,
        multiIf(
            NOT converted, (ending.1, UUIDToNum(ending.2)),
            {restart:UInt8} = 1 AND notEmpty(within), arrayLast(key -> key < last_touch, conversion_keys),
            (toDateTime64(0, 3, 'UTC'), toFixedString('', 16))) AS start
    FROM
    (
        SELECT
            person,
            path.1 AS ending,
            path.2 AS converted,
            (ending.1, UUIDToNum(ending.2)) AS ending_key,
            ending.1 - toIntervalDay({lookback_days:UInt32}) AS earliest,
            arrayMap(c -> (c.1, UUIDToNum(c.2)), conversions) AS conversion_keys,
            arrayFilter(t -> if(converted, t.1 >= earliest AND (t.1, UUIDToNum(t.2)) <= ending_key,
                                t.1 >= toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')), trail) AS within,
            (within[-1].1, UUIDToNum(within[-1].2)) AS last_touch
        FROM
        (
            SELECT
                person,
                arraySort(t -> (t.1, UUIDToNum(t.2)),
                    groupArrayIf((occurred_at, event_id, channel, source, medium, campaign, kind), NOT is_conversion)) AS trail,
                arraySort(c -> (c.1, UUIDToNum(c.2)),
                    groupArrayIf((occurred_at, event_id, visitor_id, user_id, value, gross, currency), is_conversion)) AS conversions
            FROM
            (
                SELECT
                    multiIf(
                        known.user_id != '', concat('user ', known.user_id),
                        found.visitor_id != '', concat('visitor ', found.visitor_id),
                        found.user_id != '', concat('user ', found.user_id),
                        '') AS person,
                    false AS is_conversion,
                    found.occurred_at AS occurred_at,
                    found.event_id AS event_id,
                    found.channel AS channel,
                    found.source AS source,
                    found.medium AS medium,
                    found.campaign AS campaign,
                    found.kind AS kind,
                    '' AS visitor_id,
                    '' AS user_id,
                    toDecimal64(0, 4) AS value,
                    toDecimal64(0, 4) AS gross,
                    toLowCardinality('') AS currency
                FROM
                (
                    SELECT *
                    FROM pharos.touches_cut(site = {site:String},
                        since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC') - toIntervalDay({lookback_days:UInt32})),
                        until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')), closed = 1)
                    WHERE kind IN splitByChar(',', replaceAll({touch_kinds:String}, ' ', ''))
                        AND ({ignore:String} = '' OR source NOT IN arrayMap(name -> trimBoth(name), splitByChar(',', {ignore:String})))
                        -- Only the visitors of those who converted: this goes down to the scan of events.
                        AND ({everyone:UInt8} = 1 OR visitor_id = '' OR visitor_id IN (
                            SELECT arrayJoin(groupUniqArray(visitor_id))
                            FROM
                            (
                                SELECT concat('user ', user_id) AS person, visitor_id, false AS converts
                                FROM pharos.people
                                WHERE site = {site:String}
                                UNION ALL
                                SELECT person, visitor_id, true
                                FROM pharos.conversions_cut(site = {site:String}, event = {conversion:String}, since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')), until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')))
                            )
                            GROUP BY person
                            HAVING max(converts)))
                ) AS found
                LEFT ANY JOIN (SELECT visitor_id, user_id FROM pharos.people WHERE site = {site:String}) AS known
                    ON known.visitor_id = found.visitor_id
                WHERE person != ''
                UNION ALL
                SELECT person, true, occurred_at, event_id, '', '', '', '', '', visitor_id, user_id, value, gross, currency
                FROM pharos.conversions_cut(site = {site:String}, event = {conversion:String},
                    since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC') - toIntervalDay({lookback_days:UInt32})),
                    until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')))
            )
            GROUP BY person
        )
        ARRAY JOIN arrayConcat(
            arrayMap(c -> (c, true), arrayFilter(c -> c.1 >= toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC'), conversions)),
            if({everyone:UInt8} = 1, [(conversions[-1], false)], [])) AS path
    )
)
WHERE (converted OR notEmpty(touches))
    AND (SELECT wrong FROM pharos.question(site = {site:String}, events = {conversion:String}, since = {since:String}, until = {until:String}, tz = {tz:String})) = 0
    AND (SELECT throwIf({restart:UInt8} > 1, 'restart: 0 or 1')
         + throwIf(NOT hasAll(['arrival', 'click', 'open'], splitByChar(',', replaceAll({touch_kinds:String}, ' ', ''))),
                   'touch_kinds: arrival, click, open, with commas between')) = 0;

-- One row a conversion in [since, until): its touches in order, and their channels as text.
CREATE OR REPLACE VIEW pharos.journeys SQL SECURITY DEFINER AS
SELECT
    occurred_at,
    event_id,
    visitor_id,
    user_id,
    person,
    value,
    gross,
    currency,
    CAST(touches, 'Array(Tuple(occurred_at DateTime64(3, \'UTC\'), event_id UUID, channel String, source String, medium String, campaign String, kind String))') AS touches,
    if(empty(touches), 'Unattributed', arrayStringConcat(touches.channel, ' > ')) AS path
FROM pharos.paths(site = {site:String}, conversion = {conversion:String}, lookback_days = {lookback_days:UInt32},
    since = {since:String}, until = {until:String}, tz = {tz:String}, restart = {restart:UInt8},
    touch_kinds = {touch_kinds:String}, ignore = {ignore:String}, everyone = 0);

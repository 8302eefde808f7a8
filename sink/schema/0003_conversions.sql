-- Conversions and the journeys that led to them. Definitions in words: docs/sql.md.
-- A view whose name ends in `_with` takes every choice as a parameter; the one without it takes the usual choices.

-- One row a conversion: an event of that name, once a client_event_id where the sender gave one. Of several copies the
-- browser's stands if it is within 48 hours of the first copy, otherwise the first.
-- `person` is who converted: the user where known, otherwise the visitor, otherwise nobody but this event.
CREATE OR REPLACE VIEW pharos.conversions AS
SELECT
    site,
    event,
    stands.2 AS event_id,
    stands.1 AS occurred_at,
    stands.3 AS kind,
    stands.4 AS visitor_id,
    stands.5 AS user_id,
    client_event_id,
    stands.6 AS value,
    stands.7 AS currency,
    multiIf(
        known.user_id != '', concat('user ', known.user_id),
        stands.4 != '', concat('visitor ', stands.4),
        stands.5 != '', concat('user ', stands.5),
        concat('event ', toString(stands.2))) AS person
FROM
(
    SELECT
        site,
        event,
        client_event_id,
        arraySort(c -> (c.1, UUIDToNum(c.2)),
                  groupArray((occurred_at, event_id, kind, visitor_id, user_id, value, currency))) AS copies,
        copies[greatest(1, arrayFirstIndex(c -> c.3 != 'server' AND c.1 - copies[1].1 <= 172800, copies))] AS stands,
        stands.4 AS stands_visitor_id
    -- `events`, with a filter before FINAL: all copies of an event have one site and one name.
    FROM pharos.event_log FINAL
    PREWHERE event = {event:String} AND site = {site:String}
    WHERE NOT is_bot
    GROUP BY site, event, client_event_id, if(client_event_id = '', event_id, toUUID('00000000-0000-0000-0000-000000000000'))
) AS found
LEFT JOIN (SELECT visitor_id, user_id FROM pharos.people WHERE site = {site:String}) AS known
    ON known.visitor_id = found.stands_visitor_id;

-- One row a path: a conversion in [since, until) with the touches that led to it, and, where `everyone` is 1, what each
-- person touched in [since, until) after their last conversion and that ended in nothing (`converted` 0).
-- With `restart` a journey starts after the last conversion before its last touch.
-- touches: 1 occurred_at, 2 event_id, 3 channel, 4 source, 5 medium, 6 campaign
CREATE OR REPLACE VIEW pharos.paths AS
SELECT
    person,
    converted,
    ending.1 AS occurred_at,
    ending.2 AS event_id,
    ending.3 AS visitor_id,
    ending.4 AS user_id,
    ending.5 AS value,
    ending.6 AS currency,
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
                                t.1 >= {since:DateTime64(3, 'UTC')}), trail) AS within,
            (within[-1].1, UUIDToNum(within[-1].2)) AS last_touch
            FROM
            (
                SELECT
                    person,
                    arraySort(t -> (t.1, UUIDToNum(t.2)),
                        groupArrayIf((occurred_at, event_id, channel, source, medium, campaign), NOT is_conversion)) AS trail,
                    arraySort(c -> (c.1, UUIDToNum(c.2)),
                        groupArrayIf((occurred_at, event_id, visitor_id, user_id, value, currency), is_conversion)) AS conversions
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
                        '' AS visitor_id,
                        '' AS user_id,
                        toDecimal64(0, 4) AS value,
                        toLowCardinality('') AS currency
                    FROM
                    (
                        SELECT *
                        FROM pharos.touches
                        WHERE site = {site:String}
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
                                    FROM pharos.conversions(site = {site:String}, event = {conversion:String})
                                    WHERE occurred_at >= {since:DateTime64(3, 'UTC')}
                                        AND occurred_at < {until:DateTime64(3, 'UTC')}
                                )
                                GROUP BY person
                                HAVING max(converts)))
                    ) AS found
                    LEFT JOIN (SELECT visitor_id, user_id FROM pharos.people WHERE site = {site:String}) AS known
                        ON known.visitor_id = found.visitor_id
                    WHERE occurred_at < {until:DateTime64(3, 'UTC')} AND person != ''
                    UNION ALL
                    SELECT person, true, occurred_at, event_id, '', '', '', '', visitor_id, user_id, value, currency
                    FROM pharos.conversions(site = {site:String}, event = {conversion:String})
                    WHERE occurred_at < {until:DateTime64(3, 'UTC')}
                )
                GROUP BY person
            )
            ARRAY JOIN arrayConcat(
                arrayMap(c -> (c, true), arrayFilter(c -> c.1 >= {since:DateTime64(3, 'UTC')}, conversions)),
                if({everyone:UInt8} = 1, [(conversions[-1], false)], [])) AS path
    )
)
WHERE converted OR notEmpty(touches);

-- One row a conversion in [since, until): its touches in order, and their channels as text.
CREATE OR REPLACE VIEW pharos.journeys_with AS
SELECT
    occurred_at,
    event_id,
    visitor_id,
    user_id,
    person,
    value,
    currency,
    CAST(touches, 'Array(Tuple(occurred_at DateTime64(3, \'UTC\'), event_id UUID, channel String, source String, medium String, campaign String))') AS touches,
    if(empty(touches), 'Unattributed', arrayStringConcat(touches.channel, ' > ')) AS path
FROM pharos.paths(site = {site:String}, conversion = {conversion:String}, lookback_days = {lookback_days:UInt32},
    since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}, restart = {restart:UInt8}, everyone = 0);

CREATE OR REPLACE VIEW pharos.journeys AS
SELECT
    occurred_at,
    event_id,
    visitor_id,
    user_id,
    person,
    value,
    currency,
    CAST(touches, 'Array(Tuple(occurred_at DateTime64(3, \'UTC\'), event_id UUID, channel String, source String, medium String, campaign String))') AS touches,
    if(empty(touches), 'Unattributed', arrayStringConcat(touches.channel, ' > ')) AS path
FROM pharos.paths(site = {site:String}, conversion = {conversion:String}, lookback_days = {lookback_days:UInt32},
    since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}, restart = 1, everyone = 0);

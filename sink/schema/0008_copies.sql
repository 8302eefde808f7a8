-- Copies of an event are one event, by its id: conversions need no rule of their own for them. A funnel that nobody began
-- has its steps; audience and the last half hour can be asked of any day. Definitions in words: docs/sql.md.

-- As in 0002; where copies of one event, of one time, name different users, the lesser name counts: any would do, but
-- always the same.
CREATE OR REPLACE VIEW pharos.people AS
SELECT site, visitor_id, argMin(e.user_id, (occurred_at, UUIDToNum(event_id), e.user_id)) AS user_id
FROM pharos.event_log AS e
WHERE e.user_id != '' AND visitor_id != '' AND NOT is_bot
GROUP BY site, visitor_id;

-- One row a conversion: an event of that name. The enricher gives every copy of a (site, event, client_event_id) one
-- event_id, and the browser's the greatest version: FINAL leaves one, whatever the time between them.
-- `person` is who converted: the user where known, otherwise the visitor, otherwise nobody but this event.
CREATE OR REPLACE VIEW pharos.conversions AS
SELECT
    site,
    event,
    event_id,
    occurred_at,
    kind,
    found.visitor_id AS visitor_id,
    found.user_id AS user_id,
    client_event_id,
    value,
    currency,
    multiIf(
        known.user_id != '', concat('user ', known.user_id),
        found.visitor_id != '', concat('visitor ', found.visitor_id),
        found.user_id != '', concat('user ', found.user_id),
        concat('event ', toString(event_id))) AS person
FROM
(
    -- `events`, with a filter before FINAL: all copies of an event have one site and one name.
    SELECT site, event, event_id, occurred_at, kind, visitor_id, user_id, client_event_id, value, currency
    FROM pharos.event_log FINAL
    PREWHERE event = {event:String} AND site = {site:String}
    WHERE NOT is_bot
) AS found
LEFT JOIN (SELECT visitor_id, user_id FROM pharos.people WHERE site = {site:String}) AS known
    ON known.visitor_id = found.visitor_id;

-- One row a path: a conversion in [since, until) with the touches that led to it, and, where `everyone` is 1, what each
-- person touched in [since, until) after their last conversion and that ended in nothing (`converted` 0).
-- With `restart` a journey starts after the last conversion before its last touch.
-- Who a person is, is asked twice, not for each part of the answer: it reads the whole site.
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
                            is_conversion, concat('event ', toString(event_id)),
                            '') AS person,
                        is_conversion,
                        occurred_at,
                        event_id,
                        channel,
                        source,
                        medium,
                        campaign,
                        found.visitor_id AS visitor_id,
                        found.user_id AS user_id,
                        value,
                        currency
                    FROM
                    (
                        SELECT
                            false AS is_conversion,
                            occurred_at, event_id, channel, source, medium, campaign, visitor_id, user_id,
                            toDecimal64(0, 4) AS value, toLowCardinality('') AS currency
                        FROM pharos.touches
                        WHERE site = {site:String}
                            -- Only the visitors of those who converted: this goes down to the scan of events.
                            AND ({everyone:UInt8} = 1 OR visitor_id = '' OR visitor_id IN (
                                SELECT visitor_id
                                FROM pharos.event_log FINAL
                                PREWHERE event = {conversion:String} AND site = {site:String}
                                WHERE NOT is_bot AND occurred_at >= {since:DateTime64(3, 'UTC')}
                                    AND occurred_at < {until:DateTime64(3, 'UTC')}
                                UNION ALL
                                SELECT arrayJoin(groupArray(visitor_id))
                                FROM pharos.people
                                WHERE site = {site:String}
                                GROUP BY user_id
                                HAVING max((true, visitor_id) IN (
                                    SELECT visitor_id != '', if(visitor_id != '', visitor_id, user_id)
                                    FROM pharos.event_log FINAL
                                    PREWHERE event = {conversion:String} AND site = {site:String}
                                    WHERE NOT is_bot AND occurred_at >= {since:DateTime64(3, 'UTC')}
                                        AND occurred_at < {until:DateTime64(3, 'UTC')}))
                                    OR (false, user_id) IN (
                                    SELECT visitor_id != '', if(visitor_id != '', visitor_id, user_id)
                                    FROM pharos.event_log FINAL
                                    PREWHERE event = {conversion:String} AND site = {site:String}
                                    WHERE NOT is_bot AND occurred_at >= {since:DateTime64(3, 'UTC')}
                                        AND occurred_at < {until:DateTime64(3, 'UTC')})))
                        UNION ALL
                        SELECT
                            true, occurred_at, event_id, '', '', '', '', visitor_id, user_id, value, currency
                        FROM pharos.event_log FINAL
                        PREWHERE event = {conversion:String} AND site = {site:String}
                        WHERE NOT is_bot
                    ) AS found
                    LEFT JOIN (SELECT visitor_id, user_id FROM pharos.people WHERE site = {site:String}) AS known
                        ON known.visitor_id = found.visitor_id
                    WHERE occurred_at < {until:DateTime64(3, 'UTC')} AND person != ''
                )
                GROUP BY person
            )
            ARRAY JOIN arrayConcat(
                arrayMap(c -> (c, true), arrayFilter(c -> c.1 >= {since:DateTime64(3, 'UTC')}, conversions)),
                if({everyone:UInt8} = 1, [(conversions[-1], false)], [])) AS path
    )
)
WHERE converted OR notEmpty(touches);

-- One row a step: how many people did the steps so far, in order, within window_hours of the first, which fell into
-- [since, until). `rate` is of those who began. Two steps are never one event. Nobody is a person who reached nothing, so
-- that each step has its row.
CREATE OR REPLACE VIEW pharos.funnel AS
SELECT
    place.1 AS step,
    place.2 AS event,
    countIf(reached >= place.1) AS visitors,
    if(countIf(reached >= 1) = 0, 0, visitors / countIf(reached >= 1)) AS rate
FROM
(
    SELECT
        arrayMap(name -> trimBoth(name), splitByChar(',', {steps:String})) AS names,
        -- For each step, when the latest chain that got so far began; 0: none did.
        arrayFold(
            (began, e) -> arrayMap(
                (own, before, name, i) -> multiIf(
                    name != e.3, own,
                    i = 1, if(e.1 >= {since:DateTime64(3, 'UTC')} AND e.1 < {until:DateTime64(3, 'UTC')}, e.1, own),
                    before != toDateTime64(0, 3, 'UTC') AND e.1 - before <= {window_hours:UInt32} * 3600, greatest(own, before),
                    own),
                began, arrayPopBack(arrayPushFront(began, toDateTime64(0, 3, 'UTC'))), names, arrayEnumerate(names)),
            arraySort(e -> (e.1, UUIDToNum(e.2)), groupArray((occurred_at, event_id, toString(event)))),
            arrayMap(name -> toDateTime64(0, 3, 'UTC'), names)) AS chains,
        arrayCount(began -> began != toDateTime64(0, 3, 'UTC'), chains) AS reached
    FROM pharos.person_events(site = {site:String})
    WHERE has(arrayMap(name -> trimBoth(name), splitByChar(',', {steps:String})), event)
        AND occurred_at >= {since:DateTime64(3, 'UTC')}
        AND occurred_at < {until:DateTime64(3, 'UTC')} + toIntervalHour({window_hours:UInt32})
    GROUP BY person
    UNION ALL
    SELECT arrayMap(name -> trimBoth(name), splitByChar(',', {steps:String})), [], 0
)
ARRAY JOIN arrayZip(arrayEnumerate(names), names) AS place
GROUP BY step, event
ORDER BY step;

-- One row a visitor of every person who did `event` at least min_count times in [since, until), for retargeting.
-- Whoever refused consent at last, in that time, is left out.
CREATE OR REPLACE VIEW pharos.audience_with AS
SELECT
    visitor.1 AS visitor_id,
    visitor.2 AS user_id,
    last_seen,
    times
FROM
(
    SELECT
        person,
        countIf(event = {event:String}) AS times,
        max(occurred_at) AS last_seen,
        argMax(consent, (occurred_at, UUIDToNum(event_id))) AS last_consent,
        groupUniqArray((visitor_id, user_id)) AS visitors
    FROM pharos.person_events(site = {site:String})
    WHERE occurred_at >= {since:DateTime64(3, 'UTC')} AND occurred_at < {until:DateTime64(3, 'UTC')}
    GROUP BY person
)
ARRAY JOIN arraySort(visitors) AS visitor
WHERE times >= {min_count:UInt64} AND last_consent != 'refused';

-- The last `days` days, without an end: a sender's clock may be ahead, and a refusal counts at once.
CREATE OR REPLACE VIEW pharos.audience AS
SELECT *
FROM pharos.audience_with(site = {site:String}, event = {event:String}, min_count = {min_count:UInt64},
    since = now64(3, 'UTC') - toIntervalDay({days:UInt32}), until = '2200-01-01');

-- One row a minute of the half hour up to `at`, the quiet ones too.
CREATE OR REPLACE VIEW pharos.realtime_with AS
SELECT
    toStartOfMinute(occurred_at) AS minute,
    count() AS events,
    countIf(event = 'pageview') AS views,
    uniqExactIf(visitor_id, visitor_id != '') AS visitors
FROM pharos.events
WHERE site = {site:String} AND NOT is_bot
    AND occurred_at >= toStartOfMinute({at:DateTime64(3, 'UTC')}) - 1740 AND occurred_at <= {at:DateTime64(3, 'UTC')}
GROUP BY minute
ORDER BY minute WITH FILL
    FROM toStartOfMinute({at:DateTime64(3, 'UTC')}) - 1740 TO toStartOfMinute({at:DateTime64(3, 'UTC')}) + 60 STEP 60;

CREATE OR REPLACE VIEW pharos.realtime AS
SELECT *
FROM pharos.realtime_with(site = {site:String}, at = now64(3, 'UTC'));

-- A funnel by a dimension, with the time between steps; audiences with more conditions. Definitions in words: docs/sql.md.

-- One row a (step, name): as `funnel`, for each value of the dimension `by`: '' for all together; device, browser, os, country
-- or language of the first step's event; channel, source, medium or campaign of the person's last arrival in the 24 hours up
-- to it. A person counts once, with the chain that came furthest; of these with the one that began last. `median_s`: of these
-- chains, the median time since the step before, in seconds.
CREATE OR REPLACE VIEW pharos.funnel_by SQL SECURITY DEFINER AS
WITH
    parseDateTime64BestEffort({since:String}, 3, {tz:String}) AS begin,
    parseDateTime64BestEffort({until:String}, 3, {tz:String}) AS end,
    (toDateTime64(0, 3, 'UTC'), toFixedString('', 16)) AS never
SELECT
    place.1 AS step,
    place.2 AS goal,
    name,
    count() AS visitors,
    visitors / max(visitors) OVER (PARTITION BY name) AS rate,
    if(step = 1, NULL, quantileExactInclusive(0.5)(place.3)) AS median_s
FROM
(
    SELECT
        arrayMap(step -> trimBoth(step), extractAll({steps:String}, '(?:[^,\\[]|\\[[^\\]]*\\])+')) AS goals,
        -- For each step the chain that got so far and began last: its beginning, the times of its steps, its dimension.
        arrayFold(
            (chains, e) -> arrayMap(
                (own, before, i) -> multiIf(
                    NOT has(e.3, i), own,
                    i = 1, if(e.1 >= begin AND e.1 < end, ((e.1, UUIDToNum(e.2)), [e.1], e.4), own),
                    notEmpty(before.2) AND e.1 - before.1.1 <= {window_hours:UInt32} * 3600 AND before.1 > own.1,
                        (before.1, arrayPushBack(before.2, e.1), before.3),
                    own),
                chains, arrayPopBack(arrayPushFront(chains, (never, CAST([], 'Array(DateTime64(3, \'UTC\'))'), ''))), arrayEnumerate(chains)),
            arraySort(e -> (e.1, UUIDToNum(e.2)), groupArrayIf((occurred_at, event_id, matched, dimension), NOT is_arrival)),
            arrayMap(goal -> (never, CAST([], 'Array(DateTime64(3, \'UTC\'))'), ''), goals)) AS chains,
        arrayLast(chain -> notEmpty(chain.2), chains) AS best,
        arraySort(a -> (a.1, UUIDToNum(a.2)), groupArrayIf((occurred_at, event_id, dimension), is_arrival)) AS arrivals,
        arrayLast(a -> (a.1, UUIDToNum(a.2)) <= best.1 AND a.1 >= best.1.1 - toIntervalHour(24), arrivals) AS came,
        if({by:String} IN ('channel', 'source', 'medium', 'campaign'), came.3, best.3) AS name
    FROM
    (
        SELECT person, occurred_at, event_id, matched, false AS is_arrival,
            toString(multiIf({by:String} = 'device', device, {by:String} = 'browser', browser, {by:String} = 'os', os,
                {by:String} = 'country', country, {by:String} = 'language', language, '')) AS dimension
        FROM pharos.person_events(site = {site:String}, goals = {steps:String}, only = 1,
            since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')),
            until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC') + toIntervalHour({window_hours:UInt32})))
        UNION ALL
        SELECT if(known.user_id != '', concat('user ', known.user_id), concat('visitor ', t.visitor_id)), t.occurred_at, t.event_id, [], true,
            multiIf({by:String} = 'channel', t.channel, {by:String} = 'source', t.source, {by:String} = 'medium', t.medium, t.campaign)
        -- Another dimension needs no touches: a window of long ago has none.
        FROM pharos.touches_between(site = {site:String}, tz = 'UTC',
            since = if({by:String} IN ('channel', 'source', 'medium', 'campaign'),
                toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC') - toIntervalDay(1)), '1970-01-02'),
            until = if({by:String} IN ('channel', 'source', 'medium', 'campaign'),
                toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')), '1970-01-03')) AS t
        LEFT ANY JOIN (SELECT visitor_id, user_id FROM pharos.people WHERE site = {site:String}) AS known ON known.visitor_id = t.visitor_id
        WHERE t.kind = 'arrival'
    )
    GROUP BY person
    HAVING notEmpty(best.2)
)
ARRAY JOIN arrayZip(arrayEnumerate(best.2), arraySlice(goals, 1, length(best.2)),
                    arrayMap((at, before) -> toFloat64(at - before), best.2, arrayPopBack(arrayPushFront(best.2, best.2[1])))) AS place
WHERE (SELECT wrong FROM pharos.question(site = {site:String}, events = {steps:String}, since = {since:String}, until = {until:String}, tz = {tz:String})) = 0
    AND (SELECT throwIf({by:String} NOT IN ('', 'device', 'browser', 'os', 'country', 'language', 'channel', 'source', 'medium', 'campaign'),
                        'by: nothing, device, browser, os, country, language, channel, source, medium or campaign')) = 0
GROUP BY step, goal, name
ORDER BY name, step;

-- `audience` with more conditions; an empty text or 0 asks for nothing. `without`: no event of the person in the window met this
-- goal. min_value: the conversions of the goal `event` in the window are worth at least that in `currency`, after refunds.
-- `channel`: an arrival or followed link of the person in the window had this channel.
CREATE OR REPLACE VIEW pharos.audience_where SQL SECURITY DEFINER AS
SELECT
    a.visitor_id AS visitor_id,
    a.user_id AS user_id,
    if(a.user_id != '', concat('user ', a.user_id), concat('visitor ', a.visitor_id)) AS person,
    a.last_seen AS last_seen,
    a.times AS times,
    paid.value AS value
FROM pharos.audience(site = {site:String}, event = {event:String}, min_count = {min_count:UInt64}, since = {since:String},
    until = {until:String}, tz = {tz:String}) AS a
LEFT ANY JOIN
(
    SELECT c.person AS person, sumIf(toDecimal128(c.value, 4), c.currency = {currency:String}) AS value
    FROM pharos.conversions(site = {site:String}, event = {event:String}, since = {since:String}, until = {until:String}, tz = {tz:String}) AS c
    GROUP BY c.person
) AS paid ON paid.person = if(a.user_id != '', concat('user ', a.user_id), concat('visitor ', a.visitor_id))
WHERE ({min_value:Float64} = 0 OR paid.value >= {min_value:Float64})
    AND ({without:String} = '' OR person NOT IN (
        SELECT w.person
        FROM pharos.person_events(site = {site:String}, goals = if({without:String} = '', {event:String}, {without:String}), only = 1,
            since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')),
            until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC'))) AS w))
    AND ({channel:String} = '' OR person IN (
        SELECT multiIf(known.user_id != '', concat('user ', known.user_id), t.visitor_id != '', concat('visitor ', t.visitor_id),
                       concat('user ', t.user_id))
        FROM pharos.touches_between(site = {site:String}, since = {since:String}, until = {until:String}, tz = {tz:String}) AS t
        LEFT ANY JOIN (SELECT visitor_id, user_id FROM pharos.people WHERE site = {site:String}) AS known ON known.visitor_id = t.visitor_id
        WHERE t.channel = {channel:String} AND t.kind != 'open'))
    AND (SELECT wrong FROM pharos.question(site = {site:String}, events = {without:String}, since = {since:String}, until = {until:String}, tz = {tz:String})) = 0
    AND (SELECT throwIf(NOT {min_value:Float64} >= 0, 'min_value: 0 or more')
         + throwIf({min_value:Float64} > 0 AND {currency:String} = '', 'currency: three letters, such as EUR, for min_value')) = 0;

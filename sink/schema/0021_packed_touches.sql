-- Journeys of touches that are one text each: millions of visitors are held at once. Definitions in words: docs/sql.md.

-- `touches_planned` (0003_sessions.sql) with each touch as a text: 8 bytes of time (ms since 1900, greatest first), 16 of id,
-- the first letter of its kind, origin. So it sorts as it is, and its first 24 bytes are its place among all events.
CREATE OR REPLACE VIEW pharos.packed_touches_planned AS
WITH
    (at, id) -> concat(reinterpretAsFixedString(byteSwap(toUInt64(toUnixTimestamp64Milli(at) + 2208988800000))), UUIDToNum(id)) AS place
SELECT
    visitor_id,
    '' AS user_id,
    'arrival' AS kind,
    substringIndex(if(origin = '', '(direct)', origin), '\0', 1) AS source,
    concat(place(started_at, session_id), 'a', if(origin = '', '(direct)\0(none)\0\0Direct', origin)) AS touch
FROM pharos.closed_sessions
WHERE site = {site:String} AND generation IN {generations:Array(UInt64)} AND NOT is_bot
    AND started_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC')
    AND started_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC')
UNION ALL
SELECT visitor_id, user_id, kind, source,
    concat(place(occurred_at, event_id), substring(kind, 1, 1), source, '\0', medium, '\0', campaign, '\0', channel)
FROM pharos.closed_touches
WHERE site = {site:String} AND generation IN {generations:Array(UInt64)}
    AND occurred_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC')
    AND occurred_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC')
UNION ALL
SELECT visitor_id, user_id, kind, source,
    concat(place(occurred_at, event_id), substring(kind, 1, 1), source, '\0', medium, '\0', campaign, '\0', channel)
FROM pharos.loose_touches(site = {site:String}, since = {first:String}, until = {end:String})
WHERE occurred_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC')
    AND occurred_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC')
    AND toDate32(occurred_at) NOT IN {days:Array(Date32)}
UNION ALL
SELECT
    visitor_id,
    '' AS user_id,
    if(begins, 'arrival', 'click') AS kind,
    substringIndex(if(length(event) = 32, '(direct)', substring(event, 33)), '\0', 1) AS source,
    -- Of a touch no path and no money was read.
    concat(substring(event, 1, 24), if(begins, 'a', 'c'), if(length(event) = 32, '(direct)\0(none)\0\0Direct', substring(event, 33)))
FROM
(
    SELECT
        visitor_id,
        touch.1 AS event,
        touch.3 AS begins,
        fromUnixTimestamp64Milli(toInt64(byteSwap(reinterpretAsUInt64(substring(touch.1, 1, 8)))) - 2208988800000, 'UTC') AS occurred_at
    FROM pharos.visits(site = {site:String}, first = {first:String}, end = {end:String}, skip = {skip:Array(Date32)}, visitors = {visitors:Array(String)}, whole = 0)
    ARRAY JOIN cuts AS event_, codes AS code
    ARRAY JOIN arrayFilter(t -> t.3 OR bitTest(t.2, 16),
                           arrayMap((e, c, i) -> (e, c, i = 1), event_, code, arrayEnumerate(code))) AS touch
    WHERE NOT is_bot
)
WHERE occurred_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC')
    AND occurred_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC')
    AND (toDate32(occurred_at) NOT IN {days:Array(Date32)} OR (visitor_id, toDate(occurred_at)) IN (
        SELECT visitor_id, day FROM pharos.closed_restless WHERE site = {site:String} AND generation IN {generations:Array(UInt64)}));

CREATE OR REPLACE VIEW pharos.packed_touches AS
WITH
    (SELECT (days, generations, skip, edges, first, end)
     FROM pharos.plan(site = {site:String}, since = {since:String}, until = {until:String}, whole = 0, closed = 1)) AS plan,
    (SELECT visitors FROM pharos.hot(site = {site:String}, first = plan.5, end = plan.6, edges = plan.4, generations = plan.2)) AS hot
SELECT *
FROM pharos.packed_touches_planned(site = {site:String}, since = {since:String}, until = {until:String}, days = plan.1,
    generations = plan.2, skip = plan.3, first = plan.5, end = plan.6, visitors = hot);

-- Who converted in [since, until) of UTC: `conversions_cut` (0004_conversions.sql) without money.
CREATE OR REPLACE VIEW pharos.converting AS
SELECT
    multiIf(
        known.user_id != '', concat('user ', known.user_id),
        found.visitor_id != '', concat('visitor ', found.visitor_id),
        found.user_id != '', concat('user ', found.user_id),
        concat('event ', toString(event_id))) AS person,
    found.visitor_id AS visitor_id
FROM
(
    SELECT event_id, visitor_id, user_id
    FROM pharos.goal_events(site = {site:String}, goals = {event:String}, only = 1, since = {since:String}, until = {until:String})
    WHERE NOT is_bot
) AS found
LEFT ANY JOIN (SELECT visitor_id, user_id FROM pharos.people WHERE site = {site:String}) AS known
    ON known.visitor_id = found.visitor_id;

-- As `paths` (0004_conversions.sql), with touches as above.
CREATE OR REPLACE VIEW pharos.packed_paths AS
SELECT
    person,
    converted,
    ending,
    arrayFilter(t -> substring(t, 1, 24) > start, within) AS touches
FROM
(
    SELECT
        person,
        converted,
        ending,
        within,
        multiIf(
            NOT converted, ending_place,
            {restart:UInt8} = 1 AND notEmpty(within), arrayLast(place -> place < substring(within[-1], 1, 24), places),
            '') AS start
    FROM
    (
        SELECT
            person,
            path.1 AS ending,
            path.2 AS converted,
            path.3 AS ending_place,
            places,
            reinterpretAsFixedString(byteSwap(toUInt64(greatest(0,
                toUnixTimestamp64Milli(if(converted, ending.1 - toIntervalDay({lookback_days:UInt32}),
                                          toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC'))) + 2208988800000)))) AS earliest,
            arrayFilter(t -> t >= earliest AND (NOT converted OR substring(t, 1, 24) <= ending_place), trail) AS within
        FROM
        (
            -- Few persons convert: grouped with the touches, their conversions would cost as much again as all touches do.
            SELECT
                if(notEmpty(c.conversions), c.person, t.person) AS person,
                t.trail AS trail,
                c.conversions AS conversions,
                conversions.8 AS places
            FROM
            (
                SELECT person, arraySort(groupArray(touch)) AS trail
                FROM
                (
                    SELECT
                        multiIf(
                            known.user_id != '', concat('user ', known.user_id),
                            found.visitor_id != '', concat('visitor ', found.visitor_id),
                            found.user_id != '', concat('user ', found.user_id),
                            '') AS person,
                        found.touch AS touch
                    FROM
                    (
                        SELECT visitor_id, user_id, touch
                        FROM pharos.packed_touches(site = {site:String},
                            since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC') - toIntervalDay({lookback_days:UInt32})),
                            until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')))
                        WHERE kind IN splitByChar(',', replaceAll({touch_kinds:String}, ' ', ''))
                            AND ({ignore:String} = '' OR source NOT IN arrayMap(name -> trimBoth(name), splitByChar(',', {ignore:String})))
                            -- Only the visitors of those who converted, which goes down to the scan of events; of the others only the
                            -- window. '' is always in the set: with an empty one ClickHouse 26.9 ends where no row is read.
                            AND (visitor_id IN (
                                    SELECT arrayJoin(groupArray(visitor_id))
                                    FROM
                                    (
                                        SELECT '' AS person, '' AS visitor_id, true AS converts
                                        UNION ALL
                                        SELECT concat('user ', user_id), visitor_id, false
                                        FROM pharos.people
                                        WHERE site = {site:String}
                                        UNION ALL
                                        SELECT person, visitor_id, true
                                        FROM pharos.converting(site = {site:String}, event = {conversion:String}, since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')), until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')))
                                    )
                                    GROUP BY person
                                    HAVING max(converts))
                                OR ({everyone:UInt8} = 1 AND touch >= reinterpretAsFixedString(byteSwap(toUInt64(greatest(0, toUnixTimestamp64Milli(
                                    toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')) + 2208988800000))))))
                    ) AS found
                    LEFT ANY JOIN (SELECT visitor_id, user_id FROM pharos.people WHERE site = {site:String}) AS known
                        ON known.visitor_id = found.visitor_id
                    WHERE person != ''
                )
                GROUP BY person
            ) AS t
            FULL JOIN
            (
                SELECT
                    person,
                    arraySort(c -> c.8, groupArray((occurred_at, event_id, visitor_id, user_id, value, gross, currency,
                        concat(reinterpretAsFixedString(byteSwap(toUInt64(toUnixTimestamp64Milli(occurred_at) + 2208988800000))), UUIDToNum(event_id))))) AS conversions
                FROM pharos.conversions_cut(site = {site:String}, event = {conversion:String},
                    since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC') - toIntervalDay({lookback_days:UInt32})),
                    until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')))
                GROUP BY person
            ) AS c ON c.person = t.person
        )
        ARRAY JOIN arrayConcat(
            arrayMap((c, place) -> (c, true, place),
                     arrayFilter(c -> c.1 >= toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC'), conversions) AS own, own.8),
            if({everyone:UInt8} = 1, [(conversions[-1], false, conversions[-1].8)], [])) AS path
    )
)
WHERE (converted OR notEmpty(touches))
    AND (SELECT wrong FROM pharos.question(site = {site:String}, events = {conversion:String}, since = {since:String}, until = {until:String}, tz = {tz:String})) = 0
    AND (SELECT throwIf({restart:UInt8} > 1, 'restart: 0 or 1')
         + throwIf(NOT hasAll(['arrival', 'click', 'open'], splitByChar(',', replaceAll({touch_kinds:String}, ' ', ''))),
                   'touch_kinds: arrival, click, open, with commas between')) = 0;

-- As in 0004_conversions.sql.
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
    arrayMap(t -> (
        fromUnixTimestamp64Milli(toInt64(byteSwap(reinterpretAsUInt64(substring(t, 1, 8)))) - 2208988800000, 'UTC'),
        reinterpretAsUUID(concat(reverse(substring(t, 9, 8)), reverse(substring(t, 17, 8)))),
        substringIndex(substring(t, 26), '\0', -1),
        substringIndex(substring(t, 26), '\0', 1),
        substringIndex(substringIndex(substring(t, 26), '\0', 2), '\0', -1),
        substringIndex(substringIndex(substring(t, 26), '\0', 3), '\0', -1),
        transform(substring(t, 25, 1), ['a', 'c', 'o'], ['arrival', 'click', 'open'], '')), touches) AS touches
FROM pharos.packed_paths(site = {site:String}, conversion = {conversion:String}, lookback_days = {lookback_days:UInt32},
    since = {since:String}, until = {until:String}, tz = {tz:String}, restart = {restart:UInt8},
    touch_kinds = {touch_kinds:String}, ignore = {ignore:String}, everyone = {everyone:UInt8});

-- As in 0006_markov.sql: of each touch only the name that `by` asks for is unpacked.
CREATE OR REPLACE VIEW pharos.attribution_markov SQL SECURITY DEFINER AS
WITH
    exp2(-48) AS unit,
    x -> exp2(greatest(1, bitAnd(bitShiftRight(reinterpretAsUInt64(x), 52), 2047)) - 1075) AS last_bit
SELECT
    name,
    currency,
    round(toFloat64(share_so_far) * unit / share_grid) * share_grid
        - round(toFloat64(share_so_far - share) * unit / share_grid) * share_grid AS conversions,
    round(toFloat64(net_so_far) * unit / 10000 / net_grid) * net_grid
        - round(toFloat64(net_so_far - net) * unit / 10000 / net_grid) * net_grid AS value,
    round(toFloat64(gross_so_far) * unit / 10000 / gross_grid) * gross_grid
        - round(toFloat64(gross_so_far - gross) * unit / 10000 / gross_grid) * gross_grid AS gross,
    effect AS removal_effect
FROM
(
    SELECT
        *,
        sum(share) OVER (ORDER BY currency, name ROWS UNBOUNDED PRECEDING) AS share_so_far,
        sum(net) OVER (PARTITION BY currency ORDER BY name ROWS UNBOUNDED PRECEDING) AS net_so_far,
        sum(gross) OVER (PARTITION BY currency ORDER BY name ROWS UNBOUNDED PRECEDING) AS gross_so_far,
        last_bit(toFloat64(sum(share) OVER ()) * unit) AS share_grid,
        last_bit(toFloat64(sum(abs(net)) OVER (PARTITION BY currency)) * unit / 10000) AS net_grid,
        last_bit(toFloat64(sum(abs(gross)) OVER (PARTITION BY currency)) * unit / 10000) AS gross_grid
    FROM
    (
        SELECT
            key.1 AS name,
            key.2 AS effect,
            key.3 AS currency,
            sum(c.share) AS share,
            sum(c.net) AS net,
            sum(c.gross) AS gross
        FROM
        (
            SELECT
                (credit.1, credit.2, ending.2) AS key,
                toInt128(credit.3) * ending.3 AS share,
                toInt256(credit.3) * ending.4 AS net,
                toInt256(credit.3) * ending.5 AS gross
            FROM
            (
                SELECT
                    endings,
                    arrayMap(running -> toInt64(round(running / greatest(arraySum(effects), 1e-300) * exp2(48))), arrayCumSum(effects)) AS shares,
                    arrayMap((name, effect, share, before) -> (name, effect, share - before),
                             names, effects, shares, arrayPopBack(arrayPushFront(shares, 0))) AS credits
                FROM
                (
                    SELECT
                        arrayMap(state -> substring(state, 2), states) AS names,
                        endings,
                        arrayMap((reach, visits, win, i) -> if(chance > 0, reach / visits[i] * win / chance, 0),
                                 reached, inverse, wins, arrayEnumerate(states)) AS effects
                    FROM
                    (
                        SELECT
                            states,
                            endings,
                            inverse,
                            wins,
                            arrayMap(c -> arraySum((start, visits) -> start * visits[c], starts, inverse), arrayEnumerate(states)) AS reached,
                            arraySum((start, win) -> start * win, starts, wins) AS chance
                        FROM
                        (
                            SELECT
                                states,
                                endings,
                                starts,
                                inverse,
                                arrayMap(visits -> arraySum((visit, ending) -> visit * ending, visits, converting), inverse) AS wins
                            FROM
                            (
                                SELECT
                                    states,
                                    endings,
                                    starts,
                                    converting,
                                    -- Gauss and Jordan, in place. From every state some path leads out of the chain, so I - Q is an M-matrix:
                                    -- no pivot is 0, and none needs choosing.
                                    arrayFold(
                                        (matrix, k) -> arrayMap(
                                            (line, i) -> arrayMap(
                                                (x, y, j) -> multiIf(
                                                    i = k AND j = k, 1 / x,
                                                    i = k, x / line[k],
                                                    j = k, -x / matrix[k][k],
                                                    x - line[k] * y / matrix[k][k]),
                                                line, matrix[k], arrayEnumerate(line)),
                                            matrix, arrayEnumerate(matrix)),
                                        arrayEnumerate(states),
                                        arrayMap((line, i) -> arrayMap((x, j) -> toFloat64(i = j) - x, line, arrayEnumerate(line)),
                                                 chances, arrayEnumerate(chances))) AS inverse
                                FROM
                                (
                                    SELECT
                                        states,
                                        endings,
                                        arrayMap(own -> arrayMap(to -> arraySum(s -> if(s.2 = to, s.4, 0), own) / arraySum(own.4), states), leaving) AS chances,
                                        arrayMap(own -> arraySum(s -> if(s.2 = '+', s.4, 0), own) / arraySum(own.4), leaving) AS converting,
                                        arrayMap(to -> arraySum(s -> if(s.2 = to, s.4, 0), begun) / arraySum(begun.4), states) AS starts
                                    FROM
                                    (
                                        SELECT
                                            groupArray((origin, destination, currency, times, net, gross)) AS steps,
                                            arraySort(arrayDistinct(arrayFilter(s -> s != '', steps.1))) AS states,
                                            arrayMap(state -> arrayFilter(s -> s.1 = state, steps), states) AS leaving,
                                            arrayFilter(s -> s.1 = '' AND s.2 != '+', steps) AS begun,
                                            arrayMap(s -> (s.1 = '', s.3, s.4, s.5, s.6), arrayFilter(s -> s.2 = '+', steps)) AS endings
                                        FROM
                                        (
                                            -- The small names together.
                                            SELECT
                                                key.1 AS origin,
                                                key.2 AS destination,
                                                key.3 AS currency,
                                                sum(step.4) AS times,
                                                sum(step.5) AS net,
                                                sum(step.6) AS gross
                                            FROM
                                            (
                                                SELECT
                                                    step,
                                                    (if(step.1 IN ('', '+', '-') OR has(kept, step.1), step.1, '=(other)'),
                                                     if(step.2 IN ('', '+', '-') OR has(kept, step.2), step.2, '=(other)'),
                                                     step.3) AS key
                                                FROM
                                                (
                                                    SELECT
                                                        groupArray((first, following, money, taken, net_, gross_)) AS steps,
                                                        sumMapIf([first], [taken], first != '') AS touched,
                                                        arraySlice(arraySort((name, touches) -> (-toInt64(touches), name), touched.1, touched.2),
                                                                   1, {max_names:UInt16}) AS kept
                                                    FROM
                                                    (
                                                        SELECT
                                                            key.1 AS first,
                                                            key.2 AS following,
                                                            key.3 AS money,
                                                            count() AS taken,
                                                            sum(p.net) AS net_,
                                                            sum(p.gross) AS gross_
                                                        FROM
                                                        (
                                                            SELECT
                                                                (step.1, step.2, if(step.2 = '+', currency_of_path, '')) AS key,
                                                                if(step.2 = '+', toInt256(reinterpretAsInt64(value_)), toInt256(0)) AS net,
                                                                if(step.2 = '+', toInt256(reinterpretAsInt64(gross_)), toInt256(0)) AS gross
                                                            FROM
                                                            (
                                                                SELECT
                                                                    ending.5 AS value_,
                                                                    ending.6 AS gross_,
                                                                    ending.7 AS currency_of_path,
                                                                    arrayMap(t -> concat('=', multiIf(
                                                                        {by:String} = 'channel', substringIndex(t, '\0', -1),
                                                                        {by:String} = 'source', substringIndex(substring(t, 26), '\0', 1),
                                                                        {by:String} = 'medium', substringIndex(substringIndex(substring(t, 26), '\0', 2), '\0', -1),
                                                                        substringIndex(substringIndex(substring(t, 26), '\0', 3), '\0', -1))), touches) AS names,
                                                                    arrayZip(arrayPushFront(names, ''), arrayPushBack(names, if(converted, '+', '-'))) AS steps
                                                                FROM pharos.packed_paths(site = {site:String}, conversion = {conversion:String}, lookback_days = {lookback_days:UInt32},
                                                                    since = {since:String}, until = {until:String}, tz = {tz:String}, restart = {restart:UInt8},
                                                                    touch_kinds = {touch_kinds:String}, ignore = {ignore:String}, everyone = 1)
                                                                WHERE (SELECT throwIf({by:String} NOT IN ('channel', 'source', 'medium', 'campaign'), 'by: channel, source, medium or campaign')
                                                                    + throwIf({max_names:UInt16} NOT BETWEEN 1 AND 400, 'max_names: 1 to 400')) = 0
                                                            )
                                                            ARRAY JOIN steps AS step
                                                        ) AS p
                                                        GROUP BY key
                                                    )
                                                )
                                                ARRAY JOIN steps AS step
                                            )
                                            GROUP BY key
                                        )
                                    )
                                )
                            )
                        )
                    )
                )
            )
            ARRAY JOIN endings AS ending
            ARRAY JOIN if(ending.1, [('Unattributed', 0., toInt64(exp2(48)))], credits) AS credit
        ) AS c
        GROUP BY key
    )
);

-- As in 0005_attribution.sql. One key of six names: for each column that a question groups by, ClickHouse goes through the texts of
-- all the views below it once more.
CREATE OR REPLACE VIEW pharos.attributed AS
WITH
    exp2(-48) AS unit,
    -- The size of a Float64's last bit.
    x -> exp2(greatest(1, bitAnd(bitShiftRight(reinterpretAsUInt64(x), 52), 2047)) - 1075) AS last_bit
SELECT
    model, channel, source, medium, campaign, currency,
    round(toFloat64(share_so_far) * unit / share_grid) * share_grid
        - round(toFloat64(share_so_far - share) * unit / share_grid) * share_grid AS conversions,
    round(toFloat64(net_so_far) * unit / 10000 / net_grid) * net_grid
        - round(toFloat64(net_so_far - net) * unit / 10000 / net_grid) * net_grid AS value,
    round(toFloat64(gross_so_far) * unit / 10000 / gross_grid) * gross_grid
        - round(toFloat64(gross_so_far - gross) * unit / 10000 / gross_grid) * gross_grid AS gross
FROM
(
    SELECT
        *,
        sum(share) OVER (PARTITION BY model ORDER BY currency, channel, source, medium, campaign ROWS UNBOUNDED PRECEDING) AS share_so_far,
        sum(net) OVER (PARTITION BY model, currency ORDER BY channel, source, medium, campaign ROWS UNBOUNDED PRECEDING) AS net_so_far,
        sum(gross) OVER (PARTITION BY model, currency ORDER BY channel, source, medium, campaign ROWS UNBOUNDED PRECEDING) AS gross_so_far,
        last_bit(toFloat64(sum(share) OVER (PARTITION BY model)) * unit) AS share_grid,
        last_bit(toFloat64(sum(abs(net)) OVER (PARTITION BY model, currency)) * unit / 10000) AS net_grid,
        last_bit(toFloat64(sum(abs(gross)) OVER (PARTITION BY model, currency)) * unit / 10000) AS gross_grid
    FROM
    (
        SELECT
            key.1 AS model,
            key.2 AS channel,
            key.3 AS source,
            key.4 AS medium,
            key.5 AS campaign,
            key.6 AS currency,
            sum(c.share) AS share,
            sum(c.net) AS net,
            sum(c.gross) AS gross
        FROM
        (
            SELECT
                (model, touch.3, touch.4, touch.5, touch.6, currency) AS key,
                toInt128(r.share) AS share,
                toInt256(r.share) * toInt256(reinterpretAsInt64(value_)) AS net,
                toInt256(r.share) * toInt256(reinterpretAsInt64(gross_)) AS gross
            FROM pharos.credited(site = {site:String}, conversion = {conversion:String}, models = {models:String}, by = {by:String},
                lookback_days = {lookback_days:UInt32}, since = {since:String}, until = {until:String}, tz = {tz:String},
                half_life_days = {half_life_days:Float64}, restart = {restart:UInt8}, touch_kinds = {touch_kinds:String}, ignore = {ignore:String}) AS r
        ) AS c
        GROUP BY key
    )
);

-- As in 0011_visits.sql. What a person did, touched and bought is grouped apart: together each of ten million events would carry the
-- columns of all three.
CREATE OR REPLACE VIEW pharos.persons SQL SECURITY DEFINER AS
SELECT
    seen.person AS person,
    seen.visitor_ids AS visitor_ids,
    seen.first_seen AS first_seen,
    seen.last_seen AS last_seen,
    touched.visits AS visits,
    substringIndex(substring(touched.first, 26), '\0', -1) AS first_channel,
    substringIndex(substring(touched.first, 26), '\0', 1) AS first_source,
    substringIndex(substringIndex(substring(touched.first, 26), '\0', 2), '\0', -1) AS first_medium,
    substringIndex(substringIndex(substring(touched.first, 26), '\0', 3), '\0', -1) AS first_campaign,
    bought.conversions AS conversions,
    if(bought.conversions = 0, NULL, bought.first_at) AS first_converted_at,
    if(bought.conversions = 0, NULL, bought.last_at) AS last_converted_at,
    bought.value AS value
FROM
(
    SELECT person, uniqExactIf(visitor_id, visitor_id != '') AS visitor_ids, min(occurred_at) AS first_seen, max(occurred_at) AS last_seen
    FROM pharos.person_events(site = {site:String}, goals = '', only = 0,
        since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')),
        until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')))
    WHERE kind != 'open' AND person != ''
    GROUP BY person
) AS seen
LEFT ANY JOIN
(
    SELECT person, countIf(kind = 'arrival') AS visits, min(touch) AS first
    FROM
    (
        SELECT
            multiIf(known.user_id != '', concat('user ', known.user_id), t.visitor_id != '', concat('visitor ', t.visitor_id),
                    t.user_id != '', concat('user ', t.user_id), '') AS person,
            t.kind AS kind,
            t.touch AS touch
        FROM
        (
            SELECT visitor_id, user_id, kind, touch
            FROM pharos.packed_touches(site = {site:String},
                since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')),
                until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')))
            WHERE kind != 'open'
        ) AS t
        LEFT ANY JOIN (SELECT visitor_id, user_id FROM pharos.people WHERE site = {site:String}) AS known ON known.visitor_id = t.visitor_id
    )
    GROUP BY person
) AS touched ON touched.person = seen.person
LEFT ANY JOIN
(
    SELECT
        person,
        count() AS conversions,
        min(occurred_at) AS first_at,
        max(occurred_at) AS last_at,
        sumMap(map(toString(currency), toDecimal128(conversion.value, 4))) AS value
    FROM pharos.conversions(site = {site:String}, event = {conversion:String}, since = {since:String}, until = {until:String}, tz = {tz:String}) AS conversion
    GROUP BY person
) AS bought ON bought.person = seen.person;

-- Visits, touches, persons and landing pages with everything that is known of them. Definitions in words: docs/sql.md.

-- One row a touch in [since, until), as in `touches_between`, with its person and what its own event says.
CREATE OR REPLACE VIEW pharos.touch_details SQL SECURITY DEFINER AS
SELECT
    multiIf(known.user_id != '', concat('user ', known.user_id),
            t.visitor_id != '', concat('visitor ', t.visitor_id),
            t.user_id != '', concat('user ', t.user_id), '') AS person,
    t.visitor_id AS visitor_id,
    t.occurred_at AS occurred_at,
    t.event_id AS event_id,
    t.kind AS kind,
    t.channel AS channel,
    t.source AS source,
    t.medium AS medium,
    t.campaign AS campaign,
    e.utm_content AS content,
    e.utm_term AS term,
    toString(e.link_code) AS link_code,
    e.path AS landing_path,
    toString(e.device) AS device,
    toString(e.country) AS country
FROM
(
    SELECT event_id, utm_content, utm_term, link_code, path, device, country
    FROM pharos.standing(site = {site:String}, events = '', since = {since:String}, until = {until:String}, tz = {tz:String})
    WHERE NOT is_bot
) AS e
INNER JOIN pharos.touches_between(site = {site:String}, since = {since:String}, until = {until:String}, tz = {tz:String}) AS t
    ON t.event_id = e.event_id
LEFT ANY JOIN (SELECT visitor_id, user_id FROM pharos.people WHERE site = {site:String}) AS known ON known.visitor_id = t.visitor_id;

-- One row a session that began in [since, until), as in `sessions_between`, with what its first event says.
CREATE OR REPLACE VIEW pharos.visit_details SQL SECURITY DEFINER AS
SELECT
    s.*,
    e.utm_content AS content,
    e.utm_term AS term,
    toString(e.link_code) AS link_code,
    toString(e.device) AS device,
    toString(e.country) AS country
FROM
(
    SELECT event_id, utm_content, utm_term, link_code, device, country
    FROM pharos.standing(site = {site:String}, events = '', since = {since:String}, until = {until:String}, tz = {tz:String})
) AS e
RIGHT ANY JOIN pharos.sessions_between(site = {site:String}, since = {since:String}, until = {until:String}, tz = {tz:String}) AS s
    ON s.session_id = e.event_id;

-- One row a session of a human that began in [since, until). `number` counts the sessions of its person from history_days
-- before `since` on; `days_since_last` is from the start of the person's session before, NULL where there is none. An event
-- belongs to the last session of its visitor that began before it, if that did not end before it. Events up to a day
-- after `until` are read: of a session that goes on longer, what comes later is only in `events`, `ended_at` and `value`.
CREATE OR REPLACE VIEW pharos.session_details SQL SECURITY DEFINER AS
WITH
    (at, id) -> bitOr(bitShiftLeft(toUInt256(toUnixTimestamp64Milli(at) + 2208988800000), 128),
                      reinterpretAsUInt256(reverse(UUIDToNum(id)))) AS place_of
SELECT
    any(s.person) AS person,
    any(s.visitor_id) AS visitor_id,
    s.session_id AS session_id,
    any(s.started_at) AS started_at,
    any(s.ended_at) AS ended_at,
    any(s.number) AS number,
    any(s.days_since_last) AS days_since_last,
    any(s.events) AS events,
    countIf(e.event = 'pageview') AS views,
    sum(e.engaged_ms) / 1000 AS engaged_s,
    views <= 1 AND engaged_s < 10 AND empty(goals) AS bounce,
    arrayMap(i -> arrayMap(g -> trimBoth(g), extractAll({goals:String}, '(?:[^,\\[]|\\[[^\\]]*\\])+'))[i],
             arraySort(groupUniqArrayArray(e.matched))) AS goals,
    any(s.entry_page) AS landing_page,
    any(s.exit_page) AS exit_page,
    any(s.channel) AS channel,
    any(s.source) AS source,
    any(s.medium) AS medium,
    any(s.campaign) AS campaign,
    anyIf(e.utm_content, e.event_id = s.session_id) AS content,
    anyIf(e.utm_term, e.event_id = s.session_id) AS term,
    toString(anyIf(e.link_code, e.event_id = s.session_id)) AS link_code,
    toString(anyIf(e.device, e.event_id = s.session_id)) AS device,
    toString(anyIf(e.browser, e.event_id = s.session_id)) AS browser,
    toString(anyIf(e.os, e.event_id = s.session_id)) AS os,
    toString(anyIf(e.language, e.event_id = s.session_id)) AS language,
    toString(anyIf(e.country, e.event_id = s.session_id)) AS country,
    any(s.value) AS value
FROM
(
    SELECT visitor_id, event_id, event, occurred_at, matched, utm_content, utm_term, link_code, device, browser, os, language,
        country, place_of(occurred_at, event_id) AS place,
        -- For an engagement the last 44 bits of the code are its milliseconds.
        if(event = 'engagement', bitShiftRight(code, 20), 0) AS engaged_ms
    FROM pharos.goal_events(site = {site:String}, goals = {goals:String}, only = 0,
        since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')),
        until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC') + toIntervalDay(1)))
    WHERE NOT is_bot AND visitor_id != '' AND kind != 'open' AND NOT (event = 'consent' AND consent = 'refused')
) AS e
ASOF INNER JOIN
(
    SELECT
        *,
        place_of(started_at, session_id) AS place,
        row_number() OVER (PARTITION BY person ORDER BY place) AS number,
        if(number = 1, NULL, toFloat64(started_at - lagInFrame(started_at) OVER (
            PARTITION BY person ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)) / 86400) AS days_since_last
    FROM
    (
        SELECT own.*, if(known.user_id != '', concat('user ', known.user_id), concat('visitor ', own.visitor_id)) AS person
        FROM pharos.sessions_between(site = {site:String}, tz = 'UTC',
            since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC') - toIntervalDay({history_days:UInt32})),
            until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC'))) AS own
        LEFT ANY JOIN (SELECT visitor_id, user_id FROM pharos.people WHERE site = {site:String}) AS known ON known.visitor_id = own.visitor_id
        WHERE NOT own.is_bot
    )
) AS s ON e.visitor_id = s.visitor_id AND e.place >= s.place
WHERE e.occurred_at <= s.ended_at AND s.started_at >= parseDateTime64BestEffort({since:String}, 3, {tz:String})
    AND (SELECT wrong FROM pharos.question(site = {site:String}, events = {goals:String}, since = {since:String}, until = {until:String}, tz = {tz:String})) = 0
GROUP BY s.session_id;

-- One row a page on which sessions of [since, until) began: how many, of how many visitors, how they went on, and in how many
-- the goal was met. `value` is what their events brought, by currency.
CREATE OR REPLACE VIEW pharos.landing_pages SQL SECURITY DEFINER AS
SELECT
    landing_page,
    count() AS visits,
    uniqExact(visitor_id) AS visitors,
    countIf(d.bounce) AS bounces,
    bounces / visits AS bounce_rate,
    sum(d.views) / visits AS views_per_visit,
    sum(d.engaged_s) / visits AS engaged_s_per_visit,
    countIf(notEmpty(d.goals)) AS converted,
    converted / visits AS conversion_rate,
    sumMap(d.value) AS value
FROM pharos.session_details(site = {site:String}, goals = {conversion:String}, history_days = 0, since = {since:String},
    until = {until:String}, tz = {tz:String}) AS d
GROUP BY landing_page;

-- One row a person with an event in [since, until), mail opens apart. All figures are of that window. The first touch is
-- the first arrival or followed link; `value` is what refunds left of the conversions, by currency.
CREATE OR REPLACE VIEW pharos.persons SQL SECURITY DEFINER AS
SELECT
    person,
    uniqExactIf(seen_as, seen_as != '') AS visitor_ids,
    minIf(at, what = 'seen') AS first_seen,
    maxIf(at, what = 'seen') AS last_seen,
    countIf(what = 'arrival') AS visits,
    argMinIf(touch.1, (at, id), touched) AS first_channel,
    argMinIf(touch.2, (at, id), touched) AS first_source,
    argMinIf(touch.3, (at, id), touched) AS first_medium,
    argMinIf(touch.4, (at, id), touched) AS first_campaign,
    countIf(what = 'conversion') AS conversions,
    if(conversions = 0, NULL, minIf(at, what = 'conversion')) AS first_converted_at,
    if(conversions = 0, NULL, maxIf(at, what = 'conversion')) AS last_converted_at,
    sumMapIf(map(currency, toDecimal128(amount, 4)), what = 'conversion') AS value
FROM
(
    SELECT person, visitor_id AS seen_as, occurred_at AS at, UUIDToNum(event_id) AS id, 'seen' AS what, false AS touched,
        ('', '', '', '') AS touch, '' AS currency, toDecimal64(0, 4) AS amount
    FROM pharos.person_events(site = {site:String}, goals = '', only = 0,
        since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')),
        until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')))
    WHERE kind != 'open'
    UNION ALL
    SELECT
        multiIf(known.user_id != '', concat('user ', known.user_id), t.visitor_id != '', concat('visitor ', t.visitor_id),
                t.user_id != '', concat('user ', t.user_id), ''),
        '', t.occurred_at, UUIDToNum(t.event_id), t.kind, true,
        (toString(t.channel), toString(t.source), toString(t.medium), toString(t.campaign)), '', toDecimal64(0, 4)
    FROM pharos.touches_between(site = {site:String}, since = {since:String}, until = {until:String}, tz = {tz:String}) AS t
    LEFT ANY JOIN (SELECT visitor_id, user_id FROM pharos.people WHERE site = {site:String}) AS known ON known.visitor_id = t.visitor_id
    WHERE t.kind != 'open'
    UNION ALL
    SELECT c.person, '', c.occurred_at, UUIDToNum(c.event_id), 'conversion', false, ('', '', '', ''), toString(c.currency), c.value
    FROM pharos.conversions(site = {site:String}, event = {conversion:String}, since = {since:String}, until = {until:String}, tz = {tz:String}) AS c
)
GROUP BY person
HAVING countIf(what = 'seen') > 0 AND person != '';

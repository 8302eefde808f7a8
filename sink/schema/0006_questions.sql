-- The other questions: funnel, retention, mail opens, audience, top pages, the last half hour. Bots are left out.
-- A person is a user where known, otherwise a visitor (see `people`); what nobody did is counted nowhere here.

-- Events with their person. Not for whole histories of columns: ask for the columns you need.
CREATE OR REPLACE VIEW pharos.person_events AS
SELECT
    e.site AS site,
    multiIf(known.user_id != '', concat('user ', known.user_id),
            e.visitor_id != '', concat('visitor ', e.visitor_id),
            e.user_id != '', concat('user ', e.user_id), '') AS person,
    e.visitor_id AS visitor_id,
    if(e.visitor_id = '', e.user_id, known.user_id) AS user_id,
    e.occurred_at AS occurred_at,
    e.event_id AS event_id,
    e.event AS event,
    e.kind AS kind,
    e.consent AS consent
FROM (SELECT * FROM pharos.events WHERE site = {site:String} AND NOT is_bot) AS e
LEFT JOIN (SELECT visitor_id, user_id FROM pharos.people WHERE site = {site:String}) AS known ON known.visitor_id = e.visitor_id
WHERE e.visitor_id != '' OR e.user_id != '';

-- One row a step: how many people did the steps so far, in order, within window_hours of the first, which fell into
-- [since, until). `rate` is of those who began. Two steps are never one event.
CREATE OR REPLACE VIEW pharos.funnel AS
SELECT
    place.1 AS step,
    place.2 AS event,
    countIf(reached >= place.1) AS visitors,
    if(countIf(reached >= 1) = 0, 0, visitors / countIf(reached >= 1)) AS rate
FROM
(
    SELECT
        person,
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
)
ARRAY JOIN arrayZip(arrayEnumerate(names), names) AS place
GROUP BY step, event
ORDER BY step;

-- One row a (cohort, day): people whose first `event` ever fell on the cohort's day, in [since, until), and how many of
-- them were here again `day` days later (any event but a mail open, before `until`). Days on which nobody came have no row.
CREATE OR REPLACE VIEW pharos.retention AS
SELECT
    cohort,
    day,
    uniqExact(person) AS visitors,
    visitors / max(uniqExact(person)) OVER (PARTITION BY cohort) AS rate
FROM
(
    SELECT person, toDate(first_at) AS cohort, arrayJoin(days) - cohort AS day
    FROM
    (
        SELECT
            person,
            minIf(occurred_at, event = {event:String}) AS first_at,
            countIf(event = {event:String}) AS times,
            groupUniqArrayIf(toDate(occurred_at), kind != 'open' OR event = {event:String}) AS days
        FROM pharos.person_events(site = {site:String})
        WHERE occurred_at < {until:DateTime64(3, 'UTC')}
        GROUP BY person
    )
    WHERE times > 0 AND first_at >= {since:DateTime64(3, 'UTC')}
)
WHERE day >= 0
GROUP BY cohort, day
ORDER BY cohort, day;

-- One row a message: opens by who opened, human beside raw; people among the human opens (a user, a visitor, or else an
-- address with its user agent); clicks of people on links with the message's id or of its campaign.
CREATE OR REPLACE VIEW pharos.mail_opens AS
SELECT
    message_id AS message,
    max(list_id) AS list,
    countIf(is_open) AS opens,
    countIf(is_open AND open_kind = 'human') AS human,
    countIf(is_open AND open_kind = 'proxy') AS proxy,
    countIf(is_open AND open_kind = 'prefetch') AS prefetch,
    countIf(is_open AND open_kind = 'scanner') AS scanner,
    uniqExactIf(reader, is_open AND open_kind = 'human') AS unique_human,
    countIf(NOT is_open) AS clicks
FROM
(
    SELECT
        if(kind = 'open' OR e.message_id != '', toString(e.message_id), if(e.utm_id != '', e.utm_id, toString(e.campaign))) AS message_id,
        list_id,
        kind = 'open' AS is_open,
        open_kind,
        multiIf(e.user_id != '', concat('user ', e.user_id), e.visitor_id != '', concat('visitor ', e.visitor_id),
                concat('address ', ip, ' ', user_agent)) AS reader
    FROM pharos.events AS e
    WHERE site = {site:String} AND occurred_at >= {since:DateTime64(3, 'UTC')} AND occurred_at < {until:DateTime64(3, 'UTC')}
        AND (kind = 'open' OR (kind = 'click' AND NOT is_bot))
)
GROUP BY message_id
HAVING opens > 0
ORDER BY message;

-- One row a visitor of every person who did `event` at least min_count times in the last `days` days, for retargeting.
-- Whoever refused consent at last is left out.
CREATE OR REPLACE VIEW pharos.audience AS
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
    WHERE occurred_at >= now64(3, 'UTC') - toIntervalDay({days:UInt32})
    GROUP BY person
)
ARRAY JOIN arraySort(visitors) AS visitor
WHERE times >= {min_count:UInt64} AND last_consent != 'refused';

-- One row a page: `pageview` events in [since, until), people who saw it, sessions that began there.
CREATE OR REPLACE VIEW pharos.top_pages AS
SELECT
    path,
    sum(seen) AS views,
    uniqExactIf(visitor_id, visitor_id != '') AS visitors,
    sum(began) AS entries
FROM
(
    SELECT path, visitor_id, 1 AS seen, 0 AS began
    FROM pharos.events
    WHERE site = {site:String} AND event = 'pageview' AND NOT is_bot
        AND occurred_at >= {since:DateTime64(3, 'UTC')} AND occurred_at < {until:DateTime64(3, 'UTC')}
    UNION ALL
    SELECT entry_page, '', 0, 1
    FROM pharos.sessions
    WHERE site = {site:String} AND NOT is_bot
        AND started_at >= {since:DateTime64(3, 'UTC')} AND started_at < {until:DateTime64(3, 'UTC')}
)
GROUP BY path
HAVING views > 0
ORDER BY views DESC, path;

-- One row a minute of the last half hour, the quiet ones too.
CREATE OR REPLACE VIEW pharos.realtime AS
SELECT
    toStartOfMinute(occurred_at) AS minute,
    count() AS events,
    countIf(event = 'pageview') AS views,
    uniqExactIf(visitor_id, visitor_id != '') AS visitors
FROM pharos.events
WHERE site = {site:String} AND NOT is_bot AND occurred_at >= toStartOfMinute(now()) - 1740 AND occurred_at <= now64(3, 'UTC')
GROUP BY minute
ORDER BY minute WITH FILL FROM toStartOfMinute(now()) - 1740 TO toStartOfMinute(now()) + 60 STEP 60;

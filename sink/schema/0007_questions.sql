-- The other questions: funnel, retention, mail opens, audience, top pages, the last half hour. Bots are left out.
-- A person is a user where known, otherwise a visitor (see `people`); what has neither is counted nowhere here.
-- Every view takes all its parameters, checks them, and reads its window.

-- Events with their person, in [since, until) of UTC: those that meet one of `goals`, or with only = 0 all. Suppressions (a refusal, with a visitor id alone) are left out.
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
    e.consent AS consent,
    e.matched AS matched,
    e.value AS value,
    e.currency AS currency,
    e.device AS device,
    e.browser AS browser,
    e.os AS os,
    e.country AS country,
    e.language AS language
FROM
(
    SELECT *
    FROM pharos.goal_events(site = {site:String}, goals = {goals:String}, only = {only:UInt8}, since = {since:String}, until = {until:String})
    WHERE NOT is_bot AND NOT (event = 'consent' AND consent = 'refused')
) AS e
LEFT ANY JOIN (SELECT visitor_id, user_id FROM pharos.people WHERE site = {site:String}) AS known ON known.visitor_id = e.visitor_id
WHERE e.visitor_id != '' OR e.user_id != '';

-- One row a step, which is a goal: how many people did the steps so far, in order, within window_hours of the first, which fell into
-- [since, until). `rate` is their share of those who did the first. Two steps are never one event. A step without people has a row too.
CREATE OR REPLACE VIEW pharos.funnel SQL SECURITY DEFINER AS
WITH
    parseDateTime64BestEffort({since:String}, 3, {tz:String}) AS begin,
    parseDateTime64BestEffort({until:String}, 3, {tz:String}) AS end
SELECT
    place.1 AS step,
    place.2 AS event,
    countIf(reached >= place.1) AS visitors,
    if(countIf(reached >= 1) = 0, 0, visitors / countIf(reached >= 1)) AS rate
FROM
(
    SELECT
        arrayMap(step -> trimBoth(step), extractAll({steps:String}, '(?:[^,\\[]|\\[[^\\]]*\\])+')) AS names,
        -- For each step, when the latest chain that got so far began; 0: none did.
        arrayFold(
            (began, e) -> arrayMap(
                (own, before, i) -> multiIf(
                    NOT has(e.3, i), own,
                    i = 1, if(e.1 >= begin AND e.1 < end, e.1, own),
                    before != toDateTime64(0, 3, 'UTC') AND e.1 - before <= {window_hours:UInt32} * 3600, greatest(own, before),
                    own),
                began, arrayPopBack(arrayPushFront(began, toDateTime64(0, 3, 'UTC'))), arrayEnumerate(names)),
            arraySort(e -> (e.1, UUIDToNum(e.2)), groupArray((occurred_at, event_id, matched))),
            arrayMap(name -> toDateTime64(0, 3, 'UTC'), names)) AS chains,
        arrayCount(began -> began != toDateTime64(0, 3, 'UTC'), chains) AS reached
    FROM pharos.person_events(site = {site:String}, goals = {steps:String}, only = 1,
        since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')),
        until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC') + toIntervalHour({window_hours:UInt32})))
    GROUP BY person
    UNION ALL
    SELECT arrayMap(step -> trimBoth(step), extractAll({steps:String}, '(?:[^,\\[]|\\[[^\\]]*\\])+')), [], 0
)
ARRAY JOIN arrayZip(arrayEnumerate(names), names) AS place
WHERE (SELECT wrong FROM pharos.question(site = {site:String}, events = {steps:String}, since = {since:String}, until = {until:String}, tz = {tz:String})) = 0
GROUP BY step, event
ORDER BY step;

-- One row a (cohort, day): people whose first `event` ever fell on the cohort's day of `tz`, in [since, until), and how
-- many of them were here again `day` days later, before `until`: any event counts except a mail open. Days without
-- people have no row. Of the time before `since` only events of that name are read.
CREATE OR REPLACE VIEW pharos.retention SQL SECURITY DEFINER AS
WITH
    parseDateTime64BestEffort({since:String}, 3, {tz:String}) AS begin
SELECT
    cohort,
    day,
    uniqExact(person) AS visitors,
    visitors / max(uniqExact(person)) OVER (PARTITION BY cohort) AS rate
FROM
(
    SELECT person, toDate(toTimeZone(first_at, {tz:String})) AS cohort, arrayJoin(arrayPushFront(days, cohort)) - cohort AS day
    FROM
    (
        SELECT
            person,
            minIf(occurred_at, notEmpty(matched)) AS first_at,
            countIf(notEmpty(matched)) AS times,
            groupUniqArrayIf(toDate(toTimeZone(occurred_at, {tz:String})), kind != 'open' AND occurred_at >= begin) AS days
        FROM
        (
            SELECT person, occurred_at, matched, kind
            FROM pharos.person_events(site = {site:String}, goals = {event:String}, only = 1, since = '',
                until = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')))
            UNION ALL
            SELECT person, occurred_at, matched, kind
            FROM pharos.person_events(site = {site:String}, goals = {event:String}, only = 0,
                since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')),
                until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')))
        )
        GROUP BY person
    )
    WHERE times > 0 AND first_at >= begin
)
WHERE day >= 0
    AND (SELECT wrong FROM pharos.question(site = {site:String}, events = {event:String}, since = {since:String}, until = {until:String}, tz = {tz:String})) = 0
GROUP BY cohort, day
ORDER BY cohort, day;

-- One row a message: opens by who opened, human next to all; people among the human opens (a user, a visitor, or else a
-- reader: an address with its user agent, on one day); clicks of people on links with the message's id or of its campaign.
-- Mail scanners that no signature knows are recognised by what they do. A client is a site, an address and a user agent,
-- neither empty. An open with any open_kind is a scanner's if the same client followed `scan_links` different links
-- (by code, or else by URL without query and fragment) of that message from `scan_before_ms` before it to
-- `scan_within_ms` after it. The client's clicks on that message from `scan_before_ms` before such an open to
-- `scan_rest_ms` after it are `scanner_clicks`, not `clicks`. All bounds are inclusive.
CREATE OR REPLACE VIEW pharos.mail_opens SQL SECURITY DEFINER AS
WITH
    -- A person may click two links quickly. No column has the links of a mail, so three are taken as all of them.
    3 AS scan_links,
    -- No person reads a mail and follows three links in five seconds; in ten, an eager reader could open three tabs.
    5000 AS scan_within_ms,
    -- A machine that fetches everything at once may be seen to follow a link just before it loads the picture.
    1000 AS scan_before_ms,
    -- A scanner that takes one link after the other needs a while for a long mail.
    60000 AS scan_rest_ms
SELECT
    message_id AS message,
    max(list_id) AS list,
    countIf(is_open) AS opens,
    countIf(is_open AND opener = 'human') AS human,
    countIf(is_open AND opener = 'proxy') AS proxy,
    countIf(is_open AND opener = 'prefetch') AS prefetch,
    countIf(is_open AND opener = 'scanner') AS scanner,
    uniqExactIf(opened_by, is_open AND opener = 'human') AS unique_human,
    countIf(NOT is_open AND NOT after_scan) AS clicks,
    countIf(NOT is_open AND after_scan) AS scanner_clicks
FROM
(
    SELECT
        *,
        if(scans, 'scanner', toString(open_kind)) AS opener,
        max(scans) OVER (PARTITION BY message_id, client, alone ORDER BY at_ms
                         RANGE BETWEEN scan_rest_ms PRECEDING AND scan_before_ms FOLLOWING) AS after_scan
    FROM
    (
        SELECT
            *,
            is_open AND client != ('', '') AND uniqExactIf(link, NOT is_open) OVER (
                PARTITION BY message_id, client, alone ORDER BY at_ms
                RANGE BETWEEN scan_before_ms PRECEDING AND scan_within_ms FOLLOWING) >= scan_links AS scans
        FROM
        (
            SELECT
                *,
                -- A client that followed too few links is looked at event by event: a proxy's opens are many.
                if(uniqExactIf(link, NOT is_open) OVER (PARTITION BY message_id, client) >= scan_links AND client != ('', ''),
                   toUUID('00000000-0000-0000-0000-000000000000'), event_id) AS alone
            FROM
            (
                SELECT
                    event_id,
                    occurred_at,
                    toUnixTimestamp64Milli(e.occurred_at) AS at_ms,
                    if(kind = 'open' OR e.message_id != '', toString(e.message_id),
                       if(e.utm_id != '', e.utm_id, toString(e.campaign))) AS message_id,
                    list_id,
                    kind = 'open' AS is_open,
                    open_kind,
                    if(e.link_code != '', concat('code ', e.link_code), concat('url ', cutQueryStringAndFragment(e.url))) AS link,
                    -- The address is erased after a while; its hash of that day is not.
                    multiIf(e.ip != '' AND e.user_agent != '', (e.ip, toString(e.user_agent)),
                            e.reader != 0, ('', toString(e.reader)), ('', '')) AS client,
                    multiIf(e.user_id != '', concat('user ', e.user_id), e.visitor_id != '', concat('visitor ', e.visitor_id),
                            e.reader != 0, concat('reader ', toString(e.reader)), 'nobody known') AS opened_by
                -- A little more than asked for (scan_rest_ms and more), so that a scan across midnight is seen from both days.
                FROM pharos.standing(site = {site:String}, events = '',
                    since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC') - toIntervalSecond(61)),
                    until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC') + toIntervalSecond(6)),
                    tz = 'UTC') AS e
                WHERE kind = 'open' OR (kind = 'click' AND NOT is_bot)
            )
        )
    )
)
WHERE occurred_at >= parseDateTime64BestEffort({since:String}, 3, {tz:String}) AND occurred_at < parseDateTime64BestEffort({until:String}, 3, {tz:String})
    AND (SELECT wrong FROM pharos.question(site = {site:String}, events = '', since = {since:String}, until = {until:String}, tz = {tz:String})) = 0
GROUP BY message_id
HAVING opens > 0
ORDER BY message;

-- One row a visitor id of every person who did `event` at least min_count times in [since, until), for retargeting: of a
-- user all visitor ids that name it first, at any time. A person whose last sign of consent is a refusal is left out,
-- and a visitor id whose own last sign is one: refusals count from whenever they are, also after `until`.
CREATE OR REPLACE VIEW pharos.audience SQL SECURITY DEFINER AS
WITH
    seen AS
    (
        SELECT
            person,
            countIf(notEmpty(matched)) AS times,
            max(occurred_at) AS last_seen,
            maxIf(occurred_at, consent != 'refused') AS allowed_at,
            maxIf(occurred_at, consent = 'refused') AS refused_at
        FROM pharos.person_events(site = {site:String}, goals = {event:String}, only = 0,
            since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')),
            until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')))
        GROUP BY person
        HAVING times >= {min_count:UInt64}
    ),
    visitor_seen AS
    (
        SELECT visitor_id, person, maxIf(occurred_at, consent != 'refused') AS allowed_at
        FROM pharos.person_events(site = {site:String}, goals = {event:String}, only = 0,
            since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')),
            until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')))
        WHERE visitor_id != ''
        GROUP BY visitor_id, person
    ),
    -- Every visitor id of these people, in the window or not, with the time of its last refusal.
    ids AS
    (
        SELECT visitor_id, person, max(v.allowed_at) AS own_allowed_at
        FROM
        (
            SELECT visitor_id, concat('user ', user_id) AS person, toDateTime64(0, 3, 'UTC') AS allowed_at
            FROM pharos.people
            WHERE site = {site:String}
            UNION ALL
            SELECT visitor_id, person, allowed_at FROM visitor_seen
        ) AS v
        GROUP BY visitor_id, person
    )
SELECT
    visitor_id,
    if(startsWith(person, 'user '), substring(person, 6), '') AS user_id,
    last_seen,
    times
FROM
(
    SELECT
        ids.visitor_id AS visitor_id,
        ids.person AS person,
        seen.last_seen AS last_seen,
        seen.times AS times,
        no.refused_at != toDateTime64(0, 3, 'UTC') AND no.refused_at >= ids.own_allowed_at AS refused,
        greatest(max(no.refused_at) OVER (PARTITION BY ids.person), seen.refused_at) AS person_refused_at,
        seen.allowed_at AS person_allowed_at
    FROM ids
    INNER JOIN seen ON seen.person = ids.person
    LEFT ANY JOIN
    (
        SELECT visitor_id, max(r.refused_at) AS refused_at
        FROM pharos.refusals AS r
        WHERE site = {site:String}
        GROUP BY visitor_id
    ) AS no ON no.visitor_id = ids.visitor_id
)
WHERE NOT refused AND (person_refused_at = toDateTime64(0, 3, 'UTC') OR person_refused_at < person_allowed_at)
    AND (SELECT wrong FROM pharos.question(site = {site:String}, events = {event:String}, since = {since:String}, until = {until:String}, tz = {tz:String})) = 0;

-- One row a page: `pageview` events in [since, until), people who saw it, sessions that began there.
CREATE OR REPLACE VIEW pharos.top_pages SQL SECURITY DEFINER AS
SELECT
    path,
    sum(seen) AS views,
    uniqExactIf(visitor_id, visitor_id != '') AS visitors,
    sum(began) AS entries
FROM
(
    SELECT path, visitor_id, 1 AS seen, 0 AS began
    FROM pharos.standing(site = {site:String}, events = 'pageview', since = {since:String}, until = {until:String}, tz = {tz:String})
    WHERE NOT is_bot
    UNION ALL
    SELECT entry_page, '', 0, 1
    FROM pharos.sessions_cut(site = {site:String},
        since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')),
        until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')), closed = 1)
    WHERE NOT is_bot
)
WHERE (SELECT wrong FROM pharos.question(site = {site:String}, events = '', since = {since:String}, until = {until:String}, tz = {tz:String})) = 0
GROUP BY path
HAVING views > 0
ORDER BY views DESC, path;

-- One row a minute of the half hour up to `at` (a time, or 'now'), the quiet ones too.
CREATE OR REPLACE VIEW pharos.realtime SQL SECURITY DEFINER AS
WITH
    if({at:String} = 'now', now64(3, 'UTC'), toTimeZone(parseDateTime64BestEffortOrZero({at:String}, 3, {tz:String}), 'UTC')) AS moment
SELECT
    toStartOfMinute(occurred_at) AS minute,
    count() AS events,
    countIf(event = 'pageview') AS views,
    uniqExactIf(visitor_id, visitor_id != '') AS visitors
FROM pharos.standing(site = {site:String}, events = '',
    since = toString(toStartOfMinute(if({at:String} = 'now', now64(3, 'UTC'), toTimeZone(parseDateTime64BestEffortOrZero({at:String}, 3, {tz:String}), 'UTC'))) - 1740),
    until = '', tz = 'UTC')
WHERE NOT is_bot AND NOT (event = 'consent' AND consent = 'refused') AND occurred_at <= moment
    AND (SELECT wrong FROM pharos.question(site = {site:String}, events = '', since = '1970-01-02',
        until = if({at:String} = 'now', '2299-01-01', {at:String}), tz = {tz:String})) = 0
GROUP BY minute
ORDER BY minute WITH FILL
    FROM toStartOfMinute(moment) - 1740 TO toStartOfMinute(moment) + 60 STEP 60;

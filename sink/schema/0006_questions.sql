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
-- Mail scanners that no signature knows are told by what they do. A client is a site, an address and a user agent,
-- neither empty. An open is a scanner's, whatever its open_kind, if the same client followed `scan_links` different links
-- (by code, or else by URL without query and fragment) of that message from `scan_before_ms` before it to
-- `scan_within_ms` after it. The client's clicks on that message from `scan_before_ms` before such an open to
-- `scan_rest_ms` after it are `scanner_clicks`, not `clicks`. All bounds are inclusive.
CREATE OR REPLACE VIEW pharos.mail_opens AS
WITH
    -- Two clicks in a hurry are a person's. Which links a mail has no column says, so three stand for all of them.
    3 AS scan_links,
    -- Nobody reads a mail and follows three links of it in five seconds; ten would do for an eager reader's new tabs.
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
    uniqExactIf(reader, is_open AND opener = 'human') AS unique_human,
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
                -- Who followed too few links at all is looked at event by event: a proxy's opens are many.
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
                    if(e.ip = '' OR e.user_agent = '', ('', ''), (e.ip, toString(e.user_agent))) AS client,
                    multiIf(e.user_id != '', concat('user ', e.user_id), e.visitor_id != '', concat('visitor ', e.visitor_id),
                            concat('address ', ip, ' ', user_agent)) AS reader
                FROM pharos.events AS e
                -- A little more than asked for, so that a scan across midnight is seen from both days.
                WHERE site = {site:String} AND (kind = 'open' OR (kind = 'click' AND NOT is_bot))
                    AND occurred_at >= {since:DateTime64(3, 'UTC')} - toIntervalMillisecond(scan_rest_ms + scan_before_ms)
                    AND occurred_at < {until:DateTime64(3, 'UTC')} + toIntervalMillisecond(scan_within_ms + scan_before_ms)
            )
        )
    )
)
WHERE occurred_at >= {since:DateTime64(3, 'UTC')} AND occurred_at < {until:DateTime64(3, 'UTC')}
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

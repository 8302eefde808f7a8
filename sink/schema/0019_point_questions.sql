-- Questions that few rows answer. FINAL reads whole rows of all blocks that a copy could be in: so the ids are found first, without
-- FINAL, and then only the copies of these events are read. All copies of an event have one id.

-- One row a minute of the half hour up to `at` (a time, or 'now'), the quiet ones too. All copies of an event that any copy
-- puts into that time are read, and no other event. Whether it is a bot says the server's copy, if there is one; only where
-- another copy won it is looked up.
CREATE OR REPLACE VIEW pharos.realtime SQL SECURITY DEFINER AS
WITH
    if({at:String} = 'now', now64(3, 'UTC'),
       toTimeZone(parseDateTime64BestEffort(if({at:String} = 'now', '2000-01-01', {at:String}), 3, {tz:String}), 'UTC')) AS moment,
    toStartOfMinute(moment) - 1740 AS earliest
SELECT
    toStartOfMinute(occurred_at) AS minute,
    count() AS events,
    countIf(event = 'pageview') AS views,
    uniqExactIf(visitor_id, visitor_id != '') AS visitors
FROM
(
    SELECT event_id, occurred_at, event, visitor_id, is_bot
    FROM pharos.event_log FINAL
    PREWHERE site = {site:String} AND event_id IN (
        SELECT event_id
        FROM pharos.event_log
        PREWHERE site = {site:String} AND occurred_at >= earliest AND occurred_at <= moment)
    WHERE occurred_at >= earliest AND occurred_at <= moment AND NOT (event = 'consent' AND consent = 'refused')
) AS copy
LEFT ANY JOIN
(
    SELECT event_id, a.is_bot AS is_bot, true AS found
    FROM pharos.authenticated AS a FINAL
    PREWHERE site = {site:String} AND UUIDToNum(event_id) IN (
        SELECT UUIDToNum(event_id)
        FROM pharos.event_log
        PREWHERE site = {site:String} AND occurred_at >= earliest AND occurred_at <= moment
            AND (kind != 'server' OR client_event_id = '')
            AND event IN (SELECT event FROM pharos.names WHERE site = {site:String} AND authenticated))
) AS server USING (event_id)
WHERE NOT if(server.found, server.is_bot, copy.is_bot)
    AND (SELECT throwIf(count() = 0, 'site: no event of this site is stored') FROM pharos.names WHERE site = {site:String}) = 0
GROUP BY minute
ORDER BY minute WITH FILL
    FROM toStartOfMinute(moment) - 1740 TO toStartOfMinute(moment) + 60 STEP 60;

-- As `events`, without `ip` and `user_agent`: of a visitor ('' for all), in [since, until) ('' for no bound; UTC). The ids are kept
-- in memory meanwhile: for a visitor, or for days.
CREATE OR REPLACE VIEW pharos.events_by_id SQL SECURITY DEFINER AS
SELECT
    copy.* REPLACE (
        if(server.claims, server.value, copy.value) AS value,
        if(server.claims, server.currency, copy.currency) AS currency,
        if(server.user_id != '', server.user_id, copy.user_id) AS user_id,
        if(server.found, server.is_bot, copy.is_bot) AS is_bot,
        if(server.found, server.bot_reason, copy.bot_reason) AS bot_reason),
    server.found OR copy.kind = 'server' AS authenticated
FROM
(
    SELECT * EXCEPT (version, ip, user_agent) REPLACE (
        if(referrer_kind = 'internal' AND channel = 'Direct', '(internal)', source) AS source,
        if(referrer_kind = 'internal' AND channel = 'Direct', 'Internal', channel) AS channel)
    FROM pharos.event_log FINAL
    PREWHERE site = {site:String} AND UUIDToNum(event_id) IN (
        SELECT UUIDToNum(event_id)
        FROM pharos.event_log
        PREWHERE site = {site:String} AND ({visitor:String} = '' OR visitor_id = {visitor:String})
            AND ({since:String} = '' OR occurred_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC'))
            AND ({until:String} = '' OR occurred_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC')))
    WHERE ({visitor:String} = '' OR visitor_id = {visitor:String})
        AND ({since:String} = '' OR occurred_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC'))
        AND ({until:String} = '' OR occurred_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC'))
) AS copy
LEFT ANY JOIN
(
    SELECT event_id, a.value AS value, a.currency AS currency, a.user_id AS user_id, a.is_bot AS is_bot,
        a.bot_reason AS bot_reason, true AS found, a.value != 0 OR a.currency != '' AS claims
    FROM pharos.authenticated AS a FINAL
    PREWHERE site = {site:String} AND UUIDToNum(event_id) IN (
        SELECT UUIDToNum(event_id)
        FROM pharos.event_log
        PREWHERE site = {site:String} AND ({visitor:String} = '' OR visitor_id = {visitor:String})
            AND ({since:String} = '' OR occurred_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC'))
            AND ({until:String} = '' OR occurred_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC'))
            AND (kind != 'server' OR client_event_id = '')
            AND event IN (SELECT event FROM pharos.names WHERE site = {site:String} AND authenticated))
) AS server USING (event_id);

-- What one visitor did, each event once.
CREATE OR REPLACE VIEW pharos.visitor_events SQL SECURITY DEFINER AS
SELECT *
FROM pharos.events_by_id(site = {site:String}, visitor = {visitor:String}, since = '', until = '')
WHERE (SELECT throwIf(count() = 0, 'site: no event of this site is stored') + throwIf({visitor:String} = '', 'visitor: a visitor id')
       FROM pharos.names WHERE site = {site:String}) = 0;

-- What happened in [since, until), each event once: for hours or days. Longer windows cost less in `events`.
CREATE OR REPLACE VIEW pharos.events_between SQL SECURITY DEFINER AS
SELECT *
FROM pharos.events_by_id(site = {site:String}, visitor = '',
    since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')),
    until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')))
WHERE (SELECT wrong FROM pharos.question(site = {site:String}, events = '', since = {since:String}, until = {until:String}, tz = {tz:String})) = 0;

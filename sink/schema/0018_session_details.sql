-- Closed days keep what the report and `session_details` ask of a session: how it was tagged, on what device, how long it was read.

-- Which columns the rows of a closed day have: 1 from here on. A day of an older form counts as not closed until it is closed again.
ALTER TABLE pharos.closed_days ADD COLUMN IF NOT EXISTS form UInt8;

-- Of the session's first event, but for `views` and `engaged_ms`. `landed`: it has the path that is `entry_page`; otherwise none.
ALTER TABLE pharos.closed_sessions
    ADD COLUMN IF NOT EXISTS views      UInt32 CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS engaged_ms UInt64 CODEC(T64, ZSTD(1)),
    ADD COLUMN IF NOT EXISTS landed     Bool CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS content    String CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS term       String CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS link_code  LowCardinality(String),
    ADD COLUMN IF NOT EXISTS device     LowCardinality(String),
    ADD COLUMN IF NOT EXISTS browser    LowCardinality(String),
    ADD COLUMN IF NOT EXISTS os         LowCardinality(String),
    ADD COLUMN IF NOT EXISTS language   LowCardinality(String),
    ADD COLUMN IF NOT EXISTS country    LowCardinality(String);

-- What these columns take on disk: a site has few pages, and its ids begin with their time.
ALTER TABLE pharos.closed_sessions
    MODIFY COLUMN session_id UUID CODEC(ZSTD(3)),
    MODIFY COLUMN entry_page LowCardinality(String),
    MODIFY COLUMN exit_page  LowCardinality(String),
    MODIFY COLUMN lasted_ms  UInt32 CODEC(T64, ZSTD(1))
-- What is there is written again in the background, and not waited for: its days are closed again anyway.
SETTINGS alter_sync = 0;

ALTER TABLE pharos.closed_touches
    ADD COLUMN IF NOT EXISTS content   String CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS term      String CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS link_code LowCardinality(String),
    ADD COLUMN IF NOT EXISTS path      String CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS device    LowCardinality(String),
    ADD COLUMN IF NOT EXISTS country   LowCardinality(String);

-- As in 0003_sessions.sql, of this form.
CREATE OR REPLACE VIEW pharos.settled AS
SELECT toDate32(c.day) AS day, c.generation AS generation
FROM
(
    SELECT day, generation, form
    FROM pharos.closed_days FINAL
    WHERE site = {site:String}
        AND day >= toDate32(parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC'))
        AND day < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC')
) AS c
LEFT ANY JOIN (SELECT day, at FROM pharos.changed(site = {site:String}, of_closed = 1)) AS late ON late.day = c.day
WHERE bitShiftRight(c.generation, 22) > toUnixTimestamp64Milli(late.at) AND c.form >= 1;

-- The sessions that are cut from events: of days that are not closed, and of restless visitors. Parameters as of `sessions_planned`.
CREATE OR REPLACE VIEW pharos.sessions_open AS
WITH
    e -> reinterpretAsUUID(concat(reverse(substring(e, 9, 8)), reverse(substring(e, 17, 8)))) AS id_of,
    e -> fromUnixTimestamp64Milli(toInt64(byteSwap(reinterpretAsUInt64(substring(e, 1, 8)))) - 2208988800000, 'UTC') AS time_of,
    arrayFirstIndex(c -> bitAnd(c, 65535) != 0, code) AS entry,
    arrayLastIndex(c -> bitAnd(c, 65535) != 0, code) AS exit,
    (e, c) -> substring(e, 33 + bitAnd(c, 65535), length(e) - 32 - bitAnd(c, 65535) - if(bitTest(c, 18), 16, 0)) AS origin_of,
    origin_of(event[1], code[1]) AS arrived_from,
    toLowCardinality(if(arrived_from = '', '(direct)\0(none)\0\0Direct', arrived_from)) AS origin,
    arrayFilter((e, c) -> bitTest(c, 18), event, code) AS paid,
    arrayMap(e -> reinterpretAsInt64(substring(e, -16, 8)), paid) AS amounts,
    arrayMap(e -> reinterpretAsString(reinterpretAsUInt64(substring(e, -8))), paid) AS currency_of,
    arrayDistinct(currency_of) AS currencies
SELECT
    site,
    visitor_id,
    id_of(event[1]) AS session_id,
    time_of(event[1]) AS started_at,
    time_of(event[-1]) AS ended_at,
    substring(event[entry], 33, bitAnd(code[entry], 65535)) AS entry_page,
    substring(event[exit], 33, bitAnd(code[exit], 65535)) AS exit_page,
    substringIndex(origin, '\0', 1) AS source,
    substringIndex(substringIndex(origin, '\0', 2), '\0', -1) AS medium,
    substringIndex(substringIndex(origin, '\0', 3), '\0', -1) AS campaign,
    substringIndex(origin, '\0', -1) AS channel,
    length(event) AS events,
    mapFromArrays(currencies, arrayMap(c -> arraySum((amount, own) -> if(own = c, reinterpret(amount, 'Decimal(18, 4)'), 0), amounts, currency_of), currencies)) AS value,
    is_bot
FROM pharos.visits(site = {site:String}, first = {first:String}, end = {end:String}, skip = {skip:Array(Date32)}, visitors = {visitors:Array(String)}, whole = 1)
ARRAY JOIN cuts AS event, codes AS code
WHERE ({since:String} = '' OR started_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC'))
    AND ({until:String} = '' OR started_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC'))
    AND (toDate32(started_at) NOT IN {days:Array(Date32)} OR (visitor_id, toDate(started_at)) IN (
        SELECT visitor_id, day FROM pharos.closed_restless WHERE site = {site:String} AND generation IN {generations:Array(UInt64)}));

-- As in 0003_sessions.sql.
CREATE OR REPLACE VIEW pharos.sessions_planned AS
SELECT
    site,
    visitor_id,
    session_id,
    started_at,
    started_at + toIntervalMillisecond(lasted_ms) AS ended_at,
    entry_page,
    exit_page,
    substringIndex(if(origin = '', '(direct)\0(none)\0\0Direct', origin) AS whole_origin, '\0', 1) AS source,
    substringIndex(substringIndex(whole_origin, '\0', 2), '\0', -1) AS medium,
    substringIndex(substringIndex(whole_origin, '\0', 3), '\0', -1) AS campaign,
    substringIndex(whole_origin, '\0', -1) AS channel,
    events,
    value,
    is_bot
FROM pharos.closed_sessions
WHERE site = {site:String} AND generation IN {generations:Array(UInt64)}
    AND started_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC')
    AND started_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC')
UNION ALL
SELECT site, visitor_id, session_id, started_at, ended_at, entry_page, exit_page, source, medium, campaign, channel, events, value, is_bot
FROM pharos.sessions_open(site = {site:String}, since = {since:String}, until = {until:String}, days = {days:Array(Date32)},
    generations = {generations:Array(UInt64)}, skip = {skip:Array(Date32)}, first = {first:String}, end = {end:String}, visitors = {visitors:Array(String)});

-- The days of [since, until) of which events must be read, in one row: from the first to the last that is not closed. With
-- restless visitors all, for their sessions are in no closed day. Without any, a day on which nothing can have happened.
CREATE OR REPLACE VIEW pharos.open_window AS
WITH
    toDate32(parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC')) AS first_day,
    toDate32(parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC') - toIntervalMillisecond(1)) AS last_day,
    arrayFilter(d -> NOT has({days:Array(Date32)}, d),
                arrayMap(n -> first_day + n, range(toUInt32(greatest(0, dateDiff('day', first_day, last_day) + 1))))) AS open_days,
    (SELECT count() FROM pharos.closed_restless WHERE site = {site:String} AND generation IN {generations:Array(UInt64)}) > 0 AS restless
SELECT
    multiIf(restless, toString(first_day), empty(open_days), '1970-01-02', toString(open_days[1])) AS since,
    multiIf(restless, toString(last_day + 1), empty(open_days), '1970-01-02', toString(open_days[-1] + 1)) AS until;

-- One row a session that began in [since, until), with what its first event says, its page views and its engaged time. An event
-- belongs to the last session of its visitor that began before it, if that did not end before it. Parameters as of
-- `sessions_planned`; events are read of [events_since, events_until), as `open_window` says, and a day longer. Views and engaged time
-- count up to the end of the day after the one on which the session began: the same for any window, and for any days that are closed.
CREATE OR REPLACE VIEW pharos.session_measures_planned AS
SELECT
    site,
    visitor_id,
    session_id,
    started_at,
    started_at + toIntervalMillisecond(lasted_ms) AS ended_at,
    entry_page,
    exit_page,
    substringIndex(if(origin = '', '(direct)\0(none)\0\0Direct', origin) AS whole_origin, '\0', 1) AS source,
    substringIndex(substringIndex(whole_origin, '\0', 2), '\0', -1) AS medium,
    substringIndex(substringIndex(whole_origin, '\0', 3), '\0', -1) AS campaign,
    substringIndex(whole_origin, '\0', -1) AS channel,
    events,
    value,
    is_bot,
    toUInt64(c.views) AS views,
    engaged_ms,
    landed,
    content,
    term,
    link_code,
    device,
    browser,
    os,
    language,
    country
FROM pharos.closed_sessions AS c
WHERE site = {site:String} AND generation IN {generations:Array(UInt64)}
    AND started_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC')
    AND started_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC')
UNION ALL
SELECT
    any(s.site), any(s.visitor_id), s.session_id, any(s.started_at), any(s.ended_at), any(s.entry_page), any(s.exit_page), any(s.source),
    any(s.medium), any(s.campaign), any(s.channel), any(s.events), any(s.value), any(s.is_bot),
    countIf(e.event = 'pageview'),
    sum(e.engaged_ms),
    anyIf(e.path, e.event_id = s.session_id) != '',
    anyIf(e.utm_content, e.event_id = s.session_id),
    anyIf(e.utm_term, e.event_id = s.session_id),
    anyIf(e.link_code, e.event_id = s.session_id),
    anyIf(e.device, e.event_id = s.session_id),
    anyIf(e.browser, e.event_id = s.session_id),
    anyIf(e.os, e.event_id = s.session_id),
    anyIf(e.language, e.event_id = s.session_id),
    anyIf(e.country, e.event_id = s.session_id)
FROM
(
    SELECT visitor_id, is_bot, event_id, event, occurred_at, path, utm_content, utm_term, link_code, device, browser, os, language, country,
        bitOr(bitShiftLeft(toUInt256(toUnixTimestamp64Milli(occurred_at) + 2208988800000), 128),
              reinterpretAsUInt256(reverse(UUIDToNum(event_id)))) AS place,
        -- For an engagement the last 44 bits of the code are its milliseconds.
        if(event = 'engagement', bitShiftRight(code, 20), 0) AS engaged_ms
    FROM pharos.standing(site = {site:String}, events = '', since = {events_since:String},
        until = toString(parseDateTime64BestEffortOrZero({events_until:String}, 3, 'UTC') + toIntervalDay(1)), tz = 'UTC')
    WHERE visitor_id != '' AND kind != 'open' AND NOT (event = 'consent' AND consent = 'refused')
) AS e
ASOF INNER JOIN
(
    SELECT *,
        bitOr(bitShiftLeft(toUInt256(toUnixTimestamp64Milli(started_at) + 2208988800000), 128),
              reinterpretAsUInt256(reverse(UUIDToNum(session_id)))) AS place
    FROM pharos.sessions_open(site = {site:String}, since = {since:String}, until = {until:String}, days = {days:Array(Date32)},
        generations = {generations:Array(UInt64)}, skip = {skip:Array(Date32)}, first = {first:String}, end = {end:String}, visitors = {visitors:Array(String)})
) AS s ON e.visitor_id = s.visitor_id AND e.is_bot = s.is_bot AND e.place >= s.place
WHERE e.occurred_at <= s.ended_at AND e.occurred_at < toDateTime64(toDate32(s.started_at) + 2, 3, 'UTC')
GROUP BY s.session_id;

-- `closed`: as of `sessions_cut`. Times are of UTC.
CREATE OR REPLACE VIEW pharos.session_measures SQL SECURITY DEFINER AS
WITH
    (SELECT (days, generations, skip, edges, first, end)
     FROM pharos.plan(site = {site:String}, since = {since:String}, until = {until:String}, whole = 1, closed = {closed:UInt8})) AS plan,
    (SELECT visitors FROM pharos.hot(site = {site:String}, first = plan.5, end = plan.6, edges = plan.4, generations = plan.2)) AS hot,
    (SELECT (since, until)
     FROM pharos.open_window(site = {site:String}, since = {since:String}, until = {until:String}, days = plan.1, generations = plan.2)) AS open
SELECT *
FROM pharos.session_measures_planned(site = {site:String}, since = {since:String}, until = {until:String}, days = plan.1,
    generations = plan.2, skip = plan.3, first = plan.5, end = plan.6, visitors = hot, events_since = open.1, events_until = open.2);

-- What the own events of touches say that happened in [since, until) of UTC: the first events of sessions too. Other events may be
-- among them, and one event twice: join ANY. No server's copy says anything else of these columns, so none is looked up.
-- days, generations: of `settled`; events are read of [since, until).
CREATE OR REPLACE VIEW pharos.touch_events_planned AS
SELECT session_id AS event_id, content, term, link_code, if(landed, entry_page, '') AS path, device, country
FROM pharos.closed_sessions
WHERE site = {site:String} AND generation IN {generations:Array(UInt64)}
UNION ALL
SELECT event_id, content, term, link_code, path, device, country
FROM pharos.closed_touches
WHERE site = {site:String} AND generation IN {generations:Array(UInt64)}
UNION ALL
SELECT event_id, utm_content, utm_term, link_code, path, device, country
FROM pharos.event_log FINAL
PREWHERE site = {site:String}
WHERE occurred_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC')
    AND occurred_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC')
    AND (toDate32(occurred_at) NOT IN {days:Array(Date32)} OR (visitor_id, toDate(occurred_at)) IN (
        SELECT visitor_id, day FROM pharos.closed_restless WHERE site = {site:String} AND generation IN {generations:Array(UInt64)}));

CREATE OR REPLACE VIEW pharos.touch_events AS
WITH
    (SELECT (groupArray(day), groupArray(generation))
     FROM pharos.settled(site = {site:String}, since = {since:String}, until = {until:String})) AS closed,
    (SELECT (since, until)
     FROM pharos.open_window(site = {site:String}, since = {since:String}, until = {until:String}, days = closed.1, generations = closed.2)) AS open
SELECT *
FROM pharos.touch_events_planned(site = {site:String}, days = closed.1, generations = closed.2, since = open.1, until = open.2);

-- As in 0009_credits.sql.
CREATE OR REPLACE VIEW pharos.credits SQL SECURITY DEFINER AS
SELECT
    c.converted_at AS converted_at,
    c.conversion_id AS conversion_id,
    c.person AS person,
    if(c.position = 0, NULL, c.touch.1) AS touched_at,
    c.touch.2 AS touch_id,
    c.position AS position,
    c.of AS of,
    c.touch.7 AS kind,
    c.touch.3 AS channel,
    c.touch.4 AS source,
    c.touch.5 AS medium,
    c.touch.6 AS campaign,
    d.content AS content,
    d.term AS term,
    toString(d.link_code) AS link_code,
    d.path AS landing_path,
    toString(d.device) AS device,
    toString(d.country) AS country,
    c.share * exp2(-48) AS weight,
    weight * toFloat64(c.value_) AS credit,
    weight * toFloat64(c.gross_) AS gross_credit,
    c.currency AS currency
FROM
(
    SELECT *
    FROM pharos.touch_events(site = {site:String},
        since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC') - toIntervalDay({lookback_days:UInt32})),
        until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')))
) AS d
RIGHT ANY JOIN
(
    SELECT * REPLACE (CAST(touch, 'Tuple(DateTime64(3, \'UTC\'), UUID, String, String, String, String, String)') AS touch), touch.2 AS touch_id
    FROM pharos.credited(site = {site:String}, conversion = {conversion:String}, models = replaceAll({model:String}, ',', ' '),
        by = 'channel', lookback_days = {lookback_days:UInt32}, since = {since:String}, until = {until:String}, tz = {tz:String},
        half_life_days = {half_life_days:Float64}, restart = {restart:UInt8}, touch_kinds = {touch_kinds:String}, ignore = {ignore:String})
) AS c ON d.event_id = c.touch_id;

-- As in 0011_visits.sql.
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
    e.content AS content,
    e.term AS term,
    toString(e.link_code) AS link_code,
    e.path AS landing_path,
    toString(e.device) AS device,
    toString(e.country) AS country
FROM
(
    SELECT *
    FROM pharos.touch_events(site = {site:String},
        since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')),
        until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')))
) AS e
RIGHT ANY JOIN pharos.touches_between(site = {site:String}, since = {since:String}, until = {until:String}, tz = {tz:String}) AS t
    ON t.event_id = e.event_id
LEFT ANY JOIN (SELECT visitor_id, user_id FROM pharos.people WHERE site = {site:String}) AS known ON known.visitor_id = t.visitor_id;

CREATE OR REPLACE VIEW pharos.visit_details SQL SECURITY DEFINER AS
SELECT
    site, visitor_id, session_id, started_at, ended_at, entry_page, exit_page, source, medium, campaign, channel, events, value, is_bot,
    content, term, toString(m.link_code) AS link_code, toString(m.device) AS device, toString(m.country) AS country
FROM pharos.session_measures(site = {site:String}, closed = 1,
    since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')),
    until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC'))) AS m
WHERE (SELECT wrong FROM pharos.question(site = {site:String}, events = '', since = {since:String}, until = {until:String}, tz = {tz:String})) = 0;

-- Of the goals only the events that meet one are read, and the sessions of their visitors once more.
CREATE OR REPLACE VIEW pharos.session_details SQL SECURITY DEFINER AS
SELECT
    s.person AS person,
    s.visitor_id AS visitor_id,
    s.session_id AS session_id,
    s.started_at AS started_at,
    s.ended_at AS ended_at,
    s.number AS number,
    s.days_since_last AS days_since_last,
    s.events AS events,
    s.views AS views,
    s.engaged_ms / 1000 AS engaged_s,
    s.views <= 1 AND engaged_s < 10 AND empty(goals) AS bounce,
    arrayMap(i -> arrayMap(g -> trimBoth(g), extractAll({goals:String}, '(?:[^,\\[]|\\[[^\\]]*\\])+'))[i], arraySort(met.matched)) AS goals,
    s.entry_page AS landing_page,
    s.exit_page AS exit_page,
    s.channel AS channel,
    s.source AS source,
    s.medium AS medium,
    s.campaign AS campaign,
    s.content AS content,
    s.term AS term,
    toString(s.link_code) AS link_code,
    toString(s.device) AS device,
    toString(s.browser) AS browser,
    toString(s.os) AS os,
    toString(s.language) AS language,
    toString(s.country) AS country,
    s.value AS value
FROM
(
    SELECT
        *,
        row_number() OVER (PARTITION BY person ORDER BY started_at, UUIDToNum(session_id)) AS number,
        if(number = 1, NULL, toFloat64(started_at - lagInFrame(started_at) OVER (
            PARTITION BY person ORDER BY started_at, UUIDToNum(session_id) ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)) / 86400) AS days_since_last
    FROM
    (
        SELECT own.*, if(known.user_id != '', concat('user ', known.user_id), concat('visitor ', own.visitor_id)) AS person
        FROM pharos.session_measures(site = {site:String}, closed = 1,
            since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC') - toIntervalDay({history_days:UInt32})),
            until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC'))) AS own
        LEFT ANY JOIN (SELECT visitor_id, user_id FROM pharos.people WHERE site = {site:String}) AS known ON known.visitor_id = own.visitor_id
        WHERE NOT own.is_bot
    )
) AS s
LEFT ANY JOIN
(
    SELECT b.session_id AS session_id, groupUniqArrayArray(e.matched) AS matched
    FROM
    (
        SELECT visitor_id, occurred_at, matched,
            bitOr(bitShiftLeft(toUInt256(toUnixTimestamp64Milli(occurred_at) + 2208988800000), 128),
                  reinterpretAsUInt256(reverse(UUIDToNum(event_id)))) AS place
        FROM pharos.goal_events(site = {site:String}, goals = {goals:String}, only = 1,
            since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')),
            until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC') + toIntervalDay(1)))
        WHERE {goals:String} != '' AND NOT is_bot AND visitor_id != '' AND kind != 'open' AND NOT (event = 'consent' AND consent = 'refused')
    ) AS e
    ASOF INNER JOIN
    (
        SELECT visitor_id, session_id, ended_at,
            bitOr(bitShiftLeft(toUInt256(toUnixTimestamp64Milli(started_at) + 2208988800000), 128),
                  reinterpretAsUInt256(reverse(UUIDToNum(session_id)))) AS place
        FROM pharos.sessions_cut(site = {site:String}, closed = 1,
            since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')),
            until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')))
        WHERE {goals:String} != '' AND NOT is_bot AND visitor_id IN (
            SELECT visitor_id
            FROM pharos.goal_events(site = {site:String}, goals = {goals:String}, only = 1,
                since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')),
                until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC') + toIntervalDay(1)))
            WHERE {goals:String} != '')
    ) AS b ON e.visitor_id = b.visitor_id AND e.place >= b.place
    WHERE e.occurred_at <= b.ended_at
    GROUP BY b.session_id
) AS met ON met.session_id = s.session_id
WHERE s.started_at >= parseDateTime64BestEffort({since:String}, 3, {tz:String})
    AND (SELECT wrong FROM pharos.question(site = {site:String}, events = {goals:String}, since = {since:String}, until = {until:String}, tz = {tz:String})) = 0;

ALTER TABLE pharos.late_feed MODIFY SQL SECURITY DEFINER;

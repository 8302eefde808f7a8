-- Sums of closed days: what the report asks first, and what it asked all events for. Few rows a day, with any number of events.

-- Counts of a day, made when it is closed. `part` is what is counted, `name` by what:
--   visit_time, visit_origin, visit_page   visits of people by the quarter of an hour in which they began (UTC, 0 to 95), by
--                                          `origin` and by `entry_page` of closed_sessions; without restless visitors
--   host                                   page views of people
--   traffic, consent, click, dropped       events, as in `health`
CREATE TABLE IF NOT EXISTS pharos.closed_counts
(
    site       LowCardinality(String),
    day        Date CODEC(ZSTD(1)),
    generation UInt64 CODEC(Delta, ZSTD(1)),
    part       LowCardinality(String),
    name       String CODEC(ZSTD(1)),
    number     UInt64 CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (site, part, generation, name);

-- How many arrivals of people a day had with the same tags: those that `tagging` is about.
CREATE TABLE IF NOT EXISTS pharos.closed_arrivals
(
    site          LowCardinality(String),
    day           Date CODEC(ZSTD(1)),
    generation    UInt64 CODEC(Delta, ZSTD(1)),
    utm_source    String CODEC(ZSTD(1)),
    utm_medium    String CODEC(ZSTD(1)),
    utm_campaign  String CODEC(ZSTD(1)),
    utm_id        String CODEC(ZSTD(1)),
    click_id_name LowCardinality(String),
    referrer_host String CODEC(ZSTD(1)),
    referrer_kind LowCardinality(String),
    source        String CODEC(ZSTD(1)),
    medium        String CODEC(ZSTD(1)),
    campaign      String CODEC(ZSTD(1)),
    channel       LowCardinality(String),
    arrivals      UInt64 CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (site, generation, utm_source, utm_medium, utm_campaign, referrer_host);

-- As in 0001_event_log.sql, but for events that are part of no visit too: they are counted.
ALTER TABLE pharos.late_feed MODIFY QUERY
WITH
    toDate(l.occurred_at) AS own_day,
    toDate(UUIDv7ToDateTime(event_id, 'UTC')) AS id_day
SELECT
    site,
    arrayJoin(arrayDistinct([own_day, id_day])) AS day,
    bitShiftRight(sipHash64(event_id), 16) AS id,
    now64(3, 'UTC') AS at
FROM pharos.event_log AS l
WHERE l.occurred_at < toStartOfDay(now('UTC') - 1800) OR (client_event_id != '' AND id_day != own_day);

-- As in 0003_sessions.sql. Days of form 1 have no sums, and may have missed late rows: they count as not closed.
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
WHERE bitShiftRight(c.generation, 22) > toUnixTimestamp64Milli(late.at) AND c.form >= 2;

-- One row: `generations` of the closed days that lie wholly in [since, until) of UTC, and the other days that this touches, `open`.
-- With closed = 0 all are open.
CREATE OR REPLACE VIEW pharos.whole_days AS
WITH
    parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC') AS begin,
    parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC') AS end,
    toDate32(begin) AS first_day
SELECT
    kept.2 AS generations,
    arrayFilter(d -> NOT has(kept.1, d),
                arrayMap(n -> first_day + n, range(toUInt32(greatest(0, dateDiff('day', first_day, toDate32(end - toIntervalMillisecond(1))) + 1))))) AS open
FROM
(
    SELECT (groupArray(day), groupArray(generation)) AS kept
    FROM pharos.settled(site = {site:String}, since = {since:String}, until = {until:String})
    WHERE {closed:UInt8} = 1 AND toDateTime64(day, 3, 'UTC') >= begin AND toDateTime64(day + 1, 3, 'UTC') <= end
);

-- What `health` counts of each event in [since, until) of UTC, and the hosts of people's page views.
CREATE OR REPLACE VIEW pharos.findings SQL SECURITY DEFINER AS
SELECT occurred_at, finding.1 AS part, finding.2 AS name
FROM pharos.standing(site = {site:String}, events = '', since = {since:String}, until = {until:String}, tz = 'UTC')
ARRAY JOIN arrayConcat([('traffic', if(is_bot, concat('bot: ', bot_reason), 'people')), ('consent', toString(consent))],
    if(kind = 'click' AND NOT is_bot AND link_code != '', [('click', toString(link_code))], []),
    if(event = 'pageview' AND NOT is_bot AND kind != 'open', [('host', toString(host))], []),
    arrayMap(field -> ('dropped', toString(field)), dropped)) AS finding;

-- The same, counted: of closed days as it was counted then.
CREATE OR REPLACE VIEW pharos.findings_counted AS
WITH
    (SELECT (generations, open)
     FROM pharos.whole_days(site = {site:String}, since = {since:String}, until = {until:String}, closed = {closed:UInt8})) AS days
SELECT toString(part) AS part, name, number
FROM pharos.closed_counts
WHERE site = {site:String} AND part NOT IN ('visit_time', 'visit_origin', 'visit_page') AND generation IN days.1
UNION ALL
SELECT part, name, count() AS number
FROM pharos.findings(site = {site:String}, since = {since:String}, until = {until:String})
WHERE toDate32(occurred_at) IN days.2
GROUP BY part, name;

-- One row a name: how many events in [since, until) were of people and of each kind of bot (`traffic`), had which consent, were clicks of
-- people on which named link (`click`), lost which unusable field (`dropped`). Of all events, bots' too.
CREATE OR REPLACE VIEW pharos.health SQL SECURITY DEFINER AS
SELECT part, name, sum(number) AS events
FROM pharos.findings_counted(site = {site:String}, closed = 1,
    since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')),
    until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')))
WHERE part != 'host'
    AND (SELECT wrong FROM pharos.question(site = {site:String}, events = '', since = {since:String}, until = {until:String}, tz = {tz:String})) = 0
GROUP BY part, name;

-- Events of people in [since, until) of UTC that somebody arrives with and that bring a UTM parameter, a click id or a
-- referrer from elsewhere.
CREATE OR REPLACE VIEW pharos.arrivals SQL SECURITY DEFINER AS
SELECT
    occurred_at, visitor_id, utm_source, utm_medium, utm_campaign, utm_id,
    toString(e.click_id_name) AS click_id_name, toString(e.referrer_host) AS referrer_host, toString(e.referrer_kind) AS referrer_kind,
    toString(e.source) AS source, toString(e.medium) AS medium, toString(e.campaign) AS campaign, toString(e.channel) AS channel
FROM pharos.standing(site = {site:String}, events = '', since = {since:String}, until = {until:String}, tz = 'UTC') AS e
WHERE NOT is_bot AND kind != 'open' AND bitTest(code, 17)
    AND (utm_source != '' OR utm_medium != '' OR utm_campaign != '' OR utm_id != '' OR e.click_id_name != ''
        OR (e.referrer_host != '' AND e.referrer_kind NOT IN ('', 'none', 'internal')));

-- The same; of closed days as it was counted then, without visitors.
CREATE OR REPLACE VIEW pharos.arrivals_counted AS
WITH
    (SELECT (generations, open)
     FROM pharos.whole_days(site = {site:String}, since = {since:String}, until = {until:String}, closed = {closed:UInt8})) AS days
SELECT '' AS visitor_id, utm_source, utm_medium, utm_campaign, utm_id, toString(c.click_id_name) AS click_id_name, referrer_host,
    toString(c.referrer_kind) AS referrer_kind, source, medium, campaign, toString(c.channel) AS channel, arrivals
FROM pharos.closed_arrivals AS c
WHERE site = {site:String} AND generation IN days.1
UNION ALL
SELECT visitor_id, utm_source, utm_medium, utm_campaign, utm_id, click_id_name, referrer_host, referrer_kind, source, medium, campaign,
    channel, toUInt64(1) AS arrivals
FROM pharos.arrivals(site = {site:String}, since = {since:String}, until = {until:String})
WHERE toDate32(occurred_at) IN days.2;

-- `tagging`, from the events alone (closed = 0), or with the sums of closed days, and then without visitors.
CREATE OR REPLACE VIEW pharos.tagging_of AS
WITH
    (
        SELECT (
            groupUniqArrayIf(host, host_views > 0),
            arraySlice(arrayReverseSort(k -> (k.2, k.1), arrayZip(sumMap([source], [tagged]).1, sumMap([source], [tagged]).2)), 1, 300),
            arraySlice(arrayReverseSort(k -> (k.2, k.1), arrayZip(sumMap([medium], [tagged]).1, sumMap([medium], [tagged]).2)), 1, 300),
            arraySlice(arrayReverseSort(k -> (k.2, k.1), arrayZip(sumMap([campaign], [tagged]).1, sumMap([campaign], [tagged]).2)), 1, 300))
        FROM
        (
            SELECT name AS host, number AS host_views, '' AS source, '' AS medium, '' AS campaign, toUInt64(0) AS tagged
            FROM pharos.findings_counted(site = {site:String}, since = {since:String}, until = {until:String}, closed = {closed:UInt8})
            WHERE part = 'host'
            UNION ALL
            SELECT '', 0, source, medium, campaign, sum(arrivals)
            FROM pharos.arrivals_counted(site = {site:String}, since = {since:String}, until = {until:String}, closed = {closed:UInt8})
            GROUP BY source, medium, campaign
        )
    ) AS known,
    name -> replaceRegexpAll(name, '[0-9]+', '#') AS letters,
    (name, names) -> if(length(name) < 5, '', arrayFirst(
        k -> k.2 >= 5 * arrayFirst(own -> own.1 = name, names).2 AND k.1 != name
            AND abs(toInt32(length(letters(k.1))) - toInt32(length(letters(name)))) <= 2
            AND editDistance(letters(k.1), letters(name)) BETWEEN 1 AND 2, names).1) AS twin_of
SELECT
    sent_source, sent_medium, sent_campaign, sent_id, click_id_name, referrer_host,
    source, medium, campaign, channel,
    multiIf(utm AND click_id_name != '', concat('utm, click id ', click_id_name), utm, 'utm',
            click_id_name != '', concat('click id ', click_id_name),
            referrer_kind NOT IN ('', 'none', 'internal') AND medium IN ('organic', 'referral', 'email'), concat('referrer ', referrer_kind),
            'network parameter') AS rule,
    twin_of(source, known.2) AS near_source,
    twin_of(medium, known.3) AS near_medium,
    twin_of(campaign, known.4) AS near_campaign,
    arrayFilter(f -> f != '', [
        if(utm AND '(not set)' IN (source, medium, campaign), 'not set', ''),
        if(near_source != '' OR near_medium != '' OR near_campaign != '', 'near twin', ''),
        if(has(known.1, referrer_host) AND referrer_kind NOT IN ('', 'none', 'internal'), 'self-referral', ''),
        if(utm AND referrer_kind = 'internal', 'internal link with UTM', ''),
        if(NOT utm AND click_id_name != '' AND medium IN ('cpc', 'display'), 'ad click without UTM', '')]) AS faults,
    arrivals,
    visitors
FROM
(
    SELECT
        utm_source AS sent_source, utm_medium AS sent_medium, utm_campaign AS sent_campaign, utm_id AS sent_id,
        sent_source != '' OR sent_medium != '' OR sent_campaign != '' OR sent_id != '' AS utm,
        click_id_name, referrer_host, referrer_kind, source, medium, campaign, channel,
        sum(a.arrivals) AS arrivals,
        uniqExactIf(visitor_id, visitor_id != '') AS visitors
    FROM pharos.arrivals_counted(site = {site:String}, since = {since:String}, until = {until:String}, closed = {closed:UInt8}) AS a
    GROUP BY ALL
);

-- As in 0014_tagging.sql.
CREATE OR REPLACE VIEW pharos.tagging SQL SECURITY DEFINER AS
SELECT *
FROM pharos.tagging_of(site = {site:String}, closed = 0,
    since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')),
    until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')))
WHERE (SELECT wrong FROM pharos.question(site = {site:String}, events = '', since = {since:String}, until = {until:String}, tz = {tz:String})) = 0;

-- The same without `visitors`. It reads the sums of closed days.
CREATE OR REPLACE VIEW pharos.tagging_counts SQL SECURITY DEFINER AS
SELECT * EXCEPT (visitors)
FROM pharos.tagging_of(site = {site:String}, closed = 1,
    since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC')),
    until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')))
WHERE (SELECT wrong FROM pharos.question(site = {site:String}, events = '', since = {since:String}, until = {until:String}, tz = {tz:String})) = 0;

-- As `plan`, of [before, until) of UTC; and `summed`: the generations of those closed days that lie wholly before the day `since` of `tz`
-- or after its begin, and in which every day of `tz` begins with a quarter of an hour.
CREATE OR REPLACE VIEW pharos.visit_plan AS
SELECT
    days, generations, skip, edges, first, end,
    arrayFilter(
        (generation, at) ->
            at >= parseDateTime64BestEffortOrZero({before:String}, 3, 'UTC')
                AND at + toIntervalDay(1) <= parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC')
                AND (toDate(at, {tz:String}) >= {since:String}) = (toDate(at + toIntervalMillisecond(86399999), {tz:String}) >= {since:String})
                AND timeZoneOffset(toTimeZone(at, {tz:String})) % 900 = 0,
        generations, arrayMap(d -> toDateTime64(d, 3, 'UTC'), days)) AS summed
FROM pharos.plan(site = {site:String}, since = {before:String}, until = {until:String}, whole = 1, closed = 1);

-- The rows of `visit_counts`, of [before, until) of UTC; `since` is a day of `tz`. The other parameters are what `visit_plan` and `hot` return.
-- Of days that are summed only the visitors are read from closed_sessions. The visits of other closed days are counted one by one, and
-- those that are cut from events.
CREATE OR REPLACE VIEW pharos.visit_counts_planned AS
SELECT
    key.1 AS now,
    key.2 AS day,
    substringIndex(key.3, '\0', -1) AS channel,
    substringIndex(key.3, '\0', 1) AS source,
    substringIndex(substringIndex(key.3, '\0', 2), '\0', -1) AS medium,
    substringIndex(substringIndex(key.3, '\0', 3), '\0', -1) AS campaign,
    key.4 AS entry_page,
    key.5 AS all_days,
    key.6 AS all_sources,
    key.7 AS all_pages,
    sum(number) AS visits,
    uniqMerge(people) AS visitors
FROM
(
    -- now, day, origin, entry_page, all_days, all_sources, all_pages. One key: for each column that a question groups by, ClickHouse goes
    -- through the texts below it once more.
    SELECT
        (toDate(toDateTime(c.day, 'UTC') + toUInt32(name) * 900, {tz:String}) >= {since:String},
         if(all_days, toDate(0), toDate(toDateTime(c.day, 'UTC') + toUInt32(name) * 900, {tz:String})),
         '', '', all_days, toUInt8(1), toUInt8(1)) AS key,
        c.number AS number, arrayReduce('uniqState', []::Array(String)) AS people
    FROM pharos.closed_counts AS c
    ARRAY JOIN [0, 1] AS all_days
    WHERE site = {site:String} AND part = 'visit_time' AND generation IN {summed:Array(UInt64)}
    UNION ALL
    SELECT
        (toDate(toDateTime(c.day, 'UTC'), {tz:String}) >= {since:String}, toDate(0),
         multiIf(part = 'visit_page', '', name = '', '(direct)\0(none)\0\0Direct', toString(name)),
         if(part = 'visit_page', toString(name), ''), toUInt8(1), part = 'visit_page', part != 'visit_page'),
        c.number, arrayReduce('uniqState', []::Array(String))
    FROM pharos.closed_counts AS c
    WHERE site = {site:String} AND part IN ('visit_origin', 'visit_page') AND generation IN {summed:Array(UInt64)}
    UNION ALL
    SELECT
        (toDate(toDateTime(c.day, 'UTC'), {tz:String}) >= {since:String}, toDate(0), '', '', toUInt8(1), toUInt8(1), toUInt8(1)) AS key,
        0, uniqState(visitor_id)
    FROM pharos.closed_sessions AS c
    WHERE site = {site:String} AND generation IN {summed:Array(UInt64)} AND NOT is_bot
    GROUP BY key
    UNION ALL
    SELECT key, count(), uniqStateIf(visitor_id, key.5 AND key.6 AND key.7)
    FROM
    (
        SELECT
            (day >= {since:String}, if(sets.1, toDate(0), day), if(sets.2, '', origin), if(sets.3, '', entry_page), sets.1, sets.2, sets.3) AS key,
            visitor_id
        FROM
        (
            SELECT
                toDate(s.started_at, {tz:String}) AS day,
                if(s.origin = '', '(direct)\0(none)\0\0Direct', toString(s.origin)) AS origin, s.entry_page AS entry_page, s.visitor_id AS visitor_id
            FROM pharos.closed_sessions AS s
            WHERE site = {site:String} AND generation IN {generations:Array(UInt64)} AND generation NOT IN {summed:Array(UInt64)} AND NOT is_bot
                AND started_at >= parseDateTime64BestEffortOrZero({before:String}, 3, 'UTC')
                AND started_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC')
            UNION ALL
            SELECT toDate(o.started_at, {tz:String}), concat(source, '\0', medium, '\0', campaign, '\0', channel), entry_page, visitor_id
            FROM pharos.sessions_open(site = {site:String}, since = {before:String}, until = {until:String}, days = {days:Array(Date32)},
                generations = {generations:Array(UInt64)}, skip = {skip:Array(Date32)}, first = {first:String}, end = {end:String}, visitors = {visitors:Array(String)}) AS o
            WHERE NOT is_bot
        )
        ARRAY JOIN [(1, 1, 1), (0, 1, 1), (1, 0, 1), (1, 1, 0)] AS sets
    )
    GROUP BY key
)
GROUP BY key;

-- Visits of people in [before, until): `now`, those from the day `since` of `tz` on, and not `now`, those before it. Four sets of rows: all
-- visits, by day of `tz`, by source, by entry page; all_days, all_sources and all_pages are 1 where a row is not of one day (source, page).
-- `visitors`: by uniq, and only of all visits. All that the plan is needed for is called in one place: ClickHouse analyses a looked-up
-- plan again in each scope that names it.
CREATE OR REPLACE VIEW pharos.visit_counts SQL SECURITY DEFINER AS
WITH
    (SELECT (toString(toTimeZone(parseDateTime64BestEffort({before:String}, 3, {tz:String}), 'UTC')),
             toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')))) AS utc,
    (SELECT (days, generations, skip, edges, first, end, summed)
     FROM pharos.visit_plan(site = {site:String}, before = utc.1, since = {since:String}, until = utc.2, tz = {tz:String})) AS plan,
    (SELECT visitors FROM pharos.hot(site = {site:String}, first = plan.5, end = plan.6, edges = plan.4, generations = plan.2)) AS hot
SELECT *
FROM pharos.visit_counts_planned(site = {site:String}, before = utc.1, since = {since:String}, until = utc.2, tz = {tz:String}, days = plan.1,
    generations = plan.2, skip = plan.3, first = plan.5, end = plan.6, summed = plan.7, visitors = hot)
WHERE (SELECT wrong FROM pharos.question(site = {site:String}, events = '', since = {since:String}, until = {until:String}, tz = {tz:String})) = 0;

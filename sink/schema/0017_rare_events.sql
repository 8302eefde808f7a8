-- Events by name: questions about a purchase or a signup read these alone, and not the page views around them.

-- Events other than the frequent ones, a copy as the tables of 0001_event_log.sql are. Pages and mails are asked of event_log.
CREATE TABLE IF NOT EXISTS pharos.rare_events
(
    event_id        UUID CODEC(ZSTD(1)),
    site            LowCardinality(String),
    event           LowCardinality(String),
    kind            LowCardinality(String),
    received_at     DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    occurred_at     DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    version         UInt64 CODEC(Delta, ZSTD(1)),
    visitor_id      String CODEC(ZSTD(1)),
    user_id         String CODEC(ZSTD(1)),
    client_event_id String CODEC(ZSTD(1)),
    path            String CODEC(ZSTD(3)),
    value           Decimal(18, 4) CODEC(ZSTD(1)),
    currency        LowCardinality(String),
    browser         LowCardinality(String),
    os              LowCardinality(String),
    device          LowCardinality(String),
    is_bot          Bool,
    language        LowCardinality(String),
    country         LowCardinality(String),
    consent         LowCardinality(String),
    props           Map(String, String) CODEC(ZSTD(1)),
    INDEX occurred_at occurred_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (site, event, toDate(UUIDv7ToDateTime(event_id, 'UTC')), UUIDToNum(event_id))
-- Small blocks of rows: a question about a month of few events leaves out the others.
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 512;

CREATE MATERIALIZED VIEW IF NOT EXISTS pharos.rare_events_feed TO pharos.rare_events SQL SECURITY DEFINER AS
SELECT event_id, site, event, kind, received_at, occurred_at, version, visitor_id, user_id, client_event_id, path, value,
    currency, browser, os, device, is_bot, language, country, consent, props
FROM pharos.event_log
WHERE event NOT IN ('pageview', 'engagement', 'open', 'click', 'scroll', 'vitals');

-- What was stored before. With several shards run this on one server of each: see CHANGELOG.md.
INSERT INTO pharos.rare_events
SELECT event_id, site, event, kind, received_at, occurred_at, version, visitor_id, user_id, client_event_id, path, value,
    currency, browser, os, device, is_bot, language, country, consent, props
FROM pharos.event_log
WHERE event NOT IN ('pageview', 'engagement', 'open', 'click', 'scroll', 'vitals');

-- As in 0002_events.sql, with fewer columns. Rare events are read from their copy, the frequent ones from event_log: all
-- events with only = 0, and otherwise only if a goal is one of them.
CREATE OR REPLACE VIEW pharos.goal_events SQL SECURITY DEFINER AS
WITH
    ['pageview', 'engagement', 'open', 'click', 'scroll', 'vitals'] AS frequent,
    splitByChar(',', replaceRegexpAll({goals:String}, '\\[[^\\]]*\\]| +[/*][^,\\[]*| +', '')) AS goal_names,
    arrayMap(g -> (
        extract(g, '^ *([^ \\[]*)'),
        replaceAll(replaceRegexpAll(trimBoth(extract(g, '^ *[^ \\[]+ +([/*][^\\[]*)')), '([%_\\\\])', '\\\\\\1'), '*', '%'),
        arrayMap(p -> (trimBoth(extract(p, '^([^=]*)=')), trimBoth(extract(p, '=(.*)$'))),
                 arrayFilter(p -> p != '', splitByChar(',', extract(g, '\\[(.*)\\]'))))),
        extractAll({goals:String}, '(?:[^,\\[]|\\[[^\\]]*\\])+')) AS asked
SELECT
    copy.event_id AS event_id, site, event, kind, occurred_at, visitor_id,
    if(server.user_id != '', server.user_id, copy.user_id) AS user_id, client_event_id, path,
    if(server.claims, server.value, copy.value) AS value,
    if(server.claims, server.currency, copy.currency) AS currency,
    browser, os, device, if(server.found, server.is_bot, copy.is_bot) AS is_bot, language,
    country, consent, props, server.found OR kind = 'server' AS authenticated,
    if(match({goals:String}, '[/*\\[]'),
       arrayFilter((i, g) -> g.1 = event AND (g.2 = '' OR path LIKE g.2) AND arrayAll(p -> props[p.1] = p.2, g.3),
                   arrayEnumerate(asked), asked),
       arrayFilter((i, g) -> g.1 = event, arrayEnumerate(asked), asked)) AS matched
FROM
(
    SELECT event_id, site, event, kind, occurred_at, visitor_id, user_id, client_event_id, path, value, currency, browser, os,
        device, is_bot, language, country, consent, props
    FROM pharos.event_log FINAL
    PREWHERE ({only:UInt8} = 0 OR hasAny(goal_names, frequent)) AND site = {site:String}
        AND ({only:UInt8} = 0 OR event IN arrayIntersect(goal_names, frequent))
    WHERE ({since:String} = '' OR occurred_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC'))
        AND ({until:String} = '' OR occurred_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC'))
    UNION ALL
    SELECT event_id, site, event, kind, occurred_at, visitor_id, user_id, client_event_id, path, value, currency, browser, os,
        device, is_bot, language, country, consent, props
    FROM pharos.rare_events FINAL
    PREWHERE {only:UInt8} = 1 AND site = {site:String} AND event IN goal_names
    WHERE ({since:String} = '' OR occurred_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC'))
        AND ({until:String} = '' OR occurred_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC'))
) AS copy
LEFT ANY JOIN
(
    SELECT event_id, a.value AS value, a.currency AS currency, a.user_id AS user_id, a.is_bot AS is_bot, true AS found,
        a.value != 0 OR a.currency != '' AS claims
    FROM pharos.authenticated AS a FINAL
    PREWHERE site = {site:String} AND ({only:UInt8} = 0 OR event IN goal_names)
        -- Of all events: only those that a page reported too. Where a server's copy won there is nothing to look up.
        AND ({only:UInt8} = 1 OR UUIDToNum(event_id) IN (
            SELECT UUIDToNum(event_id)
            FROM pharos.event_log
            PREWHERE {only:UInt8} = 0 AND site = {site:String}
                AND event IN (SELECT event FROM pharos.names WHERE site = {site:String} AND authenticated)
            WHERE ({since:String} = '' OR occurred_at >= parseDateTime64BestEffortOrZero({since:String}, 3, 'UTC'))
                AND ({until:String} = '' OR occurred_at < parseDateTime64BestEffortOrZero({until:String}, 3, 'UTC'))
                AND (kind != 'server' OR client_event_id = '')))
) AS server USING (event_id)
WHERE if({only:UInt8} = 1 AND match({goals:String}, '[/*\\[]'), notEmpty(matched), 1);

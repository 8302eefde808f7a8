-- Events, each once. Definitions in words: docs/sql.md.

-- `standing`: what is true of each event. Of a site ('' for all), of these event names (with commas between; '' for all),
-- with `occurred_at` in [since, until) ('' for no bound); a time without a zone is one of `tz`. Every window of every
-- question is applied here, before rows are read: the index on occurred_at leaves out what lies outside.
-- Two parts, so that only events of which a server sent copies pay for the look-up. All copies of an event have one site
-- and one name, so these are filtered before FINAL. `code` is the column visit_code. `authenticated`: a server has sent the
-- event, with its token.
CREATE OR REPLACE VIEW pharos.standing SQL SECURITY DEFINER AS
SELECT
    * EXCEPT (version),
    kind = 'server' AS authenticated,
    visit_code AS code,
    origin,
    reader
FROM pharos.event_log FINAL
PREWHERE event NOT IN (SELECT event FROM pharos.names WHERE authenticated)
    AND ({events:String} = '' OR event IN splitByChar(',', {events:String}))
    AND ({site:String} = '' OR site = {site:String})
WHERE ({since:String} = '' OR occurred_at >= parseDateTime64BestEffortOrZero({since:String}, 3, {tz:String}))
    AND ({until:String} = '' OR occurred_at < parseDateTime64BestEffortOrZero({until:String}, 3, {tz:String}))
UNION ALL
SELECT
    copy.* EXCEPT (code, origin, reader)
        REPLACE (
            if(server.claims, server.value, copy.value) AS value,
            if(server.claims, server.currency, copy.currency) AS currency,
            if(server.user_id != '', server.user_id, copy.user_id) AS user_id,
            if(server.found, server.is_bot, copy.is_bot) AS is_bot,
            if(server.found, server.bot_reason, copy.bot_reason) AS bot_reason),
    server.found OR copy.kind = 'server' AS authenticated,
    copy.code AS code,
    copy.origin AS origin,
    copy.reader AS reader
FROM
(
    SELECT * EXCEPT (version), visit_code AS code, origin, reader
    FROM pharos.event_log FINAL
    PREWHERE event IN (SELECT event FROM pharos.names WHERE authenticated)
        AND ({events:String} = '' OR event IN splitByChar(',', {events:String}))
        AND ({site:String} = '' OR site = {site:String})
    WHERE ({since:String} = '' OR occurred_at >= parseDateTime64BestEffortOrZero({since:String}, 3, {tz:String}))
        AND ({until:String} = '' OR occurred_at < parseDateTime64BestEffortOrZero({until:String}, 3, {tz:String}))
) AS copy
LEFT ANY JOIN
(
    SELECT event_id, a.value AS value, a.currency AS currency, a.user_id AS user_id, a.is_bot AS is_bot,
        a.bot_reason AS bot_reason, true AS found, a.value != 0 OR a.currency != '' AS claims
    FROM pharos.authenticated AS a FINAL
    PREWHERE ({events:String} = '' OR event IN splitByChar(',', {events:String}))
        AND ({site:String} = '' OR site = {site:String})
) AS server USING (event_id);

-- Whether this server holds one of several shards: deploy/clickhouse/distributed.sql makes Distributed tables.
CREATE OR REPLACE VIEW pharos.shard SQL SECURITY DEFINER AS
SELECT count() > 0 AS is_part FROM system.tables WHERE database = 'pharos' AND engine = 'Distributed';

-- Each event once, for analysts. A page within the site has no source of its own: channel and source are those of a
-- visit, so ask `sessions` for them; here such a page is `Internal`.
CREATE OR REPLACE VIEW pharos.events_of_shard SQL SECURITY DEFINER AS
SELECT * EXCEPT (code, origin, reader)
    REPLACE (
        if(referrer_kind = 'internal' AND channel = 'Direct', '(internal)', source) AS source,
        if(referrer_kind = 'internal' AND channel = 'Direct', 'Internal', channel) AS channel)
FROM pharos.standing(site = '', events = '', since = '', until = '', tz = 'UTC');

-- Of all sites: no shard gives its part as the whole.
CREATE OR REPLACE VIEW pharos.events SQL SECURITY DEFINER AS
SELECT *
FROM pharos.events_of_shard
WHERE (SELECT throwIf(is_part, 'this server holds one of several shards: ask pharos.events_everywhere') FROM pharos.shard) = 0;

-- The same, of goals, with commas between. A goal is a name of events: `purchase`; with a path, where * is any text:
-- `pageview /blog/*`; with properties that all must be so: `purchase[plan=pro, size=xl]`; or with both. `matched`: the places
-- of the goals that the event meets, from 1 on. With only = 0 all other events too. Plain names read no path and no property.
CREATE OR REPLACE VIEW pharos.goal_events SQL SECURITY DEFINER AS
WITH
    arrayMap(g -> (
        extract(g, '^ *([^ \\[]*)'),
        replaceAll(replaceRegexpAll(trimBoth(extract(g, '^ *[^ \\[]+ +([/*][^\\[]*)')), '([%_\\\\])', '\\\\\\1'), '*', '%'),
        arrayMap(p -> (trimBoth(extract(p, '^([^=]*)=')), trimBoth(extract(p, '=(.*)$'))),
                 arrayFilter(p -> p != '', splitByChar(',', extract(g, '\\[(.*)\\]'))))),
        extractAll({goals:String}, '(?:[^,\\[]|\\[[^\\]]*\\])+')) AS asked
SELECT
    *,
    if(match({goals:String}, '[/*\\[]'),
       arrayFilter((i, g) -> g.1 = event AND (g.2 = '' OR path LIKE g.2) AND arrayAll(p -> props[p.1] = p.2, g.3),
                   arrayEnumerate(asked), asked),
       arrayFilter((i, g) -> g.1 = event, arrayEnumerate(asked), asked)) AS matched
FROM pharos.standing(site = {site:String},
    events = if({only:UInt8} = 1, replaceRegexpAll({goals:String}, '\\[[^\\]]*\\]| +[/*][^,\\[]*| +', ''), ''),
    since = {since:String}, until = {until:String}, tz = 'UTC')
WHERE if({only:UInt8} = 1 AND match({goals:String}, '[/*\\[]'), notEmpty(matched), 1);

-- Returns one row, `wrong` = 0, or fails with what is wrong: an empty answer must not look like "no sales". `events` are
-- goals with commas between, whose names the site must have sent at some time, or ''.
CREATE OR REPLACE VIEW pharos.question SQL SECURITY DEFINER AS
WITH
    arrayMap(g -> trimBoth(g), extractAll({events:String}, '(?:[^,\\[]|\\[[^\\]]*\\])+')) AS goals,
    arrayDistinct(arrayMap(g -> extract(g, '^[^ \\[]*'), goals)) AS names
SELECT
    throwIf((SELECT count() FROM pharos.names WHERE site = {site:String}) = 0, 'site: no event of this site is stored')
    + throwIf(arrayExists(g -> NOT match(g, '^[A-Za-z0-9_.:-]+( +[/*][^\\[\\]]*)?(\\[[^=,\\[\\]]+=[^,\\[\\]]*(,[^=,\\[\\]]+=[^,\\[\\]]*)*\\])?$'), goals),
              'goal: name, name /path (* is any text) or name[property=value], with commas between')
    + throwIf({events:String} != ''
        AND (SELECT uniqExact(n.event) FROM pharos.names AS n WHERE n.site = {site:String} AND n.event IN names) < length(names),
        'event: no such event of this site is stored')
    + throwIf(parseDateTime64BestEffort({since:String}, 3, {tz:String}) >= parseDateTime64BestEffort({until:String}, 3, {tz:String}),
            'since: must be before until') AS wrong;

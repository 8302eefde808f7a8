-- How arrivals were tagged: what came as sent, what it became, and what looks wrong. Definitions in words: docs/sql.md.

-- One row a way of being tagged: people's events in [since, until) that somebody arrives with and that bring a UTM parameter, a
-- click id or a referrer from elsewhere. sent_*: the UTM parameters as sent; source, medium, campaign and channel: what
-- they became; `rule`: what decided. near_*: a name that at least five times as many arrivals have and that differs from this
-- one in one or two letters, where numbers do not count as letters; of the 300 most frequent. `faults` is of a closed list:
-- `not set`, `near twin`, `self-referral` (the referrer is a host on which the site has page views, but not one of its own in
-- sites.toml), `internal link with UTM`, `ad click without UTM`.
CREATE OR REPLACE VIEW pharos.tagging SQL SECURITY DEFINER AS
WITH
    (
        SELECT (
            groupUniqArrayIf(toString(host), views > 0),
            arraySlice(arrayReverseSort(k -> (k.2, k.1), arrayZip(sumMap([toString(source)], [tagged]).1, sumMap([toString(source)], [tagged]).2)), 1, 300),
            arraySlice(arrayReverseSort(k -> (k.2, k.1), arrayZip(sumMap([toString(medium)], [tagged]).1, sumMap([toString(medium)], [tagged]).2)), 1, 300),
            arraySlice(arrayReverseSort(k -> (k.2, k.1), arrayZip(sumMap([toString(campaign)], [tagged]).1, sumMap([toString(campaign)], [tagged]).2)), 1, 300))
        FROM
        (
            SELECT host, source, medium, campaign, countIf(event = 'pageview') AS views,
                countIf(bitTest(code, 17) AND (utm_source != '' OR utm_medium != '' OR utm_campaign != '' OR utm_id != '' OR click_id_name != ''
                    OR (referrer_host != '' AND referrer_kind NOT IN ('', 'none', 'internal')))) AS tagged
            FROM pharos.standing(site = {site:String}, events = '', since = {since:String}, until = {until:String}, tz = {tz:String})
            WHERE NOT is_bot AND kind != 'open'
            GROUP BY host, source, medium, campaign
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
        toString(e.click_id_name) AS click_id_name, toString(e.referrer_host) AS referrer_host, toString(e.referrer_kind) AS referrer_kind,
        toString(e.source) AS source, toString(e.medium) AS medium, toString(e.campaign) AS campaign, toString(e.channel) AS channel,
        count() AS arrivals,
        uniqExactIf(visitor_id, visitor_id != '') AS visitors
    FROM pharos.standing(site = {site:String}, events = '', since = {since:String}, until = {until:String}, tz = {tz:String}) AS e
    WHERE NOT is_bot AND kind != 'open' AND bitTest(code, 17)
        AND (utm_source != '' OR utm_medium != '' OR utm_campaign != '' OR utm_id != '' OR e.click_id_name != ''
            OR (e.referrer_host != '' AND e.referrer_kind NOT IN ('', 'none', 'internal')))
        AND (SELECT wrong FROM pharos.question(site = {site:String}, events = '', since = {since:String}, until = {until:String}, tz = {tz:String})) = 0
    GROUP BY ALL
);

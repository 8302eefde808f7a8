-- Campaigns: what they brought, what they cost. Definitions in words: docs/sql.md.

-- One row a (source, medium, campaign) with visits, conversions or costs in [since, until). Money is in `currency`; with
-- others = 'convert' that of other currencies is converted by the last rate of its day or before, and a missing rate is an
-- error; with 'leave out' conversions and costs of other currencies do not count. Costs count for whole days of `tz`.
-- roas is value / cost, cpa is cost / conversions; NULL where nothing was spent; cpa also where nothing was sold.
CREATE OR REPLACE VIEW pharos.campaigns SQL SECURITY DEFINER AS
SELECT
    source,
    medium,
    campaign,
    max(own_channel) AS channel,
    sum(visit) AS visits,
    uniqExactIf(visitor_id, visitor_id != '') AS visitors,
    sum(share) AS conversions,
    sum(net * worth) AS value,
    sum(spent * worth) AS cost,
    sum(ad_clicks) AS clicks,
    sum(shown) AS impressions,
    if(cost = 0, NULL, value / cost) AS roas,
    if(cost = 0 OR conversions = 0, NULL, cost / conversions) AS cpa
FROM
(
    SELECT
        p.*,
        multiIf(p.own_currency = {currency:String}, 1., p.own_currency = '', 0., r.rate) AS worth,
        throwIf(worth = 0 AND p.own_currency != '' AND (p.net != 0 OR p.spent != 0),
                'rates: some money in the window has no rate into this currency; load it into pharos.rates, or ask for others = \'leave out\'') AS missing
    FROM
    (
        SELECT source, medium, campaign, channel AS own_channel, toUInt64(1) AS visit, visitor_id, toFloat64(0) AS share,
            toFloat64(0) AS net, toFloat64(0) AS spent, toUInt64(0) AS ad_clicks, toUInt64(0) AS shown, '' AS own_currency, toDate('1970-01-01') AS day
        FROM pharos.sessions_between(site = {site:String}, since = {since:String}, until = {until:String}, tz = {tz:String})
        WHERE NOT is_bot
        UNION ALL
        SELECT touch.4, touch.5, touch.6, touch.3, 0, '', c.share * exp2(-48), c.share * exp2(-48) * toFloat64(value_), 0, 0, 0,
            toString(currency), toDate(toTimeZone(converted_at, {tz:String}))
        FROM pharos.credited(site = {site:String}, conversion = {conversion:String}, models = replaceAll({model:String}, ',', ' '),
            by = 'channel', lookback_days = {lookback_days:UInt32}, since = {since:String}, until = {until:String}, tz = {tz:String},
            half_life_days = {half_life_days:Float64}, restart = {restart:UInt8}, touch_kinds = {touch_kinds:String}, ignore = {ignore:String}) AS c
        WHERE c.share != 0
        UNION ALL
        SELECT lower(trimBoth(source)), lower(trimBoth(medium)), lower(trimBoth(campaign)), '', 0, '', 0, 0, toFloat64(o.cost), o.clicks, o.impressions,
            toString(currency), day
        FROM pharos.costs AS o FINAL
        WHERE site = {site:String}
            AND day >= toDate(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), {tz:String}))
            AND toDateTime64(toString(day), 3, {tz:String}) < parseDateTime64BestEffort({until:String}, 3, {tz:String})
    ) AS p
    ASOF LEFT JOIN (SELECT toString(currency) AS own_currency, day, rate FROM pharos.rates FINAL WHERE into = {currency:String}) AS r
        ON p.own_currency = r.own_currency AND p.day >= r.day
    WHERE ({others:String} = 'convert' OR p.own_currency IN ('', {currency:String}))
        AND (SELECT throwIf(NOT match({currency:String}, '^[A-Z]{3}$'), 'currency: three letters, such as EUR')
            + throwIf({others:String} NOT IN ('convert', 'leave out'), 'others: convert or leave out')) = 0
)
WHERE missing = 0
GROUP BY source, medium, campaign;

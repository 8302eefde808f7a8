SELECT channel, source, campaign, sumIf(visit, now) AS visits, sumIf(visit, NOT now) AS visits_before,
    round(sumIf(credit, now), 2) AS revenue, round(sumIf(credit, NOT now), 2) AS revenue_before
FROM
(
    SELECT toDate(started_at, {tz:String}) >= {since:String} AS now, channel, source, campaign, 1 AS visit, 0 AS credit
    FROM pharos.{visits}(site = {site:String}, since = {before:String}, until = {until:String}, tz = {tz:String})
    WHERE NOT is_bot{filter}
    UNION ALL
    SELECT toDate(converted_at, {tz:String}) >= {since:String}, channel, source, campaign, 0, if(currency = {currency:String}, credit, 0)
    FROM pharos.credits(site = {site:String}, conversion = {conversion:String}, model = {model:String}, lookback_days = 30,
        since = {before:String}, until = {until:String}, tz = {tz:String}, half_life_days = 7, restart = 0,
        touch_kinds = 'arrival,click', ignore = '')
    WHERE 1{filter_touch}
)
GROUP BY channel, source, campaign
HAVING visits != visits_before OR revenue != revenue_before
ORDER BY abs(visits - visits_before) DESC, abs(revenue - revenue_before) DESC, channel, source, campaign

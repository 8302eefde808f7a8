SELECT source, medium, campaign, sum(visit) AS visits, round(sum(weight), 2) AS sales, round(sum(credit), 2) AS revenue,
    round(sum(spent), 2) AS cost, round(sum(credit) / sum(spent), 2) AS roas, if(sum(weight) = 0, NULL, round(sum(spent) / sum(weight), 2)) AS cpa
FROM
(
    SELECT source, medium, campaign, 1 AS visit, 0 AS weight, 0 AS credit, 0 AS spent
    FROM pharos.{visits}(site = {site:String}, since = {since:String}, until = {until:String}, tz = {tz:String})
    WHERE NOT is_bot{filter}
    UNION ALL
    SELECT source, medium, campaign, 0, weight, credit, 0
    FROM pharos.credits(site = {site:String}, conversion = {conversion:String}, model = {model:String}, lookback_days = 30,
        since = {since:String}, until = {until:String}, tz = {tz:String}, half_life_days = 7, restart = 0,
        touch_kinds = 'arrival,click', ignore = '')
    WHERE currency = {currency:String}{filter_touch}
    UNION ALL
    -- What was spent is known of whole campaigns only: no filter.
    SELECT lower(trimBoth(source)), lower(trimBoth(medium)), lower(trimBoth(campaign)), 0, 0, 0, toFloat64(cost)
    FROM pharos.costs FINAL
    WHERE site = {site:String} AND day >= {since:String} AND day < {until:String} AND currency = {currency:String}
)
GROUP BY source, medium, campaign
HAVING cost > 0
ORDER BY cost DESC, source, medium, campaign

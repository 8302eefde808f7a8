SELECT campaign, source, sum(visits) AS visits, round(sum(sales), 2) AS sales, round(sum(revenue), 2) AS revenue
FROM
(
    SELECT campaign, source, 1 AS visits, 0 AS sales, 0 AS revenue
    FROM pharos.{visits}(site = {site:String}, since = {since:String}, until = {until:String}, tz = {tz:String})
    WHERE NOT is_bot AND campaign != '' AND channel != 'Email'{filter}
    UNION ALL
    SELECT campaign, source, 0, weight, if(currency = {currency:String}, credit, 0)
    FROM pharos.credits(site = {site:String}, conversion = {conversion:String}, model = {model:String}, lookback_days = 30,
        since = {since:String}, until = {until:String}, tz = {tz:String}, half_life_days = 7, restart = 0,
        touch_kinds = 'arrival,click', ignore = '')
    WHERE campaign != '' AND channel != 'Email'{filter_touch}
)
GROUP BY campaign, source
ORDER BY revenue DESC, sales DESC, visits DESC, campaign, source

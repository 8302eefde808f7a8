SELECT link_code, sum(clicks) AS clicks, sum(visits) AS visits, round(sum(sales), 2) AS sales, round(sum(revenue), 2) AS revenue
FROM
(
    SELECT link_code, 0 AS clicks, 1 AS visits, 0 AS sales, 0 AS revenue
    FROM pharos.visit_details(site = {site:String}, since = {since:String}, until = {until:String}, tz = {tz:String})
    WHERE NOT is_bot AND link_code != ''{filter}
    UNION ALL
    SELECT link_code, 0, 0, weight, if(currency = {currency:String}, credit, 0)
    FROM pharos.credits(site = {site:String}, conversion = {conversion:String}, model = {model:String}, lookback_days = 30,
        since = {since:String}, until = {until:String}, tz = {tz:String}, half_life_days = 7, restart = 0,
        touch_kinds = 'arrival,click', ignore = '')
    WHERE link_code != ''{filter_touch}
    UNION ALL
    SELECT toString(link_code), 1, 0, 0, 0
    FROM pharos.events
    WHERE site = {site:String} AND kind = 'click' AND NOT is_bot AND link_code != ''
        AND occurred_at >= toDateTime({since:String}, {tz:String}) AND occurred_at < toDateTime({until:String}, {tz:String})
)
GROUP BY link_code
HAVING visits > 0 OR sales > 0 OR NOT {filtered:UInt8}
ORDER BY revenue DESC, sales DESC, clicks DESC, link_code

SELECT channel, source, medium, campaign, content, sum(visits) AS visits, round(sum(sales), 2) AS sales, round(sum(revenue), 2) AS revenue
FROM
(
    SELECT channel, source, medium, campaign, content, 1 AS visits, 0 AS sales, 0 AS revenue
    FROM pharos.visit_details(site = {site:String}, since = {since:String}, until = {until:String}, tz = {tz:String})
    WHERE NOT is_bot{filter}
    UNION ALL
    SELECT channel, source, medium, campaign, content, 0, weight, if(currency = {currency:String}, credit, 0)
    FROM pharos.credits(site = {site:String}, conversion = {conversion:String}, model = {model:String}, lookback_days = 30,
        since = {since:String}, until = {until:String}, tz = {tz:String}, half_life_days = 7, restart = 0,
        touch_kinds = 'arrival,click', ignore = '')
    WHERE 1{filter_touch}
)
GROUP BY channel, source, medium, campaign, content
ORDER BY revenue DESC, sales DESC, visits DESC, channel, source, medium, campaign, content

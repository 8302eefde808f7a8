SELECT channel, source, medium, campaign, currency, sum(conversions) AS sales, sum(value) AS revenue
FROM pharos.attribution(site = {site:String}, conversion = {conversion:String}, model = {model:String}, lookback_days = 30,
    since = {since:String}, until = {until:String}, tz = {tz:String}, half_life_days = 7, restart = 0,
    touch_kinds = 'arrival,click', ignore = '')
WHERE 1{filter}
GROUP BY channel, source, medium, campaign, currency
ORDER BY revenue DESC

SELECT source, medium, campaign, visits, round(conversions, 2) AS sales, round(value, 2) AS revenue, round(cost, 2) AS cost,
    round(roas, 2) AS roas, round(cpa, 2) AS cpa
FROM pharos.campaigns(site = {site:String}, conversion = {conversion:String}, model = {model:String}, lookback_days = 30,
    since = {since:String}, until = {until:String}, tz = {tz:String}, half_life_days = 7, restart = 0,
    touch_kinds = 'arrival,click', ignore = '', currency = {currency:String}, others = 'leave out')
WHERE cost > 0
ORDER BY cost DESC, source, medium, campaign

SELECT message, list, human + proxy AS opens, prefetch + scanner AS machine, clicks, if(opens = 0, 0, round(clicks / opens, 4)) AS click_to_open,
    round(sum(weight), 2) AS sales, round(sumIf(credit, currency = {currency:String}), 2) AS revenue
FROM pharos.mail_opens(site = {site:String}, since = {since:String}, until = {until:String}, tz = {tz:String}) AS letter
LEFT JOIN
(
    SELECT campaign, weight, credit, currency
    FROM pharos.credits(site = {site:String}, conversion = {conversion:String}, model = {model:String}, lookback_days = 30,
        since = {since:String}, until = {until:String}, tz = {tz:String}, half_life_days = 7, restart = 0,
        touch_kinds = 'arrival,click', ignore = '')
    WHERE 1{filter_touch}
) AS credits ON credits.campaign = letter.message
GROUP BY message, list, opens, machine, clicks
ORDER BY message DESC
LIMIT 200

SELECT name AS channel, round(sum(conversions), 4) AS markov, round(any(removal_effect), 4) AS removal_effect
FROM pharos.attribution_markov(site = {site:String}, conversion = {conversion:String}, by = 'channel', lookback_days = 30,
    since = {since:String}, until = {until:String}, tz = {tz:String}, restart = 0, touch_kinds = 'arrival,click', ignore = '', max_names = 100)
GROUP BY channel
ORDER BY channel

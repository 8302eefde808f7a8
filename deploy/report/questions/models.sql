SELECT channel, sum(conversions_first) AS first, sum(conversions_last) AS last, sum(conversions_last_non_direct) AS last_non_direct,
    sum(conversions_linear) AS linear, sum(conversions_position) AS position, sum(conversions_time_decay) AS time_decay,
    sum(conversions_shapley) AS shapley
FROM pharos.attribution_models(site = {site:String}, conversion = {conversion:String}, lookback_days = 30,
    since = {since:String}, until = {until:String}, tz = {tz:String}, half_life_days = 7, restart = 0,
    touch_kinds = 'arrival,click', ignore = '')
GROUP BY channel
ORDER BY channel

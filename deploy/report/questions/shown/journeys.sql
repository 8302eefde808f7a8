WITH arrayStringConcat(arraySlice(sources, 1, 6), ' > ') || if(length(sources) > 6, ' > ...', '') AS path
SELECT path, currency, round(sum(weight), 2) AS sales, round(sum(credit), 2) AS revenue,
    round(quantileExactWeighted(0.5)(took, toUInt64(weight * 1e6)), 3) AS days
FROM
(
    SELECT *, arrayCompact(groupArray(source) OVER conversion) AS sources,
        ifNull(dateDiff('second', min(touched_at) OVER conversion, converted_at), 0) / 86400 AS took
    FROM pharos.credits(site = {site:String}, conversion = {conversion:String}, model = {model:String}, lookback_days = 30,
        since = {since:String}, until = {until:String}, tz = {tz:String}, half_life_days = 7, restart = 0,
        touch_kinds = 'arrival,click', ignore = '')
    WINDOW conversion AS (PARTITION BY conversion_id ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
)
WHERE 1{filter_touch}
GROUP BY path, currency
HAVING sales > 0
ORDER BY sales DESC, revenue DESC, path
LIMIT 2000

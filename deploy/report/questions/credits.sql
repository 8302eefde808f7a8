WITH
    toDate(converted_at, {tz:String}) AS day,
    arrayStringConcat(arraySlice(sources, 1, 6), ' > ') || if(length(sources) > 6, ' > ...', '') AS path
SELECT day >= {since:String} AS now, day, currency, channel, source, medium, campaign, content, link_code, landing_path AS entry_page, path,
    grouping(day) AS all_days, grouping(channel) AS all_sources, grouping(entry_page) AS all_pages, grouping(path) AS all_paths,
    round(sum(weight), 4) AS sales, round(sum(credit), 4) AS revenue,
    round(quantileExactWeighted(0.5)(took, toUInt64(weight * 1e6)), 3) AS days
FROM
(
    SELECT *, arrayCompact(groupArray(source) OVER conversion) AS sources,
        ifNull(dateDiff('second', min(touched_at) OVER conversion, converted_at), 0) / 86400 AS took
    FROM pharos.credits(site = {site:String}, conversion = {conversion:String}, model = {model:String}, lookback_days = 30,
        since = {before:String}, until = {until:String}, tz = {tz:String}, half_life_days = 7, restart = 0,
        touch_kinds = 'arrival,click', ignore = '')
    WINDOW conversion AS (PARTITION BY conversion_id ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
)
WHERE 1{filter_touch}
GROUP BY GROUPING SETS ((now, day, currency), (now, channel, source, medium, campaign, content, link_code, currency), (now, entry_page, currency), (now, path, currency))
ORDER BY revenue DESC, sales DESC
LIMIT 5000 BY now, all_days, all_sources, all_pages, all_paths

WITH toDate(started_at, {tz:String}) AS day
SELECT day >= {since:String} AS now, day, channel, source, medium, campaign, entry_page,
    grouping(day) AS all_days, grouping(channel) AS all_sources, grouping(entry_page) AS all_pages,
    count() AS visits, uniq(visitor_id) AS visitors
FROM pharos.{visits}(site = {site:String}, since = {before:String}, until = {until:String}, tz = {tz:String})
WHERE NOT is_bot{filter}
GROUP BY GROUPING SETS ((now), (now, day), (now, channel, source, medium, campaign), (now, entry_page))
ORDER BY visits DESC
LIMIT 5000 BY now, all_days, all_sources, all_pages

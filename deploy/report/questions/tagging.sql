SELECT arrayJoin(faults) AS fault, sent_source, sent_campaign, near_source, near_campaign, referrer_host, sum(arrivals) AS arrivals
FROM pharos.tagging_counts(site = {site:String}, since = {since:String}, until = {until:String}, tz = {tz:String})
GROUP BY ALL
ORDER BY arrivals DESC
LIMIT 50

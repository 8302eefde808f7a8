SELECT cohort, day, visitors, rate
FROM pharos.retention(site = {site:String}, event = 'pageview', since = {since:String}, until = {until:String}, tz = {tz:String})
WHERE day <= 30
ORDER BY cohort, day

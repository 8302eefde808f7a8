SELECT now, day, channel, source, medium, campaign, entry_page, all_days, all_sources, all_pages, visits, visitors
FROM pharos.visit_counts(site = {site:String}, before = {before:String}, since = {since:String}, until = {until:String}, tz = {tz:String})
ORDER BY visits DESC
LIMIT 5000 BY now, all_days, all_sources, all_pages

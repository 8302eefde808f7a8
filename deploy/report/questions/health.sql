SELECT part, name, events
FROM pharos.health(site = {site:String}, since = {since:String}, until = {until:String}, tz = {tz:String})
ORDER BY part, events DESC

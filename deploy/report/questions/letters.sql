SELECT message, list, human + proxy AS opens, prefetch + scanner AS machine, clicks, if(opens = 0, 0, round(clicks / opens, 4)) AS click_to_open
FROM pharos.mail_opens(site = {site:String}, since = {since:String}, until = {until:String}, tz = {tz:String})
ORDER BY message DESC
LIMIT 200

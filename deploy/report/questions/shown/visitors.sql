SELECT finding.1 AS part, finding.2 AS name, count() AS visits, uniq(person) AS people, countIf(bounce) AS bounces,
    round(avg(engaged_s), 1) AS engaged_s, countIf(notEmpty(goals)) AS converted
FROM pharos.session_details(site = {site:String}, goals = {conversion:String}, history_days = 30,
    since = {since:String}, until = {until:String}, tz = {tz:String})
ARRAY JOIN [('who', if(number = 1, 'new', 'returning')), ('device', device), ('country', country)] AS finding
WHERE 1{filter_session}
GROUP BY part, name
ORDER BY part, visits DESC
LIMIT 2000 BY part

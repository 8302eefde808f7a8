SELECT 'origin' AS what, source, medium, campaign, any(channel) AS channel, count() AS hits
FROM pharos.event_log
WHERE site = {site:String} AND received_at >= (SELECT max(received_at) FROM pharos.names WHERE site = {site:String}) - INTERVAL 90 DAY AND origin != ''
GROUP BY source, medium, campaign
ORDER BY hits DESC
LIMIT 2000
UNION ALL
SELECT 'host', host, '', '', '', count() AS hits
FROM pharos.event_log
WHERE site = {site:String} AND received_at >= (SELECT max(received_at) FROM pharos.names WHERE site = {site:String}) - INTERVAL 90 DAY AND host != ''
GROUP BY host
ORDER BY hits DESC
LIMIT 200
UNION ALL
SELECT 'code', link_code, '', '', '', count() AS hits
FROM pharos.event_log
WHERE site = {site:String} AND received_at >= (SELECT max(received_at) FROM pharos.names WHERE site = {site:String}) - INTERVAL 90 DAY AND link_code != ''
GROUP BY link_code
LIMIT 2000

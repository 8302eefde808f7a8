SELECT n.site AS site, n.event AS event, toString(max(n.received_at)) AS last, any(s.time_zone) AS time_zone
FROM pharos.names AS n
LEFT ANY JOIN (SELECT site, time_zone FROM pharos.sites FINAL) AS s ON s.site = n.site
GROUP BY site, event
ORDER BY site, event

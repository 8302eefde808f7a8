SELECT site, event, toString(max(received_at)) AS last
FROM pharos.names
GROUP BY site, event
ORDER BY site, event

SELECT toString(event_id) AS event_id, toString(occurred_at) AS at, event, path, channel, source, campaign, value, currency
FROM pharos.events
WHERE site = {site:String} AND visitor_id = {visitor:String}
ORDER BY occurred_at DESC, event_id
LIMIT 100

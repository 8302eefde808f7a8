SELECT toString(event_id) AS event_id, toUnixTimestamp64Milli(received_at) AS received_ms, event, kind, url, path, title,
    if(referrer_kind = 'internal' AND channel = 'Direct', '(internal)', source) AS origin, campaign,
    if(referrer_kind = 'internal' AND channel = 'Direct', 'Internal', channel) AS way, device, country, is_bot, bot_reason, open_kind, consent, visitor_id, value, currency, props,
    dropped, link_code, message_id
FROM pharos.recent(site = {site:String}, seconds = {seconds:UInt32})
ORDER BY received_at DESC, event_id
LIMIT {most:UInt32}

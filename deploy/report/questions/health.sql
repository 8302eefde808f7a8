SELECT finding.1 AS part, finding.2 AS name, count() AS events
FROM pharos.events
ARRAY JOIN arrayConcat([('traffic', if(is_bot, concat('bot: ', bot_reason), 'people')), ('consent', toString(consent))],
    if(kind = 'click' AND NOT is_bot AND link_code != '', [('click', toString(link_code))], []),
    arrayMap(field -> ('dropped', toString(field)), dropped)) AS finding
WHERE site = {site:String} AND occurred_at >= toDateTime({since:String}, {tz:String}) AND occurred_at < toDateTime({until:String}, {tz:String})
GROUP BY part, name
ORDER BY part, events DESC

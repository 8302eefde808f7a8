SELECT step, goal, name AS device, visitors, round(rate, 4) AS rate, round(ifNull(median_s, 0)) AS median_s
FROM pharos.funnel_by(site = {site:String}, steps = {steps:String}, window_hours = 168, by = 'device',
    since = {since:String}, until = {until:String}, tz = {tz:String})
ORDER BY step, visitors DESC, device

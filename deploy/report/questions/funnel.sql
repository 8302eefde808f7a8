SELECT step, event, visitors, rate
FROM pharos.funnel(site = {site:String}, steps = {steps:String}, window_hours = 168,
    since = {since:String}, until = {until:String}, tz = {tz:String})
ORDER BY step

WITH toDate(occurred_at, {tz:String}) AS day
SELECT day >= {since:String} AS now, day, currency, count() AS sales, sum(value) AS revenue
FROM pharos.conversions(site = {site:String}, event = {conversion:String}, since = {before:String}, until = {until:String}, tz = {tz:String})
GROUP BY now, day, currency
ORDER BY day, currency

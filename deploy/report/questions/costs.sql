SELECT source, medium, campaign, currency, sum(cost) AS cost
FROM pharos.costs FINAL
WHERE site = {site:String} AND day >= {since:String} AND day < {until:String}
GROUP BY source, medium, campaign, currency
ORDER BY cost DESC

SELECT lower(trimBoth(source)) AS source, lower(trimBoth(medium)) AS medium, lower(trimBoth(campaign)) AS campaign, currency, sum(cost) AS cost
FROM pharos.costs FINAL
WHERE site = {site:String} AND day >= {since:String} AND day < {until:String}
GROUP BY ALL
ORDER BY cost DESC

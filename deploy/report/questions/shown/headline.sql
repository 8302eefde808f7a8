WITH
    visits AS
    (
        SELECT toDate(started_at, {tz:String}) >= {since:String} AS now, count() AS visits, uniq(visitor_id) AS visitors
        FROM pharos.{visits}(site = {site:String}, since = {before:String}, until = {until:String}, tz = {tz:String})
        WHERE NOT is_bot{filter}
        GROUP BY now
    ),
    sales AS
    (
        SELECT toDate(converted_at, {tz:String}) >= {since:String} AS now, currency, sum(weight) AS sales, sum(credit) AS revenue
        FROM pharos.credits(site = {site:String}, conversion = {conversion:String}, model = {model:String}, lookback_days = 30,
            since = {before:String}, until = {until:String}, tz = {tz:String}, half_life_days = 7, restart = 0,
            touch_kinds = 'arrival,click', ignore = '')
        WHERE 1{filter_touch}
        GROUP BY now, currency
    )
SELECT if(now, 'this period', 'before') AS period, visits, visitors, currency, round(sales, 2) AS sales, round(revenue, 2) AS revenue
FROM visits FULL JOIN sales USING (now)
ORDER BY period DESC, revenue DESC, currency

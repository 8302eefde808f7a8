-- Attribution by removal effect: a Markov chain of order 1 over all paths, those that ended in nothing too.
-- Exact: the chain is solved, not simulated. Definitions in words: docs/sql.md.

-- From the inside out: `transitions`, how often from one state to the next; `steps`, all of them in one row; the chain's
-- matrices; its solution; the removal effects; the conversions shared out by them, exactly as in `attributed`.
-- States are '' (start), '+' (conversion), '-' (nothing), and '=' before a name, so that no name can be mistaken.
-- With N = (I - Q)^-1, the expected visits: a path ever comes to c with chance (s N)_c / N_cc and converts from there with
-- chance (N r)_c. To take c out loses just these. So one inverse serves every state.
-- Only the `max_names` names with the most touches are states of their own; the others are one state, `(other)`: the cost
-- grows with the third power of the states.
-- One row a (name, currency); the states are channels, sources, mediums or campaigns, as `by` says.
CREATE OR REPLACE VIEW pharos.attribution_markov SQL SECURITY DEFINER AS
WITH
    exp2(-48) AS unit,
    x -> exp2(greatest(1, bitAnd(bitShiftRight(reinterpretAsUInt64(x), 52), 2047)) - 1075) AS last_bit
SELECT
    name,
    currency,
    round(toFloat64(share_so_far) * unit / share_grid) * share_grid
        - round(toFloat64(share_so_far - share) * unit / share_grid) * share_grid AS conversions,
    round(toFloat64(net_so_far) * unit / 10000 / net_grid) * net_grid
        - round(toFloat64(net_so_far - net) * unit / 10000 / net_grid) * net_grid AS value,
    round(toFloat64(gross_so_far) * unit / 10000 / gross_grid) * gross_grid
        - round(toFloat64(gross_so_far - gross) * unit / 10000 / gross_grid) * gross_grid AS gross,
    effect AS removal_effect
FROM
(
    SELECT
        *,
        sum(share) OVER (ORDER BY currency, name ROWS UNBOUNDED PRECEDING) AS share_so_far,
        sum(net) OVER (PARTITION BY currency ORDER BY name ROWS UNBOUNDED PRECEDING) AS net_so_far,
        sum(gross) OVER (PARTITION BY currency ORDER BY name ROWS UNBOUNDED PRECEDING) AS gross_so_far,
        last_bit(toFloat64(sum(share) OVER ()) * unit) AS share_grid,
        last_bit(toFloat64(sum(abs(net)) OVER (PARTITION BY currency)) * unit / 10000) AS net_grid,
        last_bit(toFloat64(sum(abs(gross)) OVER (PARTITION BY currency)) * unit / 10000) AS gross_grid
    FROM
    (
        SELECT
            credit.1 AS name,
            credit.2 AS effect,
            ending.2 AS currency,
            sum(toInt128(credit.3) * ending.3) AS share,
            sum(toInt256(credit.3) * ending.4) AS net,
            sum(toInt256(credit.3) * ending.5) AS gross
        FROM
        (
            SELECT
                endings,
                arrayMap(running -> toInt64(round(running / greatest(arraySum(effects), 1e-300) * exp2(48))), arrayCumSum(effects)) AS shares,
                arrayMap((name, effect, share, before) -> (name, effect, share - before),
                         names, effects, shares, arrayPopBack(arrayPushFront(shares, 0))) AS credits
            FROM
            (
                SELECT
                    arrayMap(state -> substring(state, 2), states) AS names,
                    endings,
                    arrayMap((reach, visits, win, i) -> if(chance > 0, reach / visits[i] * win / chance, 0),
                             reached, inverse, wins, arrayEnumerate(states)) AS effects
                FROM
                (
                    SELECT
                        states,
                        endings,
                        inverse,
                        wins,
                        arrayMap(c -> arraySum((start, visits) -> start * visits[c], starts, inverse), arrayEnumerate(states)) AS reached,
                        arraySum((start, win) -> start * win, starts, wins) AS chance
                    FROM
                    (
                        SELECT
                            states,
                            endings,
                            starts,
                            inverse,
                            arrayMap(visits -> arraySum((visit, ending) -> visit * ending, visits, converting), inverse) AS wins
                        FROM
                        (
                            SELECT
                                states,
                                endings,
                                starts,
                                converting,
                                -- Gauss and Jordan, in place. From every state some path leads out of the chain, so I - Q is an M-matrix:
                                -- no pivot is 0, and none needs choosing.
                                arrayFold(
                                    (matrix, k) -> arrayMap(
                                        (line, i) -> arrayMap(
                                            (x, y, j) -> multiIf(
                                                i = k AND j = k, 1 / x,
                                                i = k, x / line[k],
                                                j = k, -x / matrix[k][k],
                                                x - line[k] * y / matrix[k][k]),
                                            line, matrix[k], arrayEnumerate(line)),
                                        matrix, arrayEnumerate(matrix)),
                                    arrayEnumerate(states),
                                    arrayMap((line, i) -> arrayMap((x, j) -> toFloat64(i = j) - x, line, arrayEnumerate(line)),
                                             chances, arrayEnumerate(chances))) AS inverse
                            FROM
                            (
                                SELECT
                                    states,
                                    endings,
                                    arrayMap(own -> arrayMap(to -> arraySum(s -> if(s.2 = to, s.4, 0), own) / arraySum(own.4), states), leaving) AS chances,
                                    arrayMap(own -> arraySum(s -> if(s.2 = '+', s.4, 0), own) / arraySum(own.4), leaving) AS converting,
                                    arrayMap(to -> arraySum(s -> if(s.2 = to, s.4, 0), begun) / arraySum(begun.4), states) AS starts
                                FROM
                                (
                                    SELECT
                                        groupArray((origin, destination, currency, times, net, gross)) AS steps,
                                        arraySort(arrayDistinct(arrayFilter(s -> s != '', steps.1))) AS states,
                                        arrayMap(state -> arrayFilter(s -> s.1 = state, steps), states) AS leaving,
                                        arrayFilter(s -> s.1 = '' AND s.2 != '+', steps) AS begun,
                                        arrayMap(s -> (s.1 = '', s.3, s.4, s.5, s.6), arrayFilter(s -> s.2 = '+', steps)) AS endings
                                    FROM
                                    (
                                        -- The small names together.
                                        SELECT
                                            if(step.1 IN ('', '+', '-') OR has(kept, step.1), step.1, '=(other)') AS origin,
                                            if(step.2 IN ('', '+', '-') OR has(kept, step.2), step.2, '=(other)') AS destination,
                                            step.3 AS currency,
                                            sum(step.4) AS times,
                                            sum(step.5) AS net,
                                            sum(step.6) AS gross
                                        FROM
                                        (
                                            SELECT
                                                groupArray((first, following, money, taken, net_, gross_)) AS steps,
                                                sumMapIf([first], [taken], first != '') AS touched,
                                                arraySlice(arraySort((name, touches) -> (-toInt64(touches), name), touched.1, touched.2),
                                                           1, {max_names:UInt16}) AS kept
                                            FROM
                                            (
                                                SELECT
                                                    step.1 AS first,
                                                    step.2 AS following,
                                                    if(following = '+', currency_of_path, '') AS money,
                                                    count() AS taken,
                                                    sum(if(following = '+', toInt256(reinterpretAsInt64(value_)), toInt256(0))) AS net_,
                                                    sum(if(following = '+', toInt256(reinterpretAsInt64(gross_)), toInt256(0))) AS gross_
                                                FROM
                                                (
                                                    SELECT
                                                        currency AS currency_of_path,
                                                        p.value AS value_,
                                                        p.gross AS gross_,
                                                        arrayMap(name -> concat('=', name), multiIf({by:String} = 'channel', touches.3, {by:String} = 'source', touches.4,
                                                                                                    {by:String} = 'medium', touches.5, touches.6)) AS names,
                                                        arrayZip(arrayPushFront(names, ''), arrayPushBack(names, if(converted, '+', '-'))) AS steps
                                                    FROM pharos.paths(site = {site:String}, conversion = {conversion:String}, lookback_days = {lookback_days:UInt32},
                                                        since = {since:String}, until = {until:String}, tz = {tz:String}, restart = {restart:UInt8},
                                                        touch_kinds = {touch_kinds:String}, ignore = {ignore:String}, everyone = 1) AS p
                                                    WHERE (SELECT throwIf({by:String} NOT IN ('channel', 'source', 'medium', 'campaign'), 'by: channel, source, medium or campaign')
                                                        + throwIf({max_names:UInt16} NOT BETWEEN 1 AND 400, 'max_names: 1 to 400')) = 0
                                                )
                                                ARRAY JOIN steps AS step
                                                GROUP BY first, following, money
                                            )
                                        )
                                        ARRAY JOIN steps AS step
                                        GROUP BY origin, destination, currency
                                    )
                                )
                            )
                        )
                    )
                )
            )
        )
        ARRAY JOIN endings AS ending
        ARRAY JOIN if(ending.1, [('Unattributed', 0., toInt64(exp2(48)))], credits) AS credit
        GROUP BY name, effect, currency
    )
);


-- Attribution by removal effect: a Markov chain of order 1 over all paths, those that ended in nothing too.
-- Exact: the chain is solved, not simulated. Definitions in words: docs/sql.md.

-- From the inside out: `transitions`, how often from one state to the next; `steps`, all of them in one row; the chain's
-- matrices; its solution; the removal effects; the conversions shared out by them, exactly as in `attributed`.
-- States are '' (start), '+' (conversion), '-' (nothing), and '=' before a name, so that no name can be mistaken.
-- With N = (I - Q)^-1, the expected visits: a path ever comes to c with chance (s N)_c / N_cc and converts from there with
-- chance (N r)_c. To take c out loses just these. So one inverse answers for every state.
-- One row a (name, currency); the states are channels, sources, mediums or campaigns, as `by` says.
CREATE OR REPLACE VIEW pharos.attribution_markov_with AS
WITH
    exp2(-48) AS unit,
    x -> exp2(greatest(1, bitAnd(bitShiftRight(reinterpretAsUInt64(x), 52), 2047)) - 1075) AS last_bit
SELECT
    name,
    currency,
    round(toFloat64(share_so_far) * unit / share_grid) * share_grid
        - round(toFloat64(share_so_far - share) * unit / share_grid) * share_grid AS conversions,
    round(toFloat64(amount_so_far) * unit / 10000 / amount_grid) * amount_grid
        - round(toFloat64(amount_so_far - amount) * unit / 10000 / amount_grid) * amount_grid AS value,
    effect AS removal_effect
FROM
(
    SELECT
        *,
        sum(share) OVER (ORDER BY currency, name ROWS UNBOUNDED PRECEDING) AS share_so_far,
        sum(amount) OVER (PARTITION BY currency ORDER BY name ROWS UNBOUNDED PRECEDING) AS amount_so_far,
        last_bit(toFloat64(sum(share) OVER ()) * unit) AS share_grid,
        last_bit(toFloat64(sum(amount) OVER (PARTITION BY currency)) * unit / 10000) AS amount_grid
    FROM
    (
        SELECT
            credit.1 AS name,
            credit.2 AS effect,
            ending.2 AS currency,
            sum(toInt128(credit.3) * ending.3) AS share,
            sum(toInt128(credit.3) * ending.4) AS amount
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
                                        groupArray((origin, destination, currency, times, amount)) AS steps,
                                        arraySort(arrayDistinct(arrayFilter(s -> s != '', steps.1))) AS states,
                                        arrayMap(state -> arrayFilter(s -> s.1 = state, steps), states) AS leaving,
                                        arrayFilter(s -> s.1 = '' AND s.2 != '+', steps) AS begun,
                                        arrayMap(s -> (s.1 = '', s.3, s.4, s.5), arrayFilter(s -> s.2 = '+', steps)) AS endings
                                    FROM
                                    (
                                        SELECT
                                            step.1 AS origin,
                                            step.2 AS destination,
                                            if(destination = '+', currency_of_path, '') AS currency,
                                            count() AS times,
                                            sum(if(destination = '+', toInt128(value * 10000), 0)) AS amount
                                        FROM
                                        (
                                            SELECT
                                                currency AS currency_of_path,
                                                value,
                                                arrayMap(name -> concat('=', name), multiIf({by:String} = 'channel', touches.3, {by:String} = 'source', touches.4,
                                                                                            {by:String} = 'medium', touches.5, touches.6)) AS names,
                                                arrayZip(arrayPushFront(names, ''), arrayPushBack(names, if(converted, '+', '-'))) AS steps
                                            FROM pharos.paths(site = {site:String}, conversion = {conversion:String}, lookback_days = {lookback_days:UInt32},
                                                since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}, restart = {restart:UInt8}, everyone = 1)
                                            WHERE NOT throwIf({by:String} NOT IN ('channel', 'source', 'medium', 'campaign'), 'by: channel, source, medium or campaign')
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

CREATE OR REPLACE VIEW pharos.attribution_markov AS
SELECT name AS channel, currency, conversions, value, removal_effect
FROM pharos.attribution_markov_with(site = {site:String}, conversion = {conversion:String}, by = 'channel',
    lookback_days = {lookback_days:UInt32}, since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}, restart = 1);

-- Attribution: which touches brought the conversions, by model. Definitions in words: docs/sql.md.
-- Sums are exact. A touch's share of its conversion is a whole number of 2^-48, the difference of two rounded running
-- totals, so that the shares of a conversion add up to one. Sums of shares and of money are integers, of 256 bits for
-- money: no value that the collector accepts, and no number of them, overflows. Rows are then cut from the running total
-- the same way, on the grid of the last bit of a Float64 as large as all amounts together, signs left out: added up in any
-- order they give the total on that grid, where amounts cancel each other too.

-- One row a (model, conversion, touch), of the models in `models`, with commas between. A conversion without touches has
-- one row, at position 0. `share` counts 2^-48 conversions. `by` says who the players of the Shapley model are: channel,
-- source, medium or campaign. Views call as few views as they can: ClickHouse analyses a parameterised view twice.
-- touch: as in `paths`.
CREATE OR REPLACE VIEW pharos.credited SQL SECURITY DEFINER AS
SELECT
    model,
    conversion_id,
    converted_at,
    person,
    value_,
    gross_,
    currency,
    credit.1 AS position,
    length(touches) AS of,
    credit.2 AS touch,
    credit.3 AS share
FROM
(
    SELECT
        *,
        arrayMap(running -> toInt64(round(running / arraySum(weights) * exp2(48))), arrayCumSum(weights)) AS shares
    FROM
    (
        SELECT
            *,
            model,
            arrayMap((t, i, player) -> multiIf(
                model = 'first', toFloat64(i = 1),
                model = 'last', toFloat64(i = n),
                model = 'last_non_direct', toFloat64(i = last_known),
                model = 'linear', 1.,
                model = 'position', multiIf(n <= 2, 1., i = 1 OR i = n, 0.4, 0.2 / (n - 2)),
                -- Age counted back from the last touch: the same proportions as from the conversion, and no underflow.
                model = 'time_decay', exp2(toFloat64(t.1 - last_at) / 86400 / {half_life_days:Float64}),
                -- Shapley: the game in which a set of players is worth the conversions that met no other player.
                1. / countEqual(players, player)),
                touches, arrayEnumerate(touches), players) AS weights
        FROM
        (
            SELECT
                p.event_id AS conversion_id,
                p.occurred_at AS converted_at,
                person,
                p.value AS value_,
                p.gross AS gross_,
                currency,
                touches,
                length(touches) AS n,
                touches[-1].1 AS last_at,
                arrayLastIndex(t -> t.3 != 'Direct', touches) AS known,
                if(known = 0, n, known) AS last_known,
                multiIf({by:String} = 'channel', touches.3, {by:String} = 'source', touches.4,
                        {by:String} = 'medium', touches.5, touches.6) AS players
            FROM pharos.paths(site = {site:String}, conversion = {conversion:String}, lookback_days = {lookback_days:UInt32},
                since = {since:String}, until = {until:String}, tz = {tz:String}, restart = {restart:UInt8},
                touch_kinds = {touch_kinds:String}, ignore = {ignore:String}, everyone = 0) AS p
            WHERE (SELECT throwIf(NOT hasAll(['first', 'last', 'last_non_direct', 'linear', 'position', 'time_decay', 'shapley'],
                                             splitByChar(',', {models:String})),
                    'model: first, last, last_non_direct, linear, position, time_decay or shapley')
                + throwIf({by:String} NOT IN ('channel', 'source', 'medium', 'campaign'), 'by: channel, source, medium or campaign')
                + throwIf(NOT {half_life_days:Float64} > 0, 'half_life_days: more than 0')) = 0
        )
        ARRAY JOIN splitByChar(',', {models:String}) AS model
    )
)
ARRAY JOIN if(empty(touches),
    [(toUInt64(0), (converted_at, toUUID('00000000-0000-0000-0000-000000000000'), 'Unattributed', '', '', '', ''), toInt64(exp2(48)))],
    arrayMap((i, t, share, before) -> (toUInt64(i), t, share - before),
             arrayEnumerate(touches), touches, shares, arrayPopBack(arrayPushFront(shares, 0)))) AS credit;

-- One row a (model, channel, source, medium, campaign, currency), cut from the model's grand totals. `share` counts 2^-48
-- conversions, `net` and `gross` 2^-48 * 0.0001 money.
CREATE OR REPLACE VIEW pharos.attributed AS
WITH
    exp2(-48) AS unit,
    -- The size of a Float64's last bit.
    x -> exp2(greatest(1, bitAnd(bitShiftRight(reinterpretAsUInt64(x), 52), 2047)) - 1075) AS last_bit
SELECT
    model, channel, source, medium, campaign, currency,
    round(toFloat64(share_so_far) * unit / share_grid) * share_grid
        - round(toFloat64(share_so_far - share) * unit / share_grid) * share_grid AS conversions,
    round(toFloat64(net_so_far) * unit / 10000 / net_grid) * net_grid
        - round(toFloat64(net_so_far - net) * unit / 10000 / net_grid) * net_grid AS value,
    round(toFloat64(gross_so_far) * unit / 10000 / gross_grid) * gross_grid
        - round(toFloat64(gross_so_far - gross) * unit / 10000 / gross_grid) * gross_grid AS gross
FROM
(
    SELECT
        *,
        sum(share) OVER (PARTITION BY model ORDER BY currency, channel, source, medium, campaign ROWS UNBOUNDED PRECEDING) AS share_so_far,
        sum(net) OVER (PARTITION BY model, currency ORDER BY channel, source, medium, campaign ROWS UNBOUNDED PRECEDING) AS net_so_far,
        sum(gross) OVER (PARTITION BY model, currency ORDER BY channel, source, medium, campaign ROWS UNBOUNDED PRECEDING) AS gross_so_far,
        last_bit(toFloat64(sum(share) OVER (PARTITION BY model)) * unit) AS share_grid,
        last_bit(toFloat64(sum(abs(net)) OVER (PARTITION BY model, currency)) * unit / 10000) AS net_grid,
        last_bit(toFloat64(sum(abs(gross)) OVER (PARTITION BY model, currency)) * unit / 10000) AS gross_grid
    FROM
    (
        SELECT
            model,
            touch.3 AS channel,
            touch.4 AS source,
            touch.5 AS medium,
            touch.6 AS campaign,
            currency,
            sum(toInt128(c.share)) AS share,
            sum(toInt256(c.share) * toInt256(reinterpretAsInt64(value_))) AS net,
            sum(toInt256(c.share) * toInt256(reinterpretAsInt64(gross_))) AS gross
        FROM pharos.credited(site = {site:String}, conversion = {conversion:String}, models = {models:String}, by = {by:String},
            lookback_days = {lookback_days:UInt32}, since = {since:String}, until = {until:String}, tz = {tz:String},
            half_life_days = {half_life_days:Float64}, restart = {restart:UInt8}, touch_kinds = {touch_kinds:String}, ignore = {ignore:String}) AS c
        GROUP BY model, channel, source, medium, campaign, currency
    )
);

-- `value` is what is left of `gross` after refunds, credited to the same touches.
CREATE OR REPLACE VIEW pharos.attribution SQL SECURITY DEFINER AS
SELECT * EXCEPT (model)
FROM pharos.attributed(site = {site:String}, conversion = {conversion:String}, models = replaceAll({model:String}, ',', ' '), by = 'channel',
    lookback_days = {lookback_days:UInt32}, since = {since:String}, until = {until:String}, tz = {tz:String},
    half_life_days = {half_life_days:Float64}, restart = {restart:UInt8}, touch_kinds = {touch_kinds:String}, ignore = {ignore:String});

-- Shapley: one row a (name, currency); the names are channels, sources, mediums or campaigns, as `by` says.
CREATE OR REPLACE VIEW pharos.attribution_shapley SQL SECURITY DEFINER AS
SELECT
    multiIf(channel = 'Unattributed', 'Unattributed', {by:String} = 'channel', channel, {by:String} = 'source', source,
            {by:String} = 'medium', medium, campaign) AS name,
    currency,
    sum(a.conversions) AS conversions,
    sum(a.value) AS value,
    sum(a.gross) AS gross
FROM pharos.attributed(site = {site:String}, conversion = {conversion:String}, models = 'shapley', by = {by:String},
    lookback_days = {lookback_days:UInt32}, since = {since:String}, until = {until:String}, tz = {tz:String},
    half_life_days = 7, restart = {restart:UInt8}, touch_kinds = {touch_kinds:String}, ignore = {ignore:String}) AS a
GROUP BY name, currency;

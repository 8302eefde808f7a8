-- Attribution: which touches brought the conversions, by model. Definitions in words: docs/sql.md.
-- Sums are exact. A touch's share of its conversion is a whole number of 2^-48, the difference of two rounded running
-- totals, so that the shares of a conversion add up to one. Sums of shares are integers. Rows are then cut from the grand
-- total the same way, on the grid of the total's own Float64: added up in any order they give it to the last bit.

-- One row a (channel, source, medium, campaign, currency), cut from the grand totals. `share` counts 2^-48 conversions,
-- `amount` 2^-48 * 0.0001 money. `by` says who the players of the Shapley model are: channel, source, medium or campaign.
-- Views call as few views as they can: ClickHouse analyses a parameterised view twice, and what it calls twice again.
CREATE OR REPLACE VIEW pharos.attributed AS
WITH
    exp2(-48) AS unit,
    -- The size of a Float64's last bit.
    x -> exp2(greatest(1, bitAnd(bitShiftRight(reinterpretAsUInt64(x), 52), 2047)) - 1075) AS last_bit
SELECT
    channel, source, medium, campaign, currency,
    round(toFloat64(share_so_far) * unit / share_grid) * share_grid
        - round(toFloat64(share_so_far - share) * unit / share_grid) * share_grid AS conversions,
    round(toFloat64(amount_so_far) * unit / 10000 / amount_grid) * amount_grid
        - round(toFloat64(amount_so_far - amount) * unit / 10000 / amount_grid) * amount_grid AS value
FROM
(
    SELECT
        *,
        sum(share) OVER (ORDER BY currency, channel, source, medium, campaign ROWS UNBOUNDED PRECEDING) AS share_so_far,
        sum(amount) OVER (PARTITION BY currency ORDER BY channel, source, medium, campaign ROWS UNBOUNDED PRECEDING) AS amount_so_far,
        last_bit(toFloat64(sum(share) OVER ()) * unit) AS share_grid,
        last_bit(toFloat64(sum(amount) OVER (PARTITION BY currency)) * unit / 10000) AS amount_grid
    FROM
    (
        SELECT
            credit.1 AS channel,
            credit.2 AS source,
            credit.3 AS medium,
            credit.4 AS campaign,
            currency,
            sum(toInt128(credit.5)) AS share,
            sum(toInt128(credit.5) * toInt128(value * 10000)) AS amount
        FROM
        (
            SELECT
                value,
                currency,
                touches,
                arraySum(weights) AS total,
                arrayMap(running -> toInt64(round(running / total * exp2(48))), arrayCumSum(weights)) AS shares
            FROM
            (
                SELECT
                    value,
                    currency,
                    touches,
                    arrayMap((t, i, player) -> multiIf(
                        {model:String} = 'first', toFloat64(i = 1),
                        {model:String} = 'last', toFloat64(i = n),
                        {model:String} = 'last_non_direct', toFloat64(i = last_known),
                        {model:String} = 'linear', 1.,
                        {model:String} = 'position', multiIf(n <= 2, 1., i = 1 OR i = n, 0.4, 0.2 / (n - 2)),
                        -- Age counted back from the last touch: the same proportions as from the conversion, and no underflow.
                        {model:String} = 'time_decay', exp2(toFloat64(t.1 - last_at) / 86400 / {half_life_days:Float64}),
                        -- Shapley: the game in which a set of players is worth the conversions that met no other player.
                        1. / countEqual(players, player)),
                        touches, arrayEnumerate(touches), players) AS weights
                FROM
                (
                    SELECT
                        value,
                        currency,
                        touches,
                        length(touches) AS n,
                        touches[-1].1 AS last_at,
                        arrayLastIndex(t -> t.3 != 'Direct', touches) AS known,
                        if(known = 0, n, known) AS last_known,
                        multiIf({by:String} = 'channel', touches.3, {by:String} = 'source', touches.4,
                                {by:String} = 'medium', touches.5, touches.6) AS players
                    FROM pharos.paths(site = {site:String}, conversion = {conversion:String}, lookback_days = {lookback_days:UInt32},
                        since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}, restart = {restart:UInt8}, everyone = 0)
                    WHERE NOT throwIf({model:String} NOT IN ('first', 'last', 'last_non_direct', 'linear', 'position', 'time_decay', 'shapley'),
                            'model: first, last, last_non_direct, linear, position, time_decay or shapley')
                        AND NOT throwIf({by:String} NOT IN ('channel', 'source', 'medium', 'campaign'), 'by: channel, source, medium or campaign')
                        AND NOT throwIf({half_life_days:Float64} <= 0, 'half_life_days: more than 0')
                )
            )
        )
        ARRAY JOIN if(empty(touches), [('Unattributed', '', '', '', toInt64(exp2(48)))],
            arrayMap((t, share, before) -> (t.3, t.4, t.5, t.6, share - before),
                     touches, shares, arrayPopBack(arrayPushFront(shares, 0)))) AS credit
        GROUP BY channel, source, medium, campaign, currency
    )
);

CREATE OR REPLACE VIEW pharos.attribution_with AS
SELECT *
FROM pharos.attributed(site = {site:String}, conversion = {conversion:String}, model = {model:String}, by = 'channel',
    lookback_days = {lookback_days:UInt32}, since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')},
    half_life_days = {half_life_days:Float64}, restart = {restart:UInt8});

CREATE OR REPLACE VIEW pharos.attribution AS
SELECT *
FROM pharos.attributed(site = {site:String}, conversion = {conversion:String}, model = {model:String}, by = 'channel',
    lookback_days = {lookback_days:UInt32}, since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')},
    half_life_days = 7, restart = 1);

-- Shapley: one row a (name, currency); the names are channels, sources, mediums or campaigns, as `by` says.
CREATE OR REPLACE VIEW pharos.attribution_shapley_with AS
SELECT
    multiIf(channel = 'Unattributed', 'Unattributed', {by:String} = 'channel', channel, {by:String} = 'source', source,
            {by:String} = 'medium', medium, campaign) AS name,
    currency,
    sum(a.conversions) AS conversions,
    sum(a.value) AS value
FROM pharos.attributed(site = {site:String}, conversion = {conversion:String}, model = 'shapley', by = {by:String},
    lookback_days = {lookback_days:UInt32}, since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')},
    half_life_days = 7, restart = {restart:UInt8}) AS a
GROUP BY name, currency;

CREATE OR REPLACE VIEW pharos.attribution_shapley AS
SELECT channel, currency, sum(a.conversions) AS conversions, sum(a.value) AS value
FROM pharos.attributed(site = {site:String}, conversion = {conversion:String}, model = 'shapley', by = 'channel',
    lookback_days = {lookback_days:UInt32}, since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')},
    half_life_days = 7, restart = 1) AS a
GROUP BY channel, currency;

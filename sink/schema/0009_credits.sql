-- Credit by touch, and all rule models next to each other. Definitions in words: docs/sql.md.

-- One row a (conversion, touch): what `attribution` sums up. A conversion without touches has one row: position 0, channel
-- Unattributed, no touched_at. content, term, link_code, landing_path, device and country are those of the touch's own
-- event. `weight` is the touch's part of the conversion; credit = weight * value, gross_credit = weight * gross.
CREATE OR REPLACE VIEW pharos.credits SQL SECURITY DEFINER AS
SELECT
    c.converted_at AS converted_at,
    c.conversion_id AS conversion_id,
    c.person AS person,
    if(c.position = 0, NULL, c.touch.1) AS touched_at,
    c.touch.2 AS touch_id,
    c.position AS position,
    c.of AS of,
    c.touch.7 AS kind,
    c.touch.3 AS channel,
    c.touch.4 AS source,
    c.touch.5 AS medium,
    c.touch.6 AS campaign,
    d.utm_content AS content,
    d.utm_term AS term,
    toString(d.link_code) AS link_code,
    d.path AS landing_path,
    toString(d.device) AS device,
    toString(d.country) AS country,
    c.share * exp2(-48) AS weight,
    weight * toFloat64(c.value_) AS credit,
    weight * toFloat64(c.gross_) AS gross_credit,
    c.currency AS currency
FROM
(
    SELECT event_id, utm_content, utm_term, link_code, path, device, country
    FROM pharos.standing(site = {site:String}, events = '',
        since = toString(toTimeZone(parseDateTime64BestEffort({since:String}, 3, {tz:String}), 'UTC') - toIntervalDay({lookback_days:UInt32})),
        until = toString(toTimeZone(parseDateTime64BestEffort({until:String}, 3, {tz:String}), 'UTC')), tz = 'UTC')
) AS d
RIGHT JOIN
(
    SELECT * REPLACE (CAST(touch, 'Tuple(DateTime64(3, \'UTC\'), UUID, String, String, String, String, String)') AS touch), touch.2 AS touch_id
    FROM pharos.credited(site = {site:String}, conversion = {conversion:String}, models = replaceAll({model:String}, ',', ' '),
        by = 'channel', lookback_days = {lookback_days:UInt32}, since = {since:String}, until = {until:String}, tz = {tz:String},
        half_life_days = {half_life_days:Float64}, restart = {restart:UInt8}, touch_kinds = {touch_kinds:String}, ignore = {ignore:String})
) AS c ON d.event_id = c.touch_id;

-- Every rule model in one read: the rows of `attribution`, two columns a model.
CREATE OR REPLACE VIEW pharos.attribution_models SQL SECURITY DEFINER AS
SELECT
    channel, source, medium, campaign, currency,
    sumIf(a.conversions, model = 'first') AS conversions_first,
    sumIf(a.conversions, model = 'last') AS conversions_last,
    sumIf(a.conversions, model = 'last_non_direct') AS conversions_last_non_direct,
    sumIf(a.conversions, model = 'linear') AS conversions_linear,
    sumIf(a.conversions, model = 'position') AS conversions_position,
    sumIf(a.conversions, model = 'time_decay') AS conversions_time_decay,
    sumIf(a.conversions, model = 'shapley') AS conversions_shapley,
    sumIf(a.value, model = 'first') AS value_first,
    sumIf(a.value, model = 'last') AS value_last,
    sumIf(a.value, model = 'last_non_direct') AS value_last_non_direct,
    sumIf(a.value, model = 'linear') AS value_linear,
    sumIf(a.value, model = 'position') AS value_position,
    sumIf(a.value, model = 'time_decay') AS value_time_decay,
    sumIf(a.value, model = 'shapley') AS value_shapley
FROM pharos.attributed(site = {site:String}, conversion = {conversion:String},
    models = 'first,last,last_non_direct,linear,position,time_decay,shapley', by = 'channel',
    lookback_days = {lookback_days:UInt32}, since = {since:String}, until = {until:String}, tz = {tz:String},
    half_life_days = {half_life_days:Float64}, restart = {restart:UInt8}, touch_kinds = {touch_kinds:String}, ignore = {ignore:String}) AS a
GROUP BY channel, source, medium, campaign, currency;

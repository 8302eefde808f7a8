-- Rows of tables that ClickHouse merges, as they are when it has: who is who, and what takes money back.

-- Who is who, as in 0003_sessions.sql. The table is in order of (site, visitor_id), so that to merge its rows as they are read costs a
-- fifth of grouping them by two columns, and nearly every question about people asks several times.
CREATE OR REPLACE VIEW pharos.people SQL SECURITY DEFINER AS
SELECT site, visitor_id, i.first.3 AS user_id
FROM pharos.identities AS i FINAL;

-- A refund counts once, as every event: the copy that wins says which order it is of. `pharos.refunds` keeps a copy for
-- each order that copies name, and before this file each of them took its value from its order.
CREATE OR REPLACE VIEW pharos.conversions_cut SQL SECURITY DEFINER AS
WITH
    arrayFilter(r -> r.1 != event AND (r.2 = '' OR r.2 = currency) AND (r.3 OR NOT authenticated), back.refunds) AS own
SELECT
    site,
    event,
    event_id,
    occurred_at,
    kind,
    found.visitor_id AS visitor_id,
    found.user_id AS user_id,
    client_event_id,
    CAST(if(empty(own) OR found.value <= 0, toDecimal128(found.value, 4),
            if(arrayExists(r -> r.4 = 0, own), toDecimal128(0, 4),
               greatest(toDecimal128(0, 4), toDecimal128(found.value, 4) - arraySum(r -> abs(toDecimal128(r.4, 4)), own)))),
        'Decimal(18, 4)') AS value,
    found.value AS gross,
    currency,
    multiIf(
        known.user_id != '', concat('user ', known.user_id),
        found.visitor_id != '', concat('visitor ', found.visitor_id),
        found.user_id != '', concat('user ', found.user_id),
        concat('event ', toString(event_id))) AS person
FROM
(
    SELECT site, event, event_id, occurred_at, kind, visitor_id, user_id, client_event_id, value, currency, authenticated
    FROM pharos.goal_events(site = {site:String}, goals = {event:String}, only = 1, since = {since:String}, until = {until:String})
    WHERE NOT is_bot
) AS found
LEFT ANY JOIN (SELECT visitor_id, user_id FROM pharos.people WHERE site = {site:String}) AS known
    ON known.visitor_id = found.visitor_id
LEFT ANY JOIN
(
    SELECT copy.5 AS order_id, groupArray((copy.1, copy.2, copy.3, copy.4)) AS refunds
    FROM
    (
        SELECT argMax((event, currency, authenticated, value, order_id, is_bot), (version, order_id, value)) AS copy
        FROM pharos.refunds
        WHERE site = {site:String}
        GROUP BY event_id
    )
    WHERE NOT copy.6
    GROUP BY order_id
) AS back ON back.order_id = found.client_event_id;

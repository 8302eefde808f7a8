-- Who is who: one row a visitor that ever named its user. The first name stays, so that answers about the past do not
-- change when a visitor's browser is used by someone else later. Of events as they stand, unlike in 0008: a copy that does
-- not stand is gone once its part is merged, and an answer must not depend on when that is.
CREATE OR REPLACE VIEW pharos.people AS
SELECT site, visitor_id, argMin(e.user_id, (occurred_at, UUIDToNum(event_id))) AS user_id
FROM pharos.event_log AS e FINAL
WHERE e.user_id != '' AND visitor_id != '' AND NOT is_bot
GROUP BY site, visitor_id;

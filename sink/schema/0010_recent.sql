-- What arrived lately, for people who watch: Live of the report.

-- One row a stored copy of an event that the collector received in the last `seconds`, without address and user agent. Not
-- each event once: a browser's and a server's copy are two rows, since each arrived. Only the days of the sort key that such
-- an event can have are read: an id of version 7 begins with a time that the collector takes (three days back), any other
-- has day 1970-01-01.
CREATE OR REPLACE VIEW pharos.recent SQL SECURITY DEFINER AS
SELECT * EXCEPT (ip, user_agent, version)
FROM pharos.event_log
PREWHERE site = {site:String}
    AND received_at >= now64(3, 'UTC') - toIntervalSecond({seconds:UInt32})
    AND (toDate(UUIDv7ToDateTime(event_id, 'UTC')) = toDate('1970-01-01')
        OR toDate(UUIDv7ToDateTime(event_id, 'UTC')) >= toDate(now('UTC')) - 5)
-- A site without an event is no error here, but one of another shard is.
WHERE (SELECT throwIf(is_part AND (SELECT count() FROM pharos.names WHERE site = {site:String}) = 0,
                      'site: no event of this site is stored on this shard') FROM pharos.shard) = 0;

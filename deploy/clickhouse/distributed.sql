-- Several shards: tables that read, and write, all of them. Run once on one node, after
-- `PHAROS_SINK_CLUSTER={cluster} python -m sink migrate`; replace {cluster} by the cluster's name first. docs/sink.md says
-- how to point the sink at them.

-- An event's copies go to one shard, whichever sink inserts them: so FINAL on each shard shows each event once, and a
-- repeated insert meets its token again on the shard that knows it.
CREATE TABLE IF NOT EXISTS pharos.event_log_everywhere ON CLUSTER '{cluster}' AS pharos.event_log
ENGINE = Distributed('{cluster}', pharos, event_log, cityHash64(site, event_id));

CREATE TABLE IF NOT EXISTS pharos.events_everywhere ON CLUSTER '{cluster}' AS pharos.events
ENGINE = Distributed('{cluster}', pharos, events);

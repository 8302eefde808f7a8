-- Several shards. Run once on one node, after `PHAROS_SINK_CLUSTER={cluster} python -m sink migrate`; replace {cluster} by the
-- cluster's name first. docs/sink.md, "Clusters", says how to point the sink and its commands at the shards.

-- A site lives on one shard. So the copies of an event meet, FINAL shows each event once, a journey is whole, a repeated
-- insert meets its token again on the shard that knows it, a closed day is whole, and every view of docs/sql.md gives the
-- same rows as on a single server: on the shard of that site. Elsewhere it fails, since that shard has never stored the
-- site. A site that is too large for one shard needs larger shards; spreading persons over shards would cut the joins over
-- a user's visitors.
CREATE TABLE IF NOT EXISTS pharos.event_rows_everywhere ON CLUSTER '{cluster}' AS pharos.event_rows
ENGINE = Distributed('{cluster}', pharos, event_rows, cityHash64(site));

-- Which shard holds a site: SELECT site, _shard_num FROM pharos.names_everywhere GROUP BY ALL.
CREATE TABLE IF NOT EXISTS pharos.names_everywhere ON CLUSTER '{cluster}' AS pharos.names
ENGINE = Distributed('{cluster}', pharos, names);

-- Of all sites; filters go to the shards. From now on `events`, `sessions` and `touches` are errors that name these.
CREATE TABLE IF NOT EXISTS pharos.events_everywhere ON CLUSTER '{cluster}' AS pharos.events_of_shard
ENGINE = Distributed('{cluster}', pharos, events_of_shard);

CREATE TABLE IF NOT EXISTS pharos.sessions_everywhere ON CLUSTER '{cluster}' AS pharos.sessions_of_shard
ENGINE = Distributed('{cluster}', pharos, sessions_of_shard);

CREATE TABLE IF NOT EXISTS pharos.touches_everywhere ON CLUSTER '{cluster}' AS pharos.touches_of_shard
ENGINE = Distributed('{cluster}', pharos, touches_of_shard);

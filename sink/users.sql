-- Who may do what in ClickHouse, for every way to deploy. `python -m sink users` runs this file as an administrator, before the
-- migrations and again after each upgrade; docs/sink.md, "Rights". Repeating it changes nothing but passwords.

-- The sink inserts, and looks at what it needs to know. Run it with PHAROS_SINK_MIGRATE=false.
CREATE ROLE IF NOT EXISTS pharos_sink;
GRANT INSERT ON pharos.event_rows TO pharos_sink;
GRANT INSERT ON pharos.event_rows_everywhere TO pharos_sink;
GRANT INSERT ON pharos.event_probe TO pharos_sink;
GRANT SELECT ON pharos.migrations TO pharos_sink;
GRANT SELECT ON pharos.reader_key TO pharos_sink;
-- To close days (docs/sink.md) it reads visitors' ids, and writes and deletes what can be made again from the events.
GRANT SELECT (site, kind, occurred_at, visitor_id) ON pharos.event_log TO pharos_sink;
GRANT SELECT ON pharos.names TO pharos_sink;
GRANT SELECT ON pharos.shard TO pharos_sink;
GRANT SYSTEM SYNC REPLICA ON pharos.* TO pharos_sink;
GRANT SELECT ON pharos.changed TO pharos_sink;
GRANT SELECT ON pharos.restless TO pharos_sink;
GRANT SELECT ON pharos.session_measures TO pharos_sink;
GRANT SELECT ON pharos.touches_raw TO pharos_sink;
GRANT SELECT ON pharos.findings TO pharos_sink;
GRANT SELECT ON pharos.arrivals TO pharos_sink;
GRANT SELECT (site, visitor_id, user_id, occurred_at, event_id, kind, source, medium, campaign, channel, is_bot, open_kind, utm_content, utm_term, link_code, path, device, country) ON pharos.standing TO pharos_sink;
GRANT SELECT, ALTER DELETE ON pharos.late_rows TO pharos_sink;
GRANT SELECT, INSERT, ALTER DELETE ON pharos.closed_days TO pharos_sink;
GRANT SELECT, INSERT, ALTER DELETE ON pharos.closed_sessions TO pharos_sink;
GRANT SELECT, INSERT, ALTER DELETE ON pharos.closed_touches TO pharos_sink;
GRANT SELECT, INSERT, ALTER DELETE ON pharos.closed_restless TO pharos_sink;
GRANT SELECT, INSERT, ALTER DELETE ON pharos.closed_ids TO pharos_sink;
GRANT SELECT, INSERT, ALTER DELETE ON pharos.closed_counts TO pharos_sink;
GRANT SELECT, INSERT, ALTER DELETE ON pharos.closed_arrivals TO pharos_sink;
GRANT SELECT, INSERT, ALTER DELETE ON pharos.closed_begun TO pharos_sink;
GRANT SELECT ON system.tables TO pharos_sink;
GRANT SELECT, INSERT ON pharos.sites TO pharos_sink;
GRANT SELECT ON system.time_zones TO pharos_sink;
CREATE USER IF NOT EXISTS sink IDENTIFIED WITH sha256_password BY {sink_password:String};
ALTER USER sink IDENTIFIED WITH sha256_password BY {sink_password:String};
GRANT pharos_sink TO sink;

-- The deployment runs `python -m sink migrate` with PHAROS_SINK_CLICKHOUSE_USER=migrator.
CREATE ROLE IF NOT EXISTS pharos_migrator;
GRANT CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP TABLE, DROP VIEW, ALTER, SELECT, INSERT, TRUNCATE ON pharos.* TO pharos_migrator;
GRANT SET DEFINER ON migrator TO pharos_migrator;
GRANT SELECT ON system.tables TO pharos_migrator;
GRANT SELECT ON system.columns TO pharos_migrator;
CREATE USER IF NOT EXISTS migrator IDENTIFIED WITH sha256_password BY {migrator_password:String};
ALTER USER migrator IDENTIFIED WITH sha256_password BY {migrator_password:String};
GRANT pharos_migrator TO migrator;

-- Analysts read, within limits that keep the sink's inserts going, but neither the address nor the raw user agent. The
-- views run with the rights of the user who migrated (SQL SECURITY DEFINER), so each of them works: do not drop that user.
-- 0 means "no limit" to ClickHouse, so limits have lower bounds, too (threads: 0 means as many as cores, up to the bound).
-- From ClickHouse 26.7 on add explain_query_plan_default = 'legacy': memory limits do not stop EXPLAIN (docs/sql.md).
CREATE SETTINGS PROFILE IF NOT EXISTS pharos_analyst;
ALTER SETTINGS PROFILE pharos_analyst SETTINGS
    readonly = 2,
    max_execution_time = 60 MIN 1 MAX 300,
    timeout_overflow_mode = 'throw' CONST,
    max_memory_usage = 4000000000 MIN 1 MAX 8000000000,
    max_memory_usage_for_user = 12000000000 CONST,
    max_concurrent_queries_for_user = 8 CONST,
    max_bytes_before_external_group_by = 1200000000,
    max_temporary_data_on_disk_size_for_query = 20000000000 MIN 1 MAX 20000000000,
    max_result_rows = 1000000 MIN 1 MAX 10000000,
    result_overflow_mode = 'throw',
    max_threads = 4 MAX 8,
    priority = 10 MIN 10;
CREATE ROLE IF NOT EXISTS pharos_analyst;
ALTER ROLE pharos_analyst SETTINGS PROFILE 'pharos_analyst';
CREATE USER IF NOT EXISTS analyst IDENTIFIED WITH sha256_password BY {analyst_password:String};
-- When this file is repeated, GRANT cancels the exceptions until REVOKE makes them again: meanwhile the analyst has no role.
REVOKE pharos_analyst FROM analyst;
GRANT SELECT ON pharos.* TO pharos_analyst;
REVOKE SELECT ON pharos.reader_key FROM pharos_analyst;
REVOKE SELECT (ip, user_agent) ON pharos.event_log FROM pharos_analyst;
REVOKE SELECT (ip, user_agent) ON pharos.events FROM pharos_analyst;
REVOKE SELECT (ip, user_agent) ON pharos.events_of_shard FROM pharos_analyst;
REVOKE SELECT (ip, user_agent) ON pharos.events_everywhere FROM pharos_analyst;
REVOKE SELECT (ip, user_agent) ON pharos.standing FROM pharos_analyst;
CREATE QUOTA IF NOT EXISTS pharos_analyst KEYED BY user_name
    FOR INTERVAL 1 hour MAX queries = 2000, execution_time = 3600, read_rows = 100000000000
    TO pharos_analyst;
ALTER USER analyst IDENTIFIED WITH sha256_password BY {analyst_password:String};
GRANT pharos_analyst TO analyst;

-- Costs of campaigns and rates of exchange (docs/sql.md): grant pharos_loader to the user that loads them.
CREATE ROLE IF NOT EXISTS pharos_loader;
GRANT INSERT, SELECT ON pharos.costs TO pharos_loader;
GRANT INSERT, SELECT ON pharos.rates TO pharos_loader;
GRANT SELECT ON pharos.shard TO pharos_loader;

-- `python -m sink forward` and `audience` read what they send: with PHAROS_SINK_CLICKHOUSE_USER=forwarder.
-- It sees addresses and user agents.
CREATE ROLE IF NOT EXISTS pharos_forwarder;
GRANT SELECT ON pharos.standing TO pharos_forwarder;
GRANT SELECT ON pharos.conversions_cut TO pharos_forwarder;
GRANT SELECT ON pharos.people TO pharos_forwarder;
GRANT SELECT ON pharos.shard TO pharos_forwarder;
GRANT SELECT ON pharos.names TO pharos_forwarder;
GRANT SELECT ON pharos.refusals TO pharos_forwarder;
GRANT SELECT ON pharos.audience_where TO pharos_forwarder;
GRANT INSERT ON pharos.audience_exports TO pharos_forwarder;
CREATE USER IF NOT EXISTS forwarder IDENTIFIED WITH sha256_password BY {forwarder_password:String};
ALTER USER forwarder IDENTIFIED WITH sha256_password BY {forwarder_password:String};
GRANT pharos_forwarder TO forwarder;

-- Erasure and the note about it: `python -m sink erase` with PHAROS_SINK_CLICKHOUSE_USER=eraser.
CREATE ROLE IF NOT EXISTS pharos_eraser;
GRANT SELECT (site, visitor_id, user_id, occurred_at, received_at) ON pharos.event_log TO pharos_eraser;
GRANT SELECT (event_id, is_bot) ON pharos.event_log TO pharos_eraser;
GRANT ALTER DELETE ON pharos.event_log TO pharos_eraser;
GRANT SELECT, ALTER DELETE ON pharos.authenticated TO pharos_eraser;
GRANT SELECT, ALTER DELETE ON pharos.rare_events TO pharos_eraser;
GRANT SELECT, ALTER DELETE ON pharos.refunds TO pharos_eraser;
GRANT SELECT, INSERT, ALTER DELETE ON pharos.identities TO pharos_eraser;
GRANT SELECT, ALTER DELETE ON pharos.refusals TO pharos_eraser;
GRANT INSERT, SELECT ON pharos.erasures TO pharos_eraser;
GRANT SELECT ON pharos.shard TO pharos_eraser;
GRANT SELECT, INSERT ON pharos.late_rows TO pharos_eraser;
GRANT SELECT, ALTER DELETE ON pharos.closed_days TO pharos_eraser;
GRANT SELECT, ALTER DELETE ON pharos.closed_sessions TO pharos_eraser;
GRANT SELECT, ALTER DELETE ON pharos.closed_touches TO pharos_eraser;
GRANT SELECT, ALTER DELETE ON pharos.closed_restless TO pharos_eraser;
GRANT SELECT, ALTER DELETE ON pharos.closed_ids TO pharos_eraser;
GRANT SELECT, ALTER DELETE ON pharos.closed_counts TO pharos_eraser;
GRANT SELECT, ALTER DELETE ON pharos.closed_arrivals TO pharos_eraser;
GRANT SELECT, ALTER DELETE ON pharos.closed_begun TO pharos_eraser;
CREATE USER IF NOT EXISTS eraser IDENTIFIED WITH sha256_password BY {eraser_password:String};
ALTER USER eraser IDENTIFIED WITH sha256_password BY {eraser_password:String};
GRANT pharos_eraser TO eraser;

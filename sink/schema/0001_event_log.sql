-- Storage, one row an event. Written by the sink only; analysts read the view `events`.
-- A repeat of an event has the same (site, event_id); the greatest `version` stands.
-- How long events are kept is a setting of the sink (PHAROS_SINK_RETENTION_DAYS), not part of a migration.
-- Order and partitions, as measured in docs/benchmarks.md: hit ids are UUIDs of version 7, so the order key follows time,
-- a day's sites side by side. Ids made of a sender's own id are random (day 1970-01-01): they lie in partitions of their
-- own. So no block of rows spans the key range of another month, and a read with FINAL merges only what can collide.
CREATE TABLE IF NOT EXISTS pharos.event_log
(
    event_id             UUID CODEC(ZSTD(1)),
    site                 LowCardinality(String),
    event                LowCardinality(String),
    kind                 LowCardinality(String),
    received_at          DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    occurred_at          DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    version              UInt64 CODEC(Delta, ZSTD(1)),
    visitor_id           String CODEC(ZSTD(1)),
    visitor_kind         LowCardinality(String),
    user_id              String CODEC(ZSTD(1)),
    client_event_id      String CODEC(ZSTD(1)),
    url                  String CODEC(ZSTD(3)),
    host                 LowCardinality(String),
    path                 String CODEC(ZSTD(3)),
    title                String CODEC(ZSTD(3)),
    referrer             String CODEC(ZSTD(3)),
    referrer_host        LowCardinality(String),
    referrer_name        LowCardinality(String),
    referrer_kind        LowCardinality(String),
    search_term          String CODEC(ZSTD(1)),
    utm_source           String CODEC(ZSTD(1)),
    utm_medium           String CODEC(ZSTD(1)),
    utm_campaign         String CODEC(ZSTD(1)),
    utm_term             String CODEC(ZSTD(1)),
    utm_content          String CODEC(ZSTD(1)),
    utm_id               String CODEC(ZSTD(1)),
    utm_source_platform  String CODEC(ZSTD(1)),
    utm_creative_format  String CODEC(ZSTD(1)),
    utm_marketing_tactic String CODEC(ZSTD(1)),
    source               LowCardinality(String),
    medium               LowCardinality(String),
    campaign             LowCardinality(String),
    channel              LowCardinality(String),
    click_id_name        LowCardinality(String),
    click_id             String CODEC(ZSTD(1)),
    link_code            LowCardinality(String),
    message_id           LowCardinality(String),
    list_id              LowCardinality(String),
    value                Decimal(18, 4) CODEC(ZSTD(1)),
    currency             LowCardinality(String),
    user_agent           LowCardinality(String) TTL toDateTime(received_at) + INTERVAL 90 DAY,
    browser              LowCardinality(String),
    browser_version      LowCardinality(String),
    os                   LowCardinality(String),
    os_version           LowCardinality(String),
    device               LowCardinality(String),
    is_bot               Bool,
    bot_reason           LowCardinality(String),
    open_kind            LowCardinality(String),
    language             LowCardinality(String),
    country              LowCardinality(String),
    region               LowCardinality(String),
    city                 LowCardinality(String),
    ip                   String CODEC(ZSTD(1)) TTL toDateTime(received_at) + INTERVAL 30 DAY,
    consent              LowCardinality(String),
    props                Map(String, String) CODEC(ZSTD(1)),
    enriched_by          UInt32 CODEC(ZSTD(1)),
    dropped              Array(LowCardinality(String)) CODEC(ZSTD(1)),
    INDEX occurred_at occurred_at TYPE minmax GRANULARITY 1,
    INDEX visitor_id visitor_id TYPE bloom_filter(0.01) GRANULARITY 2,
    -- An empty row would be read as all defaults.
    CONSTRAINT named CHECK site != ''
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY (toYYYYMM(received_at), client_event_id != '')
ORDER BY (toDate(UUIDv7ToDateTime(event_id, 'UTC')), site, UUIDToNum(event_id))
SETTINGS non_replicated_deduplication_window = 10000;

-- Each event once.
CREATE VIEW IF NOT EXISTS pharos.events AS
SELECT * EXCEPT (version)
FROM pharos.event_log FINAL;

-- What was erased, without a word of whom: `python -m sink erase` writes a row.
CREATE TABLE IF NOT EXISTS pharos.erasures
(
    at        DateTime DEFAULT now(),
    site      LowCardinality(String),
    what      LowCardinality(String) COMMENT 'visitor, user or before',
    events    UInt64 COMMENT 'rows of event_log deleted',
    left      UInt64 COMMENT 'rows that the proof query still found: 0',
    done_by   LowCardinality(String) COMMENT 'user of ClickHouse'
)
ENGINE = MergeTree
ORDER BY at;

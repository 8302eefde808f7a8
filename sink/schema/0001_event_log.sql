-- The tables. Written by the sink only; analysts read the views.
-- How long events are kept is a setting of the sink (PHAROS_SINK_RETENTION_DAYS), not part of a migration.

-- A random key of this installation, for `reader` below. Analysts must not read it: sink/users.sql.
CREATE TABLE IF NOT EXISTS pharos.reader_key ENGINE = Join(ANY, LEFT, id)
AS SELECT toUInt8(0) AS id, bitOr(rand64(1), 1) AS high, rand64(2) AS low;

-- Storage, one row a copy of an event. Copies have the same (site, event_id); the row with the greatest `version` wins.
-- Order and partitions, as measured in docs/benchmarks.md: an event id of UUID version 7 begins with a time, so the sort
-- key follows time, with a day's sites next to each other. Other ids (order numbers) are random and have day 1970-01-01:
-- they have partitions of their own. So no block of rows spans the key range of another month, and a read with FINAL
-- merges only what can collide.
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
    -- What sessions need to know of an event, worked out once, at insert. From the lowest bit: 16 length of `path` in
    -- bytes, a click, an arrival, (18 is left free for money), a campaign, 44 which campaign. For an engagement the last
    -- 44 are the milliseconds that it looks back, at most twelve hours. See 0003_sessions.sql.
    visit_code           UInt64 MATERIALIZED bitOr(
        length(path) + 65536 * (kind = 'click')
            + 131072 * ((kind != 'server' OR url != '') AND event NOT IN ('engagement', 'consent', 'outbound', 'download',
                'scroll', 'form', 'contact', 'error', 'not_found', 'vitals')),
        multiIf(
            event = 'engagement', bitShiftLeft(least(toUInt64OrZero(props['ms']), 43200000), 20),
            event IN ('consent', 'outbound', 'download', 'scroll', 'form', 'contact', 'error', 'not_found', 'vitals')
                OR (kind = 'server' AND url = ''), 0,
            utm_source != '' OR utm_medium != '' OR utm_campaign != '' OR utm_id != '' OR click_id != '',
                bitShiftLeft(sipHash64(source, medium, campaign, utm_id, click_id), 20) + 524288,
            0)) CODEC(ZSTD(1)),
    -- Who opened a mail or followed its link, where no id says so: a keyed hash of day, address and user agent, so that people
    -- can still be counted when the address is erased. 0: not known. It does not link people across days, or to an address.
    reader               UInt64 MATERIALIZED if(kind IN ('open', 'click') AND ip != '' AND user_agent != ''
            AND joinGet('pharos.reader_key', 'high', toUInt8(0)) != 0,
        sipHash64Keyed((joinGet('pharos.reader_key', 'high', toUInt8(0)), joinGet('pharos.reader_key', 'low', toUInt8(0))),
            site, toDate(received_at), ip, user_agent), 0) CODEC(ZSTD(1)),
    -- Where an event comes from as one text, empty for direct.
    origin               LowCardinality(String) MATERIALIZED
        if(channel = 'Direct' AND source = '(direct)' AND medium = '(none)' AND campaign = '',
           '', concat(source, '\0', medium, '\0', campaign, '\0', channel)),
    INDEX occurred_at occurred_at TYPE minmax GRANULARITY 1,
    INDEX visitor_id visitor_id TYPE bloom_filter(0.01) GRANULARITY 2,
    CONSTRAINT named CHECK site != ''
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY (toYYYYMM(received_at), UUIDv7ToDateTime(event_id, 'UTC') = toDateTime64(0, 3, 'UTC'))
ORDER BY (toDate(UUIDv7ToDateTime(event_id, 'UTC')), site, UUIDToNum(event_id))
SETTINGS non_replicated_deduplication_window = 10000;

-- What the sink inserts into; it stores nothing. ClickHouse reads a row's values one by one, which is dear for words with a
-- dictionary (LowCardinality), so here they are plain texts. The view below converts whole columns: an insert costs half.
-- The columns are those of event_log that a row brings, in the row's order. All views that feed tables run with the rights of
-- who migrated (SQL SECURITY DEFINER): ClickHouse may silently leave out one that would run with the sink's.
CREATE TABLE IF NOT EXISTS pharos.event_rows
(
    event_id             UUID,
    site                 String,
    event                String,
    kind                 String,
    received_at          DateTime64(3, 'UTC'),
    occurred_at          DateTime64(3, 'UTC'),
    version              UInt64,
    visitor_id           String,
    visitor_kind         String,
    user_id              String,
    client_event_id      String,
    url                  String,
    host                 String,
    path                 String,
    title                String,
    referrer             String,
    referrer_host        String,
    referrer_name        String,
    referrer_kind        String,
    search_term          String,
    utm_source           String,
    utm_medium           String,
    utm_campaign         String,
    utm_term             String,
    utm_content          String,
    utm_id               String,
    utm_source_platform  String,
    utm_creative_format  String,
    utm_marketing_tactic String,
    source               String,
    medium               String,
    campaign             String,
    channel              String,
    click_id_name        String,
    click_id             String,
    link_code            String,
    message_id           String,
    list_id              String,
    value                Decimal(18, 4),
    currency             String,
    user_agent           String,
    browser              String,
    browser_version      String,
    os                   String,
    os_version           String,
    device               String,
    is_bot               Bool,
    bot_reason           String,
    open_kind            String,
    language             String,
    country              String,
    region               String,
    city                 String,
    ip                   String,
    consent              String,
    props                Map(String, String),
    enriched_by          UInt32,
    dropped              Array(String),
    -- An empty row would be read as all defaults.
    CONSTRAINT named CHECK site != ''
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS pharos.event_rows_feed TO pharos.event_log SQL SECURITY DEFINER AS
SELECT * FROM pharos.event_rows;

-- The tables below are copies of a few columns, made by ClickHouse at each insert. All are idempotent: a row that comes
-- twice changes nothing. The sink inserts with deduplicate_blocks_in_dependent_materialized_views, so that a repeated
-- insert reaches them even where the event itself was stored by an earlier attempt.

-- Which events there are, by site. `authenticated`: a server has sent one with an id, so other copies may exist.
CREATE TABLE IF NOT EXISTS pharos.names
(
    site          LowCardinality(String),
    event         LowCardinality(String),
    authenticated SimpleAggregateFunction(max, UInt8),
    received_at   SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (site, event)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS pharos.names_feed TO pharos.names SQL SECURITY DEFINER AS
SELECT site, event, max(kind = 'server' AND client_event_id != '') AS authenticated, max(l.received_at) AS received_at
FROM pharos.event_log AS l
GROUP BY site, event;

-- Events that a server sent with its token and that a browser may report too: the server's money and user win over any
-- browser's copy, in any order of arrival. Of several servers' copies the greatest version wins, as in event_log.
CREATE TABLE IF NOT EXISTS pharos.authenticated
(
    event_id    UUID CODEC(ZSTD(1)),
    site        LowCardinality(String),
    event       LowCardinality(String),
    version     UInt64 CODEC(Delta, ZSTD(1)),
    value       Decimal(18, 4) CODEC(ZSTD(1)),
    currency    LowCardinality(String),
    user_id     String CODEC(ZSTD(1)),
    is_bot      Bool,
    bot_reason  LowCardinality(String),
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY tuple()
ORDER BY (site, event, toDate(UUIDv7ToDateTime(event_id, 'UTC')), UUIDToNum(event_id))
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS pharos.authenticated_feed TO pharos.authenticated SQL SECURITY DEFINER AS
SELECT event_id, site, event, version, value, currency, user_id, is_bot, bot_reason, received_at
FROM pharos.event_log
WHERE kind = 'server' AND client_event_id != '';

-- What takes money back from an order: an event `refund`, or one with a negative value, that names the order's id.
CREATE TABLE IF NOT EXISTS pharos.refunds
(
    event_id      UUID CODEC(ZSTD(1)),
    site          LowCardinality(String),
    event         LowCardinality(String),
    order_id      String CODEC(ZSTD(1)),
    authenticated UInt8,
    is_bot        Bool,
    version       UInt64 CODEC(Delta, ZSTD(1)),
    value         Decimal(18, 4) CODEC(ZSTD(1)),
    currency      LowCardinality(String),
    received_at   DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (site, order_id, UUIDToNum(event_id))
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS pharos.refunds_feed TO pharos.refunds SQL SECURITY DEFINER AS
SELECT
    event_id, site, event,
    if(props['order_id'] != '', props['order_id'], client_event_id) AS order_id,
    kind = 'server' AS authenticated,
    is_bot,
    -- A server's copy wins: money is in question.
    if(kind = 'server', bitOr(version, bitShiftLeft(toUInt64(1), 63)), version) AS version,
    value, currency, received_at
FROM pharos.event_log AS l
WHERE (event = 'refund' OR l.value < 0) AND order_id != '';

-- Who is who: for a visitor the first user that any copy of an event names together with it, as (time, id, user).
CREATE TABLE IF NOT EXISTS pharos.identities
(
    site        LowCardinality(String),
    visitor_id  String CODEC(ZSTD(1)),
    first       SimpleAggregateFunction(min, Tuple(DateTime64(3, 'UTC'), FixedString(16), String)) CODEC(ZSTD(1)),
    received_at SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (site, visitor_id)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS pharos.identities_feed TO pharos.identities SQL SECURITY DEFINER AS
SELECT site, visitor_id, min((occurred_at, UUIDToNum(event_id), l.user_id)) AS first, max(l.received_at) AS received_at
FROM pharos.event_log AS l
WHERE l.user_id != '' AND visitor_id != '' AND NOT is_bot
GROUP BY site, visitor_id;

-- Who refused, and when last: a visitor id and nothing else. Lists of people leave it out.
CREATE TABLE IF NOT EXISTS pharos.refusals
(
    site        LowCardinality(String),
    visitor_id  String CODEC(ZSTD(1)),
    refused_at  SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    received_at SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (site, visitor_id)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS pharos.refusals_feed TO pharos.refusals SQL SECURITY DEFINER AS
SELECT site, visitor_id, max(occurred_at) AS refused_at, max(l.received_at) AS received_at
FROM pharos.event_log AS l
WHERE consent = 'refused' AND visitor_id != ''
GROUP BY site, visitor_id;

-- Erasures: `python -m sink erase` writes a row each time. It names no person.
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

-- The time zone of each site, as `sites.toml` has it: the sink writes it.
CREATE TABLE IF NOT EXISTS pharos.sites
(
    site      LowCardinality(String),
    time_zone LowCardinality(String),
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(stored_at)
ORDER BY site;

-- Closed days: the sessions and touches of days that are over, made once from their events by `python -m sink close`, and made
-- again when an event of such a day comes late. A day of a site is in use if closed_days has it and no row of late_rows is
-- newer: the views in 0003_sessions.sql cut all other days from the events. How: docs/sink.md.

-- Which days are closed. `generation`, from the highest bit: 42 a moment (ms since 1970) from which on late rows count
-- against it, 9 random, 13 the day. The greatest one of a day counts. A row here makes its rows in the tables below valid.
CREATE TABLE IF NOT EXISTS pharos.closed_days
(
    site       LowCardinality(String),
    day        Date,
    generation UInt64,
    made_at    DateTime DEFAULT now()
)
ENGINE = ReplacingMergeTree(generation)
ORDER BY (site, day);

-- Generations that were begun: those that never came to use, or no longer are, are deleted by this list.
CREATE TABLE IF NOT EXISTS pharos.closed_begun
(
    site       LowCardinality(String),
    day        Date,
    generation UInt64
)
ENGINE = MergeTree
ORDER BY (site, generation);

-- Sessions by the day of their start (UTC).
CREATE TABLE IF NOT EXISTS pharos.closed_sessions
(
    site       LowCardinality(String),
    day        Date CODEC(ZSTD(1)),
    generation UInt64 CODEC(Delta, ZSTD(1)),
    visitor_id String CODEC(ZSTD(1)),
    is_bot     Bool,
    session_id UUID CODEC(ZSTD(1)),
    started_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    lasted_ms  UInt32 CODEC(ZSTD(1)),
    entry_page String CODEC(ZSTD(1)),
    exit_page  String CODEC(ZSTD(1)),
    origin     LowCardinality(String),
    events     UInt32 CODEC(ZSTD(1)),
    value      Map(String, Decimal(38, 4)) CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (site, generation, started_at);

-- Touches that are no arrival of a session, by their day.
CREATE TABLE IF NOT EXISTS pharos.closed_touches
(
    site        LowCardinality(String),
    day         Date CODEC(ZSTD(1)),
    generation  UInt64 CODEC(Delta, ZSTD(1)),
    visitor_id  String CODEC(ZSTD(1)),
    user_id     String CODEC(ZSTD(1)),
    occurred_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    event_id    UUID CODEC(ZSTD(1)),
    kind        LowCardinality(String),
    source      LowCardinality(String),
    medium      LowCardinality(String),
    campaign    LowCardinality(String),
    channel     LowCardinality(String)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (site, generation, occurred_at);

-- Visitors without a pause for nearly a whole day next to this one: their sessions are cut from their events at every
-- question, and are not in the tables above.
CREATE TABLE IF NOT EXISTS pharos.closed_restless
(
    site       LowCardinality(String),
    day        Date,
    generation UInt64,
    visitor_id String
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (site, generation, visitor_id);

-- Events of closed days whose id does not say that day: order numbers, ids of wrong clocks. If such an id comes again, on
-- any day, this says which day's events change. `id` is a hash of 48 bits.
CREATE TABLE IF NOT EXISTS pharos.closed_ids
(
    site       LowCardinality(String),
    id         UInt64 CODEC(Delta, ZSTD(1)),
    day        Date CODEC(ZSTD(1)),
    generation UInt64 CODEC(ZSTD(1))
)
ENGINE = MergeTree
ORDER BY (site, id)
SETTINGS index_granularity = 512;

-- Rows stored when their day was over, or whose id may be that of an event of another day. `day`: a day whose sessions they
-- may change; 1970-01-01: none. `python -m sink close` deletes them when every day that they change was made again.
CREATE TABLE IF NOT EXISTS pharos.late_rows
(
    site LowCardinality(String),
    day  Date,
    id   UInt64,
    at   DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (site, day, id)
SETTINGS non_replicated_deduplication_window = 10000;

-- An event of today with an id of today changes no closed day, and makes no row here. Half an hour for clocks that differ.
-- A row with an id of its own may be a copy: of an event of the id's day, or of one that closed_ids knows.
CREATE MATERIALIZED VIEW IF NOT EXISTS pharos.late_feed TO pharos.late_rows AS
WITH
    toDate(l.occurred_at) AS own_day,
    toDate(UUIDv7ToDateTime(event_id, 'UTC')) AS id_day,
    l.occurred_at < toStartOfDay(now('UTC') - 1800) AS is_late,
    visitor_id != '' OR kind IN ('click', 'open') AS visits
SELECT
    site,
    arrayJoin(arrayDistinct([if(visits, own_day, toDate(0)), id_day])) AS day,
    bitShiftRight(sipHash64(event_id), 16) AS id,
    now64(3, 'UTC') AS at
FROM pharos.event_log AS l
WHERE (is_late AND (visits OR client_event_id != '')) OR (client_event_id != '' AND id_day != own_day);

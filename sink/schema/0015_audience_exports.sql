-- What was given away of people, without a word of whom: `python -m sink audience` writes a row each time.
CREATE TABLE IF NOT EXISTS pharos.audience_exports
(
    at       DateTime DEFAULT now() COMMENT 'when',
    site     LowCardinality(String) COMMENT 'site, as in events',
    audience LowCardinality(String) COMMENT 'name of the definition',
    target   LowCardinality(String) COMMENT 'csv or webhook',
    form     LowCardinality(String) COMMENT 'meta, google, tiktok or own',
    members  UInt64 COMMENT 'people in the audience then',
    added    UInt64 COMMENT 'of them new since the last run',
    gone     UInt64 COMMENT 'not in it any more',
    done_by  LowCardinality(String) DEFAULT currentUser() COMMENT 'user of ClickHouse'
)
ENGINE = MergeTree
ORDER BY at
COMMENT 'Audiences that were exported; who was in them is not kept';

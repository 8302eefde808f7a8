-- Exports of audiences: `python -m sink audience` writes a row each time. It names no person.
CREATE TABLE IF NOT EXISTS pharos.audience_exports
(
    at       DateTime DEFAULT now(),
    site     LowCardinality(String),
    audience LowCardinality(String),
    target   LowCardinality(String),
    form     LowCardinality(String),
    members  UInt64,
    added    UInt64,
    gone     UInt64,
    done_by  LowCardinality(String) DEFAULT currentUser()
)
ENGINE = MergeTree
ORDER BY at;

-- What the operator loads: costs of campaigns, and rates of exchange. Definitions in words and examples: docs/sql.md.

-- What a campaign cost on a day. The key is all but the figures: of rows with one key the one that was loaded last counts,
-- so a day that is loaded again replaces what was loaded before. Rows of one key are never added: a loader sums first.
-- `source`, `medium` and `campaign` are compared with those of `events` without regard to case.
CREATE TABLE IF NOT EXISTS pharos.costs
(
    site        LowCardinality(String) COMMENT 'site, as in events',
    day         Date COMMENT 'day of the advertising account',
    source      LowCardinality(String) COMMENT 'source that its visits have: google, facebook',
    medium      LowCardinality(String) COMMENT 'medium that its visits have: cpc, paid-social',
    campaign    LowCardinality(String) COMMENT 'campaign that its visits have: the utm_campaign of the ad''s link',
    cost        Decimal(18, 4) COMMENT 'what was spent on that day',
    currency    LowCardinality(String) COMMENT 'three letters: EUR',
    clicks      UInt64 COMMENT 'clicks, as the platform counts them',
    impressions UInt64 COMMENT 'times shown, as the platform counts them',
    loaded_at   DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'when the row was loaded: the last one counts',
    CONSTRAINT named CHECK site != '' AND source != '',
    CONSTRAINT currency CHECK match(currency, '^[A-Z]{3}$'),
    CONSTRAINT day CHECK day >= '2000-01-01'
)
ENGINE = ReplacingMergeTree(loaded_at)
ORDER BY (site, day, source, medium, campaign, currency)
COMMENT 'What campaigns cost by day; loaded by the operator';

-- Rates of exchange: on `day` and until the next one, `rate` units of `into` are worth one unit of `currency`.
CREATE TABLE IF NOT EXISTS pharos.rates
(
    day       Date COMMENT 'first day on which the rate applies',
    currency  LowCardinality(String) COMMENT 'from: USD',
    into      LowCardinality(String) COMMENT 'to: EUR',
    rate      Float64 COMMENT 'units of `into` for one unit of `currency`',
    loaded_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'when the row was loaded: the last one counts',
    CONSTRAINT currency CHECK match(currency, '^[A-Z]{3}$') AND match(into, '^[A-Z]{3}$'),
    CONSTRAINT rate CHECK rate > 0 AND isFinite(rate)
)
ENGINE = ReplacingMergeTree(loaded_at)
ORDER BY (currency, into, day)
COMMENT 'Rates of exchange; loaded by the operator';

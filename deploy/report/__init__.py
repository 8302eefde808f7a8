"""The report: a static page (built from src/ into dist/) that asks ClickHouse as the user who opens it."""

"""SQL files: split into statements, and rewritten for a cluster."""

import re

import pytest

from sink import migrations
from sink.sql_text import for_cluster, split


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("", []),
        ("-- only a comment;\n", []),
        ("/* only\n a comment; */\n;", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;\nSELECT 2;", ["SELECT 1", "SELECT 2"]),
        ("SELECT 1;  -- the end\nSELECT 2;\r\n", ["SELECT 1", "-- the end\nSELECT 2"]),
        ("SELECT ';\n', 2;\nSELECT 3", ["SELECT ';\n', 2", "SELECT 3"]),
        ("SELECT 'it''s;\n';\nSELECT 2", ["SELECT 'it''s;\n'", "SELECT 2"]),
        (r"SELECT 'a\';" + "\n" + "b';\nSELECT 2", [r"SELECT 'a\';" + "\nb'", "SELECT 2"]),
        ('SELECT 1 AS "a;\nb";\nSELECT 2', ['SELECT 1 AS "a;\nb"', "SELECT 2"]),
        ("SELECT 1 AS `a;\nb`;\nSELECT 2", ["SELECT 1 AS `a;\nb`", "SELECT 2"]),
        ("SELECT 1 -- not here;\n+ 1;\nSELECT 2", ["SELECT 1 -- not here;\n+ 1", "SELECT 2"]),
        ("SELECT 1 /* nor here;\n */ + 1;\nSELECT 2", ["SELECT 1 /* nor here;\n */ + 1", "SELECT 2"]),
        ("SELECT 1; SELECT 2;\nSELECT 3;", ["SELECT 1; SELECT 2", "SELECT 3"]),
        ("CREATE VIEW v AS SELECT {site:String};\n", ["CREATE VIEW v AS SELECT {site:String}"]),
    ],
)
def test_where_a_statement_ends(text: str, statements: list[str]) -> None:
    assert split(text) == statements


ON = "ON CLUSTER 'main'"


@pytest.mark.parametrize(
    ("statement", "rewritten"),
    [
        ("SELECT 1", "SELECT 1"),
        ("INSERT INTO pharos.t SELECT 1", "INSERT INTO pharos.t SELECT 1"),
        ("CREATE DATABASE IF NOT EXISTS pharos", f"CREATE DATABASE IF NOT EXISTS pharos {ON}"),
        ("CREATE VIEW pharos.v AS SELECT 1", f"CREATE VIEW pharos.v {ON} AS SELECT 1"),
        ("CREATE OR REPLACE VIEW pharos.v AS SELECT 1", f"CREATE OR REPLACE VIEW pharos.v {ON} AS SELECT 1"),
        ("CREATE FUNCTION IF NOT EXISTS f AS x -> x", f"CREATE FUNCTION IF NOT EXISTS f {ON} AS x -> x"),
        ("CREATE OR REPLACE FUNCTION f AS x -> x", f"CREATE OR REPLACE FUNCTION f {ON} AS x -> x"),
        ("-- why\nDROP TABLE IF EXISTS pharos.t", f"-- why\nDROP TABLE IF EXISTS pharos.t {ON}"),
        ("ALTER TABLE pharos.t ADD COLUMN a UInt8", f"ALTER TABLE pharos.t {ON} ADD COLUMN a UInt8"),
        ("CREATE ROLE IF NOT EXISTS pharos_analyst", f"CREATE ROLE IF NOT EXISTS pharos_analyst {ON}"),
        (
            "CREATE TABLE IF NOT EXISTS pharos.t (a UInt8) ENGINE = MergeTree ORDER BY a",
            f"CREATE TABLE IF NOT EXISTS pharos.t {ON} (a UInt8) "
            "ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/pharos/t', '{replica}') ORDER BY a",
        ),
        (
            "CREATE TABLE pharos.t (a UInt8) ENGINE = ReplacingMergeTree(version)\n"
            "SETTINGS non_replicated_deduplication_window = 10000",
            f"CREATE TABLE pharos.t {ON} (a UInt8) "
            "ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/pharos/t', '{replica}', version)\n"
            "SETTINGS replicated_deduplication_window = 10000",
        ),
        ("CREATE TABLE pharos.t (a UInt8) ENGINE = Null", f"CREATE TABLE pharos.t {ON} (a UInt8) ENGINE = Null"),
    ],
)
def test_a_cluster_gets_every_statement(statement: str, rewritten: str) -> None:
    assert for_cluster(statement, "main") == rewritten
    assert for_cluster(statement, "") == statement


def test_every_statement_of_every_migration_is_rewritten_for_the_cluster() -> None:
    for migration in migrations.load():
        for statement in migration.statements("main"):
            if re.match(r"(--[^\n]*\n)*INSERT", statement):  # replication carries rows
                assert ON not in statement
                continue
            assert ON in statement, f"{migration.name}: {statement[:200]}"
            assert "ENGINE = MergeTree" not in statement
            assert "= ReplacingMergeTree" not in statement

"""A table filled before migration 0007 gives the same sessions and touches after it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clickhouse import ClickHouse
from tests.sql.page import rows
from tests.sql.warehouse import Warehouse

QUESTIONS = (
    "SELECT toString(tuple(* EXCEPT (value))) AS row, value FROM pharos.sessions ORDER BY row",
    "SELECT toString(tuple(*)) AS row FROM pharos.touches ORDER BY row",
)


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Warehouse]:
    """The schema of the first six migrations, in a ClickHouse of its own."""
    endpoint = ClickHouse(tmp_path)
    endpoint.start()
    found = Warehouse(endpoint.client())
    found.apply_schema(until=6)
    yield found
    endpoint.kill()


def test_a_filled_table_answers_as_before(old: Warehouse) -> None:
    month = b"".join(rows())

    def tell() -> None:
        old.client.raw_insert("pharos.event_log", insert_block=month, fmt="JSONCompactEachRow")

    tell()
    tell()  # every event twice: FINAL has something to do
    before = [old.rows(question) for question in QUESTIONS]
    assert all(len(answer) > 1000 for answer in before)
    old.apply_schema(since=7)
    assert [old.rows(question) for question in QUESTIONS] == before
    old.client.command("ALTER TABLE pharos.event_log MATERIALIZE COLUMN visit_code SETTINGS mutations_sync = 2")
    tell()  # rows from before and after, side by side
    assert [old.rows(question) for question in QUESTIONS] == before

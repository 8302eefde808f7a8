"""The tables that ClickHouse fills from event_log: an insert that ended half-way reaches them when it is repeated."""

import sys
from collections.abc import Callable

import pytest

from sink import clickhouse
from sink.clickhouse import FED_TABLES
from sink.settings import read
from tests.clickhouse import ClickHouse
from tests.processes import Program
from tests.sink.conftest import ROOT
from tests.sink.rows import row

FIELDS = {
    "authenticated": row(1, user_id="anna", value="5").replace(b'"pageview","tag"', b'"purchase","server"'),
    "refunds": row(2, value="-5"),
    "identities": row(3, visitor_id="v3", user_id="anna"),
    "refusals": row(4, visitor_id="v4", consent="refused"),
    "names": row(5).replace(b'"pageview"', b'"seen once"'),
}


@pytest.fixture
def fresh(storage: ClickHouse, start: Callable[..., Program]) -> ClickHouse:
    """A ClickHouse with our schema and no rows."""
    client = storage.client()
    client.command("DROP DATABASE IF EXISTS pharos")
    client.close()
    program = start([sys.executable, "-m", "sink", "migrate"], env={"PHAROS_SINK_CLICKHOUSE": storage.url}, cwd=ROOT)
    assert program.wait(60) == 0, program.output()
    return storage


def test_every_fed_table_is_known() -> None:
    assert {f"pharos.{name}" for name in FIELDS} == set(FED_TABLES)


async def test_a_repeated_insert_reaches_the_table_that_the_first_one_missed(fresh: ClickHouse) -> None:
    connection = await clickhouse.connect(read({"PHAROS_SINK_CLICKHOUSE": fresh.url}))

    async def count(table: str) -> int:
        return int((await connection.query(f"SELECT count() FROM pharos.{table}")).result_rows[0][0])

    try:
        for number, (table, body) in enumerate(FIELDS.items(), 1):
            await connection.command(f"RENAME TABLE pharos.{table} TO pharos.away")
            with pytest.raises((clickhouse.Retry, clickhouse.Stop)):
                await clickhouse.insert(connection, body, f"token {table}")
            await connection.command(f"RENAME TABLE pharos.away TO pharos.{table}")
            before = await count(table)
            for _ in range(2):
                await clickhouse.insert(connection, body, f"token {table}")
            assert await count("event_log") == number
            assert await count(table) == before + 1
    finally:
        await connection.close()

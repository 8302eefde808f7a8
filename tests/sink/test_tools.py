"""The sink's tools: erase and reconcile; the SQL files for rights and shards; the tables fed from event_log."""

import asyncio
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sink import clickhouse
from sink.clickhouse import FED_TABLES
from sink.commands.erase import Target, condition
from sink.settings import read
from sink.sql_text import split
from tests.clickhouse import ClickHouse
from tests.enricher.stream.test_stream import delete_before
from tests.processes import Program
from tests.sink.conftest import ROOT, Bench
from tests.sink.kafka import send
from tests.sink.rows import BAD, NOVEMBER_MS, row
from tests.waiting import until

RIGHTS = ROOT / "deploy" / "clickhouse"


@pytest.mark.parametrize("file", sorted(RIGHTS.glob("*.sql")), ids=lambda file: file.name)
def test_clickhouse_understands_every_statement(file: Path, storage: ClickHouse) -> None:
    """Access management is not in chDB; its parser is."""
    text = file.read_text().replace("{cluster}", "main")
    client = storage.client()
    names = set(re.findall(r"{(\w+):String}", text))
    for statement in split(text):
        client.query(f"EXPLAIN AST {statement}", parameters=dict.fromkeys(names, "secret"))
    client.close()


def test_a_site_lives_on_one_shard() -> None:
    """Otherwise copies of an event or touches of a person would lie on several, and each shard would answer in part."""
    text = (RIGHTS / "distributed.sql").read_text()
    assert "Distributed('{cluster}', pharos, event_rows, cityHash64(site))" in text


def test_conditions_name_the_site_and_bind_what_was_given() -> None:
    for whom in (Target("shop", visitor="v' OR 1"), Target("shop", user="v' OR 1"), Target("shop", user="u")):
        where, parameters = condition(whom, [])
        assert where.startswith("site = {site:String} AND ")
        assert "OR 1" not in where
        assert parameters["site"] == "shop"


async def test_erasing_a_visitor_a_user_and_what_is_old(
    storage: ClickHouse, start: Callable[..., Program], tmp_path: Path
) -> None:
    def sink(*arguments: str) -> str:
        program = start(
            [sys.executable, "-m", "sink", *arguments], env={"PHAROS_SINK_CLICKHOUSE": storage.url}, cwd=ROOT
        )
        assert program.wait(60) == 0, program.output()
        return program.output()

    client = storage.client()
    rows = [
        row(number, visitor_id=f"v{number % 10}", user_id="anna" if number % 10 == 3 and number < 50 else "")
        for number in range(100)
    ]
    rows[3] = row(3, visitor_id="v3", user_id="anna", is_bot=False)
    rows += [row(number, site="blog", visitor_id="v1") for number in range(100, 110)]
    # What ClickHouse copies into other tables: an order of hers, a refund, a name, a refusal; and she was Berta later.
    order = row(200, user_id="anna", value="5").replace(b'"pageview","tag"', b'"purchase","server"')
    refund = row(201, user_id="anna", visitor_id="v3", value="-5").replace(b'"pageview"', b'"refund"')
    rows += [order, refund, row(202, visitor_id="v3", user_id="berta", at_ms=NOVEMBER_MS + 9_000_000)]
    rows += [row(203, visitor_id="v1", consent="refused", at_ms=NOVEMBER_MS)]
    rows += [row(number, at_ms=NOVEMBER_MS - 90 * 86_400_000, visitor_id="old") for number in range(110, 120)]
    client.raw_insert(
        "pharos.event_log",
        insert_block=b"".join(rows),
        fmt="JSONCompactEachRow",
        settings={"input_format_json_compact_allow_variable_number_of_columns": 1},
    )

    def left(where: str) -> int:
        return int(client.query(f"SELECT count() FROM pharos.event_log WHERE {where}").result_rows[0][0])

    def fed() -> tuple[str, ...]:
        tables = ("authenticated", "refunds", "identities", "refusals", "rare_events")
        return tuple(str(client.query(f"SELECT * FROM pharos.{table} FINAL").result_rows) for table in tables)

    own = ("anna", "-5", "anna", "v1", "anna")
    assert [text in rows_of for text, rows_of in zip(own, fed(), strict=True)] == [True] * 5
    assert "proof: 0 rows" in await asyncio.to_thread(sink, "erase", "--site", "shop", "--visitor", "v1")
    assert (left("visitor_id = 'v1'"), left("1")) == (10, 113)
    assert "v1" not in fed()[3]
    text = await asyncio.to_thread(sink, "erase", "--site", "shop", "--user", "anna")
    assert "seen as 1 visitor(s)" in text
    assert "hits.raw" in text
    assert (left("user_id = 'anna'"), left("visitor_id = 'v3'")) == (0, 6)
    assert (fed()[0], fed()[1], fed()[4]) == ("[]", "[]", "[]")
    assert "anna" not in fed()[2]
    assert "berta" in fed()[2]  # named by an event that is still there
    await asyncio.to_thread(sink, "erase", "--site", "shop", "--before", "2026-11-01")
    assert (left("visitor_id = 'old'"), left("1")) == (0, 96)
    audit = client.query("SELECT site, what, events, left FROM pharos.erasures ORDER BY events, what").result_rows
    assert audit == [("shop", "user", 7, 0), ("shop", "before", 10, 0), ("shop", "visitor", 11, 0)]
    everything = str(client.query("SELECT * FROM pharos.erasures").result_rows)
    assert "anna" not in everything
    assert "v1" not in everything
    client.close()


async def test_reconcile_tells_missing_doubled_and_refused(bench: Bench) -> None:
    rows = [row(number) for number in range(400)]
    rows[7] = BAD
    await send(bench.broker.bootstrap, bench.enriched, rows)
    sink = bench.sink()
    await until(lambda: asyncio.to_thread(lambda: bench.count() == (399, 399)), "399 rows")
    await until(lambda: asyncio.to_thread(lambda: bench.lag(sink) == 0), "all committed")
    assert await asyncio.to_thread(sink.terminate) == 0

    def reconcile() -> tuple[int, list[str]]:
        program = bench.sink("reconcile", "--since", "2020-01-01T00:00:00Z")
        code = program.wait(60)
        return code, program.output().replace(",", "").splitlines()[-1].split()

    assert await asyncio.to_thread(reconcile) == (0, ["all", "400", "399", "1", "0", "0"])
    client = bench.storage.client()
    gone = "ALTER TABLE pharos.event_log DELETE WHERE client_event_id IN ('1', '2', '3')"
    client.command(gone, settings={"mutations_sync": 2})
    client.command("SYSTEM STOP MERGES pharos.event_log")  # which would do away with the double
    settings = {"input_format_json_compact_allow_variable_number_of_columns": 1}
    client.raw_insert("pharos.event_log", insert_block=rows[0], fmt="JSONCompactEachRow", settings=settings)
    client.close()
    assert await asyncio.to_thread(reconcile) == (1, ["all", "400", "396", "1", "3", "1"])


async def test_records_that_are_gone_before_they_were_stored_are_counted_and_reconciled(kafka_bench: Bench) -> None:
    bench = kafka_bench

    async def stored(rows: int) -> None:
        sink = bench.sink()
        await until(lambda: asyncio.to_thread(lambda: bench.count() == (rows, rows)), f"{rows} rows")
        await until(lambda: asyncio.to_thread(lambda: bench.lag(sink) == 0), "all committed")
        url = f"http://127.0.0.1:{bench.ports[sink.pid]}/metrics"
        counted.append(next(line for line in bench.get(url)[1].splitlines() if line.startswith(LOST)))
        assert await asyncio.to_thread(sink.terminate) == 0

    counted: list[str] = []
    await send(bench.broker.bootstrap, bench.enriched, [row(number) for number in range(40)])
    await stored(40)
    await send(bench.broker.bootstrap, bench.enriched, [row(number) for number in range(40, 80)])
    await delete_before(bench.broker, bench.enriched, 17)
    await stored(73)
    await stored(73)
    assert counted == [f"{LOST} 0.0", f"{LOST} 7.0", f"{LOST} 0.0"]
    program = bench.sink("reconcile", "--since", "2000-01-01")
    assert await asyncio.to_thread(program.wait, 60) == 1
    assert f"lost: 7 records of {bench.enriched}, partition 0, from offset 10" in program.output()


LOST = "pharos_sink_lost_records_total"


FIELDS = {
    "authenticated": row(1, user_id="anna", value="5").replace(b'"pageview","tag"', b'"purchase","server"'),
    "rare_events": row(6).replace(b'"pageview"', b'"signup"'),
    "refunds": row(2, value="-5"),
    "identities": row(3, visitor_id="v3", user_id="anna"),
    "refusals": row(4, visitor_id="v4", consent="refused"),
    "names": row(5).replace(b'"pageview"', b'"seen once"'),
}


@pytest.fixture
def fresh(storage_process: ClickHouse) -> ClickHouse:
    """A ClickHouse with our schema and no rows, even after a test that changed the schema."""
    storage_process.begin_again()
    return storage_process


def test_every_fed_table_is_known() -> None:
    assert {f"pharos.{name}" for name in FIELDS} == set(FED_TABLES)


async def test_a_repeated_insert_reaches_the_table_that_the_first_one_missed(fresh: ClickHouse) -> None:
    connection = await clickhouse.connect(read({"PHAROS_SINK_CLICKHOUSE": fresh.url}))

    async def count(table: str) -> int:
        # FINAL: rows of one key are one row, merged yet or not.
        return int((await connection.query(f"SELECT count() FROM pharos.{table} FINAL")).result_rows[0][0])

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


async def test_a_repeated_insert_adds_the_month_that_the_first_one_missed(fresh: ClickHouse) -> None:
    connection = await clickhouse.connect(read({"PHAROS_SINK_CLICKHOUSE": fresh.url}))
    october = b"".join(row(number, at_ms=NOVEMBER_MS - 40 * 86_400_000) for number in range(3))
    november = b"".join(row(number) for number in range(3, 7))
    try:
        await clickhouse.insert(connection, october, "one token")  # as far as the first attempt came
        for _ in range(2):
            await clickhouse.insert(connection, october + november, "one token")
        await clickhouse.insert(connection, october, "another token")
        months = "SELECT toMonth(received_at) AS m, count() FROM pharos.event_log GROUP BY m ORDER BY m"
        assert (await connection.query(months)).result_rows == [(10, 6), (11, 4)]
    finally:
        await connection.close()


async def test_an_insert_that_no_view_hands_on_stops_the_sink_and_is_repeated_later(fresh: ClickHouse) -> None:
    connection = await clickhouse.connect(read({"PHAROS_SINK_CLICKHOUSE": fresh.url}))
    (view,) = (await connection.query("SHOW CREATE TABLE pharos.event_rows_feed")).result_rows[0]
    body = b"".join(map(row, range(3)))
    try:
        await connection.command("DROP VIEW pharos.event_rows_feed")
        with pytest.raises(clickhouse.Stop, match="event_rows_feed"):
            await clickhouse.insert(connection, body, "a token")
        await connection.command(view)
        for _ in range(2):
            await clickhouse.insert(connection, body, "a token")
        assert (await connection.query("SELECT count() FROM pharos.event_log")).result_rows == [(3,)]
    finally:
        await connection.close()

"""Migrations: once, in order, alone, checksummed."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from clickhouse_connect.driver.exceptions import OperationalError

from enricher.contract import COLUMNS
from sink import clickhouse, migrations, run
from sink.clickhouse import Connection, Stop
from sink.migrations import Migration, load, outstanding
from sink.probe_row import ROW
from sink.settings import Settings
from tests.clickhouse import ClickHouse
from tests.processes import Program
from tests.sink.conftest import ROOT


def files(*texts: str) -> list[Migration]:
    return [Migration(number, f"{number:04}_m", text) for number, text in enumerate(texts, 1)]


def as_applied(*migrations: Migration) -> dict[int, tuple[str, str]]:
    return {one.number: (one.name, one.checksum) for one in migrations}


def test_what_is_outstanding() -> None:
    one, two, three = files("a", "b", "c")
    assert outstanding([one, two, three], {}) == [one, two, three]
    assert outstanding([one, two, three], as_applied(one, two)) == [three]
    assert outstanding([one], as_applied(one)) == []


def test_an_edited_file_stops_the_start() -> None:
    one, two = files("a", "b")
    with pytest.raises(Stop, match=r"schema/0001_m\.sql was edited"):
        outstanding([Migration(1, "0001_m", "A"), two], as_applied(one))


def test_an_older_sink_runs_on_a_newer_database() -> None:
    one, two = files("a", "b")
    assert outstanding([one], as_applied(one, two)) == []


def test_line_ends_of_the_checkout_do_not_matter() -> None:
    assert Migration(1, "m", "a\r\nb\r\n").checksum == Migration(1, "m", "a\nb\n").checksum


@pytest.mark.parametrize(
    "names", [["0002_b.sql"], ["0001_a.sql", "0003_c.sql"], ["0001_a.sql", "0001_b.sql"], ["1_a.sql"]]
)
def test_numbers_have_no_gaps_and_names_have_a_form(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1;\n")
    with pytest.raises(Stop):
        load(tmp_path)


def test_a_view_that_several_migrations_make_again_is_made_by_the_last(tmp_path: Path) -> None:
    inner, outer = "CREATE OR REPLACE VIEW pharos.a AS\nSELECT {}", "CREATE OR REPLACE VIEW pharos.b AS\nFROM pharos.a"
    texts = {"0001_b.sql": f"{inner.format(1)};\n{outer};\n", "0002_a.sql": f"{inner.format(2)};\n"}
    for name, text in (texts | {"0003_a.sql": f"{inner.format(3)};\n"}).items():
        (tmp_path / name).write_text(text)
    first, second, third = load(tmp_path)
    made_again = [outer.replace("pharos.a", f"(SELECT {number})") for number in (2, 3)]
    assert len(first.statements("", [second, third])) == 2, "what a file itself makes is always made"
    assert second.statements("", [third]) == [inner.format(2)]
    assert second.statements("") == [inner.format(2), made_again[0]]
    assert third.statements("") == [inner.format(3), made_again[1]]


async def connection(storage: ClickHouse) -> Connection:
    return await clickhouse.connect(Settings(clickhouse=storage.url))


async def test_many_that_start_together_apply_each_once(bare_storage: ClickHouse, tmp_path: Path) -> None:
    (tmp_path / "0001_event_log.sql").write_text((migrations.FOLDER / "0001_event_log.sql").read_text())
    (tmp_path / "0002_count.sql").write_text(
        "CREATE TABLE IF NOT EXISTS pharos.counted (n UInt8) ENGINE = MergeTree ORDER BY n;\n"
        "INSERT INTO pharos.counted SETTINGS async_insert = 0 VALUES (1);\n"
    )
    sinks = [await connection(bare_storage) for _ in range(4)]
    try:
        names: list[str] = []
        await asyncio.gather(*(migrations.apply(one, folder=tmp_path, tell=names.append) for one in sinks))
        assert names == ["0001_event_log", "0002_count"]
        assert (await sinks[0].query("SELECT count() FROM pharos.counted")).result_rows == [(1,)]
        assert await migrations.applied(sinks[0]) == as_applied(*load(tmp_path))
        locks = "SELECT count() FROM system.tables WHERE database = 'pharos' AND startsWith(name, 'migration_lock')"
        assert (await sinks[0].query(locks)).result_rows == [(0,)]
        assert await migrations.apply(sinks[0], folder=tmp_path) == []
    finally:
        for one in sinks:
            await one.close()


async def test_a_sink_that_dies_between_any_two_migrations_loses_nothing(
    bare_storage: ClickHouse, storage: ClickHouse
) -> None:
    one, whole = await connection(bare_storage), await connection(storage)
    views = (
        "SELECT name, create_table_query FROM system.tables WHERE database = 'pharos' AND engine = 'View' ORDER BY name"
    )

    def die(name: str) -> None:
        raise RuntimeError(name)

    try:
        for migration in load():
            with pytest.raises(RuntimeError, match=migration.name):
                await migrations.apply(one, tell=die)
        assert await migrations.apply(one) == []
        assert (await one.query(views)).result_rows == (await whole.query(views)).result_rows
    finally:
        await one.close()
        await whole.close()


async def test_a_dead_sinks_lock_is_taken_away(bare_storage: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    one = await connection(bare_storage)
    try:
        await one.command("CREATE DATABASE pharos")
        await one.command("CREATE TABLE pharos.migration_lock_dead (held UInt8) ENGINE = Null")
        waited = 0

        async def sleep(_: float) -> None:
            nonlocal waited
            waited += 1
            monkeypatch.setattr(migrations, "LOCK_STALE_S", -3600)  # time passes

        assert len(await migrations.apply(one, sleep=sleep)) == len(load())
        assert waited == 1
        locks = "SELECT count() FROM system.tables WHERE database = 'pharos' AND startsWith(name, 'migration_lock')"
        assert (await one.query(locks)).result_rows == [(0,)]
    finally:
        await one.close()


async def test_the_tables_have_the_contracts_columns_in_its_order(storage: ClickHouse) -> None:
    one = await connection(storage)
    try:
        assert await migrations.apply(one) == []
        kinds = {}
        for table in ("event_log", "event_rows", "event_rows_feed", "event_probe"):
            found = await one.query(
                "SELECT name, type FROM system.columns WHERE database = 'pharos' AND table = {table:String} "
                "AND default_kind != 'MATERIALIZED'",  # they are never sent
                {"table": table},
            )
            assert tuple(name for name, _ in found.result_rows) == COLUMNS
            kinds[table] = [kind.replace("LowCardinality(String)", "String") for _, kind in found.result_rows]
        assert kinds["event_log"] == kinds["event_rows"] == kinds["event_rows_feed"] == kinds["event_probe"]
    finally:
        await one.close()


async def test_how_long_events_are_kept_follows_the_setting(storage: ClickHouse) -> None:
    one = await connection(storage)
    engine = "SELECT engine_full FROM system.tables WHERE database = 'pharos' AND name = 'event_log'"
    try:
        assert [await migrations.keep_for(one, days) for days in (0, 365, 365, 30, 0, 0)] == [
            False, True, False, True, True, False,
        ]  # fmt: skip
        await migrations.keep_for(one, 365)
        assert "toIntervalDay(365)" in str((await one.query(engine)).result_rows)
    finally:
        await one.close()


async def test_inserts_make_no_statistics(storage: ClickHouse) -> None:
    one = await connection(storage)
    made = (
        "SELECT table, countIf(notEmpty(statistics)) FROM system.parts_columns WHERE database = 'pharos' AND active "
        "AND table IN ('event_log', 'names') GROUP BY table ORDER BY table"
    )
    try:
        for table in ("event_log", "names"):
            await one.command(f"ALTER TABLE pharos.{table} RESET SETTING auto_statistics_types")
        assert await migrations.without_statistics(one)
        assert not await migrations.without_statistics(one)
        for _ in range(2):
            await clickhouse.insert(one, ROW, None)
        for table in ("event_log", "names"):
            await one.command(f"OPTIMIZE TABLE pharos.{table} FINAL")
        assert (await one.query(made)).result_rows == [("event_log", 0), ("names", 0)]
    finally:
        await one.close()


async def test_a_clickhouse_that_knows_no_such_statistics_is_left_alone(storage: ClickHouse) -> None:
    one = await connection(storage)
    asked: list[str] = []

    class Older:
        """A ClickHouse before 25.10."""

        async def query(self, query: str, parameters: dict[str, object] | None = None) -> Any:
            return await one.query(query, parameters)

        async def command(self, cmd: str, *others: object, **named: object) -> Any:
            asked.append(cmd)
            return await one.command(cmd.replace("auto_statistics_types", "auto_statistics_of_old"))

    try:
        await one.command("ALTER TABLE pharos.names RESET SETTING auto_statistics_types")
        assert not await migrations.without_statistics(cast("clickhouse.Connection", Older()))
        assert len(asked) == 1
    finally:
        await one.close()


def test_the_command_shows_and_applies(bare_storage: ClickHouse, start: Callable[..., Program]) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "sink", "migrate", *arguments]
        program = start(command, env={"PHAROS_SINK_CLICKHOUSE": bare_storage.url}, cwd=ROOT)
        return program.wait(60), program.output()

    code, text = run("--dry-run")
    assert code == 0
    assert "CREATE TABLE IF NOT EXISTS pharos.event_log" in text
    assert f"-- {len(load())} to apply" in text
    code, text = run()
    assert code == 0
    assert text.splitlines() == [*(f"applied {one.name}" for one in load()), f"{len(load())} applied"]
    assert run() == (0, "0 applied\n")


@pytest.mark.parametrize("migrate", [True, False])
async def test_a_clickhouse_that_goes_away_under_the_migrations_is_waited_for(
    migrate: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone:
        """A connection whose server has ended since it was made."""

        closed = False

        async def command(self, cmd: str, **_: object) -> None:
            raise OperationalError("Network Error: Connect call failed")

        query = command

        async def close(self) -> None:
            self.closed = True

    gone = Gone()

    async def connect(settings: Settings, timeout_s: float | None = None) -> Gone:
        return gone

    monkeypatch.setattr(clickhouse, "connect", connect)
    with pytest.raises(clickhouse.Retry, match="Connect call failed"):
        await run.prepared(Settings(migrate=migrate))
    assert gone.closed


async def test_a_migration_may_take_longer_than_an_insert(storage: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may copy all that is stored. The connection for inserts has their own limit."""
    apply = migrations.apply

    async def slow(connection: Connection, **given: Any) -> list[Migration]:
        await connection.query("SELECT sleep(1.5)")
        return await apply(connection, **given)

    monkeypatch.setattr(migrations, "apply", slow)
    own = await run.prepared(Settings(clickhouse=storage.url, insert_timeout_s=1))
    try:
        with pytest.raises(OperationalError):
            await own.query("SELECT sleep(1.5)")
    finally:
        await own.close()

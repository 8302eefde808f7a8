"""Each role of sink/users.sql can do its work, and no more: enforced by ClickHouse's own access control."""

import hashlib
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from sink import clickhouse, migrations
from sink.clickhouse import Stop
from sink.closed_days import Closer
from sink.commands.users import USERS, read_passwords, statements
from sink.settings import read
from tests.clickhouse import ClickHouse
from tests.processes import Program
from tests.sink.conftest import ROOT
from tests.sink.rights.limited_clickhouse import LimitedClickHouse, grants, limits
from tests.sink.rows import row

DENIED = 497
CONSTRAINT = 452
READONLY = 164


def test_without_a_users_password_there_is_no_such_user_and_the_role_is_there_all_the_same() -> None:
    text = "\n".join(statements({"sink": "s3cret"}))
    assert "CREATE USER IF NOT EXISTS sink " in text
    assert not re.search(r"\b(migrator|analyst|eraser) IDENTIFIED", text)
    assert "TO analyst" not in text
    assert "CREATE ROLE IF NOT EXISTS pharos_analyst" in text
    assert "{" not in text


def test_a_password_is_sent_as_a_salted_hash() -> None:
    text = "\n".join(statements({"sink": "s3cret"}))
    assert "s3cret" not in text
    digest, salt = re.findall(r"BY '(\w{64})' SALT '(\w+)'", text)[0]
    assert hashlib.sha256(f"s3cret{salt}".encode()).hexdigest() == digest


def test_on_a_cluster_every_node_gets_the_rights() -> None:
    for statement in statements(dict.fromkeys(USERS, "secret"), "main"):
        assert "ON CLUSTER 'main'" in statement.splitlines()[0], statement


def test_passwords_are_read_from_a_folder(tmp_path: Path) -> None:
    with pytest.raises(Stop, match="no sink_password"):
        read_passwords([tmp_path])
    (tmp_path / "sink_password").write_text("one\n")
    (tmp_path / "more").mkdir()
    (tmp_path / "more/eraser_password").write_text("two")
    assert read_passwords([tmp_path, tmp_path / "more"]) == {"sink": "one", "eraser": "two"}
    (tmp_path / "analyst_password").write_text("\n")
    with pytest.raises(Stop, match="analyst_password is empty"):
        read_passwords([tmp_path])


def code(client: object, sql: str) -> int:
    """Return ClickHouse's number of the error; 0 where there is none."""
    try:
        client.command(sql)  # type: ignore[attr-defined]
    except DatabaseError as error:
        return error.code or 0
    return 0


async def test_each_role_does_its_work_and_no_more(tmp_path: Path, start: Callable[..., Program]) -> None:
    storage = LimitedClickHouse(tmp_path)
    env = {"PHAROS_SINK_CLICKHOUSE": storage.url, "PHAROS_SINK_RETENTION_DAYS": "400"}

    def command(*arguments: str) -> Program:
        program = start([sys.executable, "-m", "sink", *arguments], env=env, cwd=ROOT)
        program.wait(120)
        return program

    try:
        storage.as_role("pharos_sink")
        assert command("migrate").wait(1) == 1, "the sink changes no schema"
        storage.as_role("pharos_migrator")
        migrated = command("migrate")
        assert migrated.wait(1) == 0, migrated.output()

        # A view runs with the rights of who made it. In this engine that is `default`: say that it was the migrator.
        storage.as_role("")
        client = storage.client()
        for migration in migrations.load():
            for statement in migration.statements(""):
                if "SQL SECURITY DEFINER" in statement:
                    if made := re.search(r"CREATE MATERIALIZED VIEW IF NOT EXISTS (\S+)", statement):
                        client.command(f"DROP VIEW {made[1]}")
                    client.command(statement.replace("SQL SECURITY DEFINER", "DEFINER = migrator SQL SECURITY DEFINER"))
        client.close()

        storage.as_role("pharos_sink")
        connection = await clickhouse.connect(read(env))
        await clickhouse.insert(connection, row(1, visitor_id="v1", ip="192.0.2.1"), "token")
        await clickhouse.insert(connection, row(1), None, clickhouse.PROBE_TABLE)
        await migrations.applied(connection)
        closed = await Closer(connection, settle_ms=0, keep_ms=0).run()
        assert closed.closed
        await connection.close()
        client = storage.client()
        assert code(client, "SELECT url FROM pharos.event_log") == DENIED
        assert code(client, "DROP TABLE pharos.event_log") == DENIED
        client.close()

        storage.as_role("pharos_analyst")
        _the_analyst_reads_within_limits(storage)

        storage.as_role("pharos_eraser")
        client = storage.client()
        assert code(client, "SELECT ip FROM pharos.event_log") == DENIED
        assert code(client, "INSERT INTO pharos.event_log (site) VALUES ('x')") == DENIED
        client.close()
        erased = command("erase", "--site", "shop", "--visitor", "v1")
        assert erased.wait(1) == 0, erased.output()
        assert "1 rows of pharos.event_log to delete" in erased.output()
    finally:
        storage.kill()


GIVEN = {
    "site": "'shop'", "before": "'2026-11-21'", "since": "'2026-11-22'", "until": "'2026-11-23'", "tz": "'UTC'",
    "at": "'2026-11-22 09:00:00'", "seconds": "60", "event": "'pageview'", "conversion": "'pageview'",
    "goals": "'pageview'", "steps": "'pageview,pageview'", "without": "''", "model": "'last'", "by": "'channel'",
    "lookback_days": "30", "half_life_days": "7", "restart": "0", "ignore": "''", "touch_kinds": "'arrival,click'",
    "max_names": "100", "window_hours": "24", "history_days": "30", "min_count": "1", "min_value": "0",
    "currency": "'EUR'", "channel": "''", "others": "'leave out'", "visitor": "'v1'",
}  # fmt: skip
"""A value of each parameter that docs/sql.md names."""


def documented() -> dict[str, tuple[str, ...]]:
    """Return the parameters of each view, and of each table without any, that docs/sql.md lists for analysts."""
    text = (ROOT / "docs/sql.md").read_text()
    found: dict[str, tuple[str, ...]] = {}
    for line in text[text.index("| view | rows |") :].splitlines()[2:]:
        if not line.startswith("|"):
            break
        place = line.split("|")[1]
        for name, parameters in re.findall(r"`(\w+)(?:\(([^)]*)\))?`", place):
            found.setdefault(name, tuple(parameters.split(", ")) if parameters else ())
        # "`credits`, with the parameters of `attribution`, `currency` and `others`": the last are parameters, too.
        if "with the parameters of" in place:
            name, _, *rest = re.findall(r"`(\w+)`", place)
            less = tuple(rest) if " but " in place else ()
            more = () if less else tuple(rest)
            found[name] = tuple(one for one in found["attribution"] if one not in less) + more
            for one in rest:
                del found[one]
    found.pop("FINAL", None)
    return found | dict.fromkeys(("sessions_raw", "touches_raw"), found["sessions_between"])


def _the_analyst_may_ask_each_question(client: object) -> None:
    views = documented()
    assert len(views) > 30
    for name, parameters in views.items():
        given = ", ".join(f"{one} = {GIVEN[one]}" for one in parameters)
        columns = "* EXCEPT (ip, user_agent)" if name == "events" else "*"
        sql = f"SELECT {columns} FROM pharos.{name}{f'({given})' if given else ''} LIMIT 1"
        assert code(client, sql) == 0, sql


def _the_analyst_reads_within_limits(storage: LimitedClickHouse) -> None:
    client = storage.client()
    rows = client.query("SELECT site, visitor_id FROM pharos.events").result_rows
    assert rows == [("shop", "v1")]
    # The views that feed tables run for a user who may not read them.
    assert client.query("SELECT site, event FROM pharos.names").result_rows == [("shop", "pageview")]
    _the_analyst_may_ask_each_question(client)
    views = client.query("SELECT name FROM system.tables WHERE database = 'pharos'").result_rows
    assert len(views) > 20
    standing = "standing(site='', events='', since='', until='', tz='UTC')"
    for table in ("event_log", "events", standing):
        for column in ("ip", "user_agent", "*"):
            assert code(client, f"SELECT {column} FROM pharos.{table}") == DENIED, (table, column)
        assert code(client, f"SELECT * EXCEPT (ip, user_agent) FROM pharos.{table}") == 0

    for table in ("sessions", "touches", "people"):
        assert code(client, f"SELECT count() FROM pharos.{table}") == 0, table
    assert code(client, "SELECT * FROM pharos.reader_key") == DENIED
    for sql in ("INSERT INTO pharos.names SELECT * FROM pharos.names", "TRUNCATE TABLE pharos.event_log"):
        assert code(client, sql) in (READONLY, DENIED), sql
    for source in ("url('http://127.0.0.1/')", "file('/etc/passwd')", "remote('127.0.0.1', system.one)"):
        assert code(client, f"SELECT * FROM {source}") in (READONLY, DENIED), source
    bounded = [one for one in limits("pharos_analyst") if one[2] or one[3] or one[4]]
    assert {name for name, *_ in bounded} >= {
        "max_execution_time",
        "max_memory_usage",
        "max_threads",
        "max_result_rows",
    }
    for name, value, low, high, const in bounded:
        bad = ["break"] if not value.isdigit() else []
        bad += [str(int(low) - 1)] if low else []
        bad += [str(int(high) + 1)] if high else []
        bad += ["0"] if const and value.isdigit() else []
        assert bad
        for one in bad:
            assert code(client, f"SELECT 1 SETTINGS {name} = '{one}'") == CONSTRAINT, (name, one)
        assert low != "0"
    assert code(client, "SELECT 1 SETTINGS max_execution_time = 300") == 0
    assert code(client, "SELECT 1 SETTINGS readonly = 0") == READONLY
    client.close()


def test_clickhouse_understands_every_statement(storage: ClickHouse) -> None:
    client = storage.client()
    for statement in statements(dict.fromkeys(USERS, "secret")):
        client.query(f"EXPLAIN AST {statement}")
    client.close()


def test_who_may_not_make_users_is_told_so(storage: ClickHouse, start: Callable[..., Program], tmp_path: Path) -> None:
    (tmp_path / "sink_password").write_text("s3cret")
    env = {"PHAROS_SINK_CLICKHOUSE": storage.url}
    program = start([sys.executable, "-m", "sink", "users", "--passwords", str(tmp_path)], env=env, cwd=ROOT)
    assert program.wait(60) == 1
    assert "CREATE ROLE" in program.output()
    assert "s3cret" not in program.output()


def test_every_limit_that_can_be_changed_has_a_lower_bound() -> None:
    """0 means "no limit"."""
    for name, value, low, _, const in limits("pharos_analyst"):
        if name.startswith("max_") and not name.startswith(("max_bytes_before", "max_threads")):
            assert const or (low and int(low) > 0), name
            assert int(value) > 0, name


def test_the_sink_may_insert_and_the_analyst_may_not() -> None:
    assert "GRANT INSERT ON pharos.event_rows" in grants("pharos_sink")
    derived = re.compile(r"GRANT SELECT, (INSERT, )?ALTER DELETE ON pharos\.(closed_\w+|late_rows)")
    of_events = [one for one in grants("pharos_sink") if not derived.fullmatch(one)]
    assert not any(word in one for one in of_events for word in ("ALTER", "DROP", "CREATE"))
    assert [one for one in grants("pharos_analyst") if one.startswith("GRANT")] == ["GRANT SELECT ON pharos.*"]

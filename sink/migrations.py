"""Numbered SQL files, applied once, in order, by one sink at a time; an edited old file stops the start.

The lock is a table: a sink creates one under a unique name, then looks for others. A sink that sees another one drops
its own and waits; a sink that sees only its own has the lock, since the next one will see it. The holder renews the
table's comment; a lock not renewed for LOCK_STALE_S belongs to a dead sink and is dropped by its name.
This needs CREATE, ALTER and DROP TABLE only: it works on a server, in a cluster and in chDB.

Long: the settings of tables that no file can have are applied after the files, over the same connection.
"""

import asyncio
import hashlib
import random
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from clickhouse_connect.driver.exceptions import Error

from sink import sql_text
from sink.clickhouse import (
    CLOSED_DAYS,
    CLOSED_TABLES,
    FED_TABLES,
    PROBE_TABLE,
    ROWS_TABLE,
    TABLE,
    Connection,
    Stop,
    connect,
)
from sink.schema import flat_views
from sink.settings import Settings

FOLDER: Final = Path(__file__).parent / "schema"
TIMEOUT_S: Final = 86_400.0
"""For an answer to one statement: some copy what is stored."""
UNKNOWN_SETTING: Final = 115  # ClickHouse's code
LOCK_STALE_S: Final = 30
LOCK_RENEW_S: Final = 5
_FILE: Final = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")

_BEFORE: Final = """
CREATE DATABASE IF NOT EXISTS pharos;
CREATE TABLE IF NOT EXISTS pharos.migrations
(
    number     UInt32,
    name       String,
    checksum   String,
    applied_at DateTime DEFAULT now()
)
ENGINE = MergeTree
ORDER BY number;
"""
_AFTER: Final = f"""
CREATE OR REPLACE TABLE {PROBE_TABLE} AS {ROWS_TABLE} ENGINE = Null;
"""


class Migration(msgspec.Struct, frozen=True):
    """One file: its number, its name, its text, and its statements with views within views written out."""

    number: int
    name: str
    text: str
    flat: Sequence[str] = ()

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, line ends as in the repository."""
        return hashlib.sha256(self.text.replace("\r\n", "\n").encode()).hexdigest()

    def statements(self, cluster: str, later: Sequence["Migration"] = ()) -> list[str]:
        """Return the statements to run, in order.

        Those that only make a view again are left out if a migration of `later` does so too: it runs next.
        """
        own = len(sql_text.split(self.text))
        made_later = {name for migration in later for name in flat_views.made(migration.flat)}
        again = [statement for statement in self.flat[own:] if made_later.isdisjoint(flat_views.made([statement]))]
        return [sql_text.for_cluster(statement, cluster) for statement in (*self.flat[:own], *again)]


def load(folder: Path = FOLDER) -> list[Migration]:
    """Read the files, in order.

    Raises:
        Stop: a name is not NNNN_name.sql, or a number is missing or given twice.
    """
    found = []
    views: dict[str, flat_views.View] = {}
    for path in sorted(folder.glob("*.sql")):
        match = _FILE.fullmatch(path.name)
        if match is None:
            raise Stop(f"schema/{path.name}: a migration is named NNNN_name.sql")
        text = path.read_text(encoding="utf-8")
        found.append(Migration(int(match[1]), path.stem, text, flat_views.flatten(sql_text.split(text), views)))
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise Stop(f"schema: migrations are not numbered 1 to {len(found)}: {', '.join(m.name for m in found)}")
    return found


def outstanding(files: Sequence[Migration], applied: dict[int, tuple[str, str]]) -> list[Migration]:
    """Return what is still to be applied; `applied` gives name and checksum by number.

    A database with more migrations than there are files belongs to a newer sink. It fits an older one: migrations add.

    Raises:
        Stop: a file was edited after it was applied.
    """
    for migration in files:
        name, checksum = applied.get(migration.number, (migration.name, migration.checksum))
        if checksum != migration.checksum:
            raise Stop(
                f"schema/{migration.name}.sql was edited after it was applied (as {name}): add a new file instead"
            )
    done = max(applied, default=0)
    return [migration for migration in files if migration.number > done]


async def applied(connection: Connection) -> dict[int, tuple[str, str]]:
    """Return name and checksum of each applied migration; empty on a fresh database."""
    exists = await connection.query(
        "SELECT count() FROM system.tables WHERE database = 'pharos' AND name = 'migrations'"
    )
    if not exists.result_rows[0][0]:
        return {}
    rows = await connection.query("SELECT number, name, checksum FROM pharos.migrations")
    return {int(number): (str(name), str(checksum)) for number, name, checksum in rows.result_rows}


async def apply(
    connection: Connection,
    *,
    cluster: str = "",
    folder: Path = FOLDER,
    tell: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> list[Migration]:
    """Apply the outstanding migrations, alone; return them. `tell` is called with the name of each.

    Raises:
        Stop: see `load` and `outstanding`; or ClickHouse's own error, when a statement fails.
    """
    files = load(folder)
    if not outstanding(files, await applied(connection)):
        return []
    database, table = (sql_text.for_cluster(statement, cluster) for statement in sql_text.split(_BEFORE))
    await connection.command(database)
    async with _lock(connection, cluster, sleep):
        await connection.command(table)
        todo = outstanding(files, await applied(connection))
        for place, migration in enumerate(todo):
            for statement in migration.statements(cluster, todo[place + 1 :]):
                await connection.command(statement)
            record = "INSERT INTO pharos.migrations (number, name, checksum) SETTINGS async_insert = 0 VALUES "
            await connection.command(f"{record}({migration.number}, '{migration.name}', '{migration.checksum}')")
            tell(migration.name)
        if todo:
            for statement in sql_text.split(_AFTER):
                await connection.command(sql_text.for_cluster(statement, cluster))
    return todo


@asynccontextmanager
async def _lock(connection: Connection, cluster: str, sleep: Callable[[float], Awaitable[None]]) -> AsyncIterator[None]:
    name = f"migration_lock_{secrets.token_hex(8)}"

    async def run(statement: str) -> Any:
        return await connection.command(sql_text.for_cluster(statement, cluster))

    while True:
        await run(f"CREATE TABLE pharos.{name} (held UInt8) ENGINE = Null COMMENT 'new'")
        others = await _others(connection, name)
        if not any(fresh for _, fresh in others):
            break
        await run(f"DROP TABLE IF EXISTS pharos.{name}")
        await sleep(0.2 + random.random() * 0.5)  # noqa: S311  two that saw each other should not meet again
    for other, _ in others:
        await run(f"DROP TABLE IF EXISTS pharos.{other}")
    renewing = asyncio.create_task(_renew(run, name))
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        await run(f"DROP TABLE IF EXISTS pharos.{name}")


async def _others(connection: Connection, own: str) -> list[tuple[str, bool]]:
    rows = await connection.query(
        f"SELECT name, metadata_modification_time > now() - {LOCK_STALE_S} FROM system.tables "  # noqa: S608  own constant
        "WHERE database = 'pharos' AND startsWith(name, 'migration_lock_')"
    )
    return [(str(name), bool(fresh)) for name, fresh in rows.result_rows if name != own]


async def _renew(run: Callable[[str], Awaitable[Any]], name: str) -> None:
    count = 0
    while True:
        await asyncio.sleep(LOCK_RENEW_S)
        count += 1
        await run(f"ALTER TABLE pharos.{name} MODIFY COMMENT 'renewed {count} times'")


async def keep_for(connection: Connection, retention_days: int, cluster: str = "") -> bool:
    """Make ClickHouse delete events older than `retention_days` (0: never); return whether that changed anything."""
    rows = await connection.query("SELECT name, engine_full FROM system.tables WHERE database = 'pharos'")
    engines = {f"pharos.{name}": str(engine) for name, engine in rows.result_rows}
    changed = False
    for table, when, days in (
        *((table, "toDateTime(received_at)", retention_days) for table in (TABLE, *FED_TABLES)),
        # A closed day is no more in use when the first of its events is deleted; its rows may go later.
        (CLOSED_DAYS, "day", retention_days),
        *((table, "day", retention_days + 2) for table in CLOSED_TABLES),
    ):
        wanted = f"TTL {when} + toIntervalDay({days})"
        change = f"MODIFY {wanted}" if retention_days else "REMOVE TTL"
        if (wanted in engines[table]) if retention_days else (" TTL " not in engines[table]):
            continue
        await connection.command(sql_text.for_cluster(f"ALTER TABLE {table} {change}", cluster))
        changed = True
    return changed


async def without_statistics(connection: Connection, cluster: str = "") -> bool:
    """Make ClickHouse keep no statistics of the tables that inserts fill; return whether that changed anything.

    Since 26.4 it counts each column's distinct values at every insert and merge. The plans of our views do not need it.
    """
    rows = await connection.query(
        "SELECT name FROM system.tables WHERE database = 'pharos' AND engine_full LIKE '%deduplication_window%' "
        "AND engine_full NOT LIKE '%auto_statistics_types%'"
    )
    for (name,) in rows.result_rows:
        change = f"ALTER TABLE pharos.{name} MODIFY SETTING auto_statistics_types = ''"
        try:
            await connection.command(sql_text.for_cluster(change, cluster))
        except Error as error:
            if error.code == UNKNOWN_SETTING:
                return False  # an older ClickHouse, which keeps none
            raise
    return bool(rows.result_rows)


async def command(settings: Settings, *, dry_run: bool) -> int:
    """`python -m sink migrate`: apply outstanding migrations, or print them."""
    connection = await connect(settings, TIMEOUT_S)
    try:
        if dry_run:
            todo = outstanding(load(), await applied(connection))
            for migration in todo:
                print(f"-- {migration.name}")
                print(";\n\n".join(migration.statements(settings.cluster)) + ";\n")
            print(f"-- {len(todo)} to apply")
            return 0
        done = await apply(connection, cluster=settings.cluster, tell=lambda name: print(f"applied {name}"))
        await keep_for(connection, settings.retention_days, settings.cluster)
        await without_statistics(connection, settings.cluster)
        print(f"{len(done)} applied")
        return 0
    finally:
        await connection.close()

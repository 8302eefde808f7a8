"""Close days: make their sessions and touches once, so that a question about months reads few rows of them.

A day (UTC) of a site is closed when the next day is over too, and again when a later row changed it. A pass is safe to
repeat, to kill and to run twice at a time: rows count from the moment on at which `pharos.closed_days` has their
generation, and a generation is used once. docs/sink.md has the rules, sink/schema/0003_sessions.sql what uses the days.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec

from sink import closed_days_sql as sql
from sink import sql_text
from sink.clickhouse import CLOSED_TABLES, Connection, each_shard
from sink.settings import Settings

DAY: Final = timedelta(days=1)
GRACE: Final = timedelta(hours=1)
"""After the end of the next day: clocks differ, and rows of the last minutes are on their way."""
SETTLE_MS: Final = 600_000
"""A row may be stored this long after its moment in `late_rows` was taken. A day with a younger one waits."""
KEEP_MS: Final = 3_600_000
"""Rows of a generation that is not in use are deleted after this time: a query that runs may read them."""
RUN_EVENTS: Final = 5_000_000
"""Days are closed together up to this number of rows: each run reads the day before and the day after it too."""
BRIDGE: Final = 14 * DAY
"""A run goes over days that are not due, if they are fewer: to close them again costs less than another run."""
SHIFT: Final = 22
"""Bits of a generation below its milliseconds since 1970: 9 random ones, if two passes begin at once, and DAY_BITS."""
DAY_BITS: Final = 13
"""Of the day's number: two days of one pass differ in them, unless 22 years lie between them."""


class Pass(msgspec.Struct):
    """What a pass did, in days of sites."""

    closed: int = 0
    """Closed, for the first time or again."""
    waiting: int = 0
    """Due and not closed: rows that change them came in the last SETTLE_MS."""
    given_up: int = 0
    """Due and not closed: an erasure ran meanwhile."""

    @property
    def due(self) -> int:
        """Days that are still cut from their events at every question."""
        return self.waiting + self.given_up


def over_until(now: datetime) -> date:
    """Return the first day that may not be closed yet."""
    return (now - GRACE).date() - DAY


def due(
    closed: Mapping[date, int], changed: Mapping[date, int], recent: Iterable[date], until: date, since_ms: int
) -> tuple[set[date], set[date]]:
    """Return the days to close now, and those that must wait since rows are on their way.

    Args:
        closed: the generation of each closed day.
        changed: when the last row came that changes a day, ms since 1970.
        recent: days with events, from the last closed day on.
        until: days before this one are over.
        since_ms: rows from this moment on (ms since 1970) will count against what is closed now.
    """
    stale = {day for day, at in changed.items() if at >= closed.get(day, 0) >> SHIFT}
    days = {day for day in stale | (_with_neighbours(recent) - closed.keys()) if day < until}
    waiting = {day for day in days if changed.get(day, 0) >= since_ms}
    return days - waiting, waiting


def runs(days: Iterable[date], events: Mapping[date, int], most: int = RUN_EVENTS) -> list[tuple[date, date]]:
    """Return (first, last) of runs of days, each of at most `most` events or of one day."""
    found: list[tuple[date, date]] = []
    size = 0
    for day in sorted(days):
        last = found[-1][1] if found else date.min
        if day - last <= BRIDGE:
            size += sum(events.get(last + step * DAY, 0) for step in range(1, (day - last).days + 1))
        if found and day - last <= BRIDGE and size <= most:
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
            size = events.get(day, 0)
    return found


def _with_neighbours(days: Iterable[date], near: int = 1) -> set[date]:
    return {day + step * DAY for day in days for step in range(-near, near + 1)}


class Closer:
    """Closes the days of all sites, pass by pass. Raises ClickHouse's errors; the next pass does what is left."""

    def __init__(
        self,
        connection: Connection,
        *,
        cluster: str = "",
        settle_ms: int = SETTLE_MS,
        keep_ms: int = KEEP_MS,
        crash_at: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._connection = connection
        self._cluster = cluster
        self._settle_ms = settle_ms
        self._keep_ms = keep_ms
        self._crash_at = crash_at

    async def run(self, only: str = "") -> Pass:
        """Close what is due, of all sites or of one."""
        now_ms = int((await self._rows("SELECT toUnixTimestamp64Milli(now64(3))"))[0][0])
        since_ms = now_ms - self._settle_ms
        done = Pass()
        for (site,) in await self._rows(sql.SITES, {"site": only}):
            await self._site(str(site), over_until(datetime.fromtimestamp(now_ms / 1000, UTC)), since_ms, done)
        if not done.given_up:
            await self._forget(since_ms, only)
        await self._tidy(since_ms - self._keep_ms)
        return done

    async def _site(self, site: str, until: date, since_ms: int, done: Pass) -> None:
        own: dict[str, object] = {"site": site}
        closed = {day: int(generation) for day, generation in await self._rows(sql.CLOSED, own)}
        changed = {day: int(at) for day, at in await self._rows(sql.CHANGED, own)}
        last = str(max(closed, default=date(1970, 1, 2)))
        recent = [day for (day,) in await self._rows(sql.RECENT, own | {"since": last})]
        outdated = [day for (day,) in await self._rows(sql.OUTDATED, own)]
        days, waiting = due(closed, changed, [*recent, *outdated], until, since_ms)
        done.waiting += len(waiting)
        if not days:
            return
        counts = await self._rows(sql.COUNTS, own | {"days": _listed(_with_neighbours(days, BRIDGE.days))})
        events = {day: int(count) for day, count in counts}
        # A row's id may name a day on which nothing happened: there is nothing to close.
        days = {day for day in days if day in closed or not events.keys().isdisjoint(_with_neighbours([day]))}
        for first, last_day in runs(days, events):
            count = (last_day - first).days + 1
            if await self._close(site, first, last_day, since_ms):
                done.closed += count
            else:
                done.given_up += count

    async def _close(self, site: str, first: date, last: date, since_ms: int) -> bool:
        generation = since_ms << SHIFT | secrets.randbits(SHIFT - DAY_BITS) << DAY_BITS
        days = [first - DAY + step * DAY for step in range((last - first).days + 3)]
        parameters: dict[str, object] = {
            "site": site,
            "first": str(first),
            "end": str(last + DAY),
            "before": str(first - DAY),
            "after": str(last + 2 * DAY),
            "days": _listed(days),
            "generation": generation,
        }
        for name, statement in sql.STEPS.items():
            await self._connection.command(statement, parameters=parameters)
            self._crash_at(name)
        if int((await self._rows(sql.ERASED, parameters))[0][0]):
            await self._delete(f"generation BETWEEN {generation} AND {generation + (1 << DAY_BITS) - 1}", site)
            return False
        # No replica may have the day before it has its rows.
        for table in CLOSED_TABLES if self._cluster else ():
            await self._connection.command(f"SYSTEM SYNC REPLICA ON CLUSTER '{self._cluster}' {table} LIGHTWEIGHT")
        await self._connection.command(sql.USE, parameters=parameters)
        self._crash_at("used")
        return True

    async def _forget(self, until_ms: int, only: str) -> None:
        """Delete late rows whose days were all made again."""
        parameters: dict[str, object] = {"until_ms": until_ms, "site": only}
        rows = await self._rows(f"SELECT count() FROM pharos.late_rows WHERE {sql.FORGETTABLE}", parameters)  # noqa: S608
        if int(rows[0][0]):
            await self._alter(f"ALTER TABLE pharos.late_rows DELETE WHERE {sql.FORGETTABLE}", parameters)

    async def _tidy(self, before_ms: int) -> None:
        """Delete rows of generations that are not in use, if they began before that moment."""
        for site, generations in await self._rows(sql.UNUSED, {"before": before_ms << SHIFT}):
            await self._delete(f"generation IN ({', '.join(map(str, generations))})", str(site))

    async def _delete(self, where: str, site: str) -> None:
        for table in CLOSED_TABLES:
            await self._alter(f"ALTER TABLE {table} DELETE WHERE site = {{site:String}} AND {where}", {"site": site})

    async def _alter(self, statement: str, parameters: dict[str, object]) -> None:
        statement = sql_text.for_cluster(statement, self._cluster)
        await self._connection.command(statement, parameters=parameters, settings={"mutations_sync": 2})

    async def _rows(self, query: str, parameters: dict[str, object] | None = None) -> Sequence[Any]:
        rows: Sequence[Any] = (await self._connection.query(query, parameters=parameters)).result_rows
        return rows


def _listed(days: Iterable[date]) -> str:
    return "[" + ", ".join(f"'{day}'" for day in sorted(days)) + "]"


async def close_all(settings: Settings, timeout_s: float, only: str = "") -> Pass:
    """Run a pass on a server of each shard; return what all did. Raises as `each_shard` and `Closer` do."""
    done = Pass()
    async with each_shard(settings, timeout_s) as connections:
        for connection in connections:
            own = await Closer(connection, cluster=settings.cluster).run(only)
            done.closed += own.closed
            done.waiting += own.waiting
            done.given_up += own.given_up
    return done


async def command(settings: Settings, site: str = "") -> int:
    """`python -m sink close`: one pass; returns 0 if no day is left that is due, else 1."""
    done = await close_all(settings, 86_400, site)
    print(f"{done.closed} days of sites closed; {done.due} wait for rows that are on their way: try again later")
    return 1 if done.due else 0

"""`python -m sink erase`: delete events in storage, wait until they are gone, prove it, record it."""

from collections.abc import Callable
from datetime import date
from typing import Final

import msgspec
from clickhouse_connect.driver.exceptions import Error

from sink import sql_text
from sink.clickhouse import CLOSED_DAYS, CLOSED_TABLES, TABLE, Connection, Stop, classify, each_shard
from sink.settings import Settings

STILL_HELD: Final = """\
Copies outside of ClickHouse, and how long they are kept:
  Kafka topics hits.raw, hits.enriched, hits.dead   each topic's retention.ms; a replay would store the events again
  the collectors' spools                            until forwarded, and as long as acknowledged segments are kept
  ClickHouse's inactive parts                       old_parts_lifetime, 8 minutes by default
  backups and exports                               as you made them"""


class Target(msgspec.Struct, frozen=True):
    """Which events of a site to erase: exactly one of `visitor`, `user`, `before` is set."""

    site: str
    visitor: str = ""
    user: str = ""
    before: date | None = None
    and_visitors: bool = False
    """With `user`: also every event of the visitor ids that the user was seen with."""

    @property
    def what(self) -> str:
        """Which of the three is set, for the record in `pharos.erasures`."""
        return "visitor" if self.visitor else "user" if self.user else "before"


def condition(target: Target, visitors: list[str]) -> tuple[str, dict[str, object]]:
    """Return a WHERE condition and its parameters; `visitors` are more visitor ids to erase."""
    parameters: dict[str, object] = {"site": target.site}
    if target.visitor:
        parameters["visitor"] = target.visitor
        return "site = {site:String} AND visitor_id = {visitor:String}", parameters
    if target.user:
        parameters["user"] = target.user
        if not visitors:
            return "site = {site:String} AND user_id = {user:String}", parameters
        parameters["visitors"] = visitors
        theirs = "user_id = {user:String} OR has({visitors:Array(String)}, visitor_id)"
        return f"site = {{site:String}} AND ({theirs})", parameters
    parameters["before"] = str(target.before)
    day = "toDateTime64({before:String}, 3, 'UTC')"
    return f"site = {{site:String}} AND (occurred_at < {day} OR received_at < {day})", parameters


async def command(settings: Settings, target: Target, say: Callable[[str], None] = print) -> int:
    """Erase; return 0 when the proof query finds nothing, else 1.

    Raises:
        Stop, Retry: ClickHouse refuses, or cannot be reached.
    """
    if target.and_visitors and not target.user:
        raise Stop("--and-visitors goes with --user")
    if not target.site or (target.what == "before" and target.before is None):
        raise Stop("neither a visitor, nor a user, nor a day is given")
    codes = []
    async with each_shard(settings, timeout_s=86_400) as connections:
        for connection, shard in zip(connections, settings.each_shard, strict=True):
            if settings.shards:
                say(f"shard {shard.clickhouse.split('@')[-1]}:")
            try:
                codes.append(await erase(connection, target, say, settings.cluster))
            except Error as error:
                raise classify(error.code, str(error)) from error
    return max(codes)


def fed_conditions(target: Target, where: str) -> dict[str, str]:
    """Return a WHERE condition for each table that ClickHouse fed from the rows of `where`; same parameters."""
    those = f"event_id IN (SELECT event_id FROM {TABLE} WHERE {where})"  # noqa: S608  own condition
    if target.before is not None:
        old = "site = {site:String} AND received_at < toDateTime64({before:String}, 3, 'UTC')"
        named = "site = {site:String} AND (first.1 < day OR received_at < day)".replace(
            "day", "toDateTime64({before:String}, 3, 'UTC')"
        )
        return {
            "pharos.authenticated": f"site = {{site:String}} AND ({those} OR {old})",
            "pharos.rare_events": f"({where}) OR (site = {{site:String}} AND {those})",
            "pharos.refunds": f"site = {{site:String}} AND ({those} OR {old})",
            "pharos.identities": named,
            "pharos.refusals": old,
        }
    user = "user_id = {user:String}" if target.user else "false"
    theirs = "visitor_id = {visitor:String}" if target.visitor else "false"
    named = "first.3 = {user:String}" if target.user else theirs
    if target.and_visitors:
        theirs = "has({visitors:Array(String)}, visitor_id)"
        named = f"{named} OR {theirs}"
    return {
        "pharos.authenticated": f"site = {{site:String}} AND ({those} OR {user})",
        "pharos.rare_events": f"({where}) OR (site = {{site:String}} AND {those})",
        "pharos.refunds": f"site = {{site:String}} AND {those}",
        "pharos.identities": f"site = {{site:String}} AND ({named})",
        "pharos.refusals": f"site = {{site:String}} AND ({theirs})",
    }


DAYS: Final = f"""
WITH
    erased AS
    (
        SELECT event_id FROM {TABLE} WHERE <events>
        UNION DISTINCT
        SELECT event_id FROM pharos.authenticated WHERE <authenticated>
    )
SELECT DISTINCT toString(arrayJoin([day - 1, day, day + 1]))
FROM
(
    SELECT toDate(occurred_at) AS day FROM {TABLE} WHERE site = {{site:String}} AND event_id IN erased
    UNION DISTINCT
    SELECT day FROM pharos.closed_ids
    WHERE site = {{site:String}} AND id IN (SELECT bitShiftRight(sipHash64(event_id), 16) FROM erased)
)
"""  # noqa: S608  own constants
"""Days whose sessions or touches change: those of every copy of an erased event, and their neighbours."""
NOTE_DAYS: Final = """
INSERT INTO pharos.late_rows (site, day, id, at)
SELECT {site:String}, arrayJoin(CAST({days:String}, 'Array(Date)')), 0, now64(3, 'UTC')
"""
"""From now on these days are cut from events. sink.closed_days closes them again, and gives up a run that has begun."""

NAME_AGAIN: Final = f"""
INSERT INTO pharos.identities
SELECT site, visitor_id, min((occurred_at, UUIDToNum(event_id), l.user_id)) AS first, max(l.received_at) AS received_at
FROM {TABLE} AS l
WHERE site = {{site:String}} AND l.user_id != '' AND visitor_id != '' AND NOT is_bot
GROUP BY site, visitor_id
"""  # noqa: S608  own constants
"""Fills `pharos.identities` of a site: a visitor gets its next user where the events that named its first are gone."""


async def erase(connection: Connection, target: Target, say: Callable[[str], None], cluster: str = "") -> int:
    """Erase over an open connection; see `command`. Raises ClickHouse's errors."""
    visitors = await _visitors(connection, target) if target.user else []
    where, parameters = condition(target, visitors if target.and_visitors else [])
    # The events last: the other conditions look at them.
    conditions = {**fed_conditions(target, where), TABLE: where}

    async def count(table: str) -> int:
        found = await connection.query(
            f"SELECT count() FROM {table} WHERE {conditions[table]}",  # noqa: S608
            parameters=parameters,
        )
        return int(found.result_rows[0][0])

    events = await count(TABLE)
    say(f"{events:,} rows of {TABLE} to delete")
    closed = "site = {site:String} AND has(CAST({days:String}, 'Array(Date)'), day)"
    parameters["days"] = await _days(connection, conditions, parameters)
    await connection.command(NOTE_DAYS, parameters=parameters)
    for table, own in conditions.items():
        if await count(table):
            statement = sql_text.for_cluster(f"ALTER TABLE {table} DELETE WHERE {own}", cluster)
            # 2: wait until every replica has rewritten its parts.
            await connection.command(statement, parameters=parameters, settings={"mutations_sync": 2})
    await connection.command(NOTE_DAYS, parameters=parameters)  # for a pass that began before the events were gone
    conditions |= dict.fromkeys((CLOSED_DAYS, *CLOSED_TABLES), closed)
    for table in (CLOSED_DAYS, *CLOSED_TABLES):
        if await count(table):
            statement = sql_text.for_cluster(f"ALTER TABLE {table} DELETE WHERE {closed}", cluster)
            await connection.command(statement, parameters=parameters, settings={"mutations_sync": 2})
    counts = {table: await count(table) for table in conditions}
    left = sum(counts.values())
    for table, rows in counts.items():
        say(f"proof: {rows} rows of {table} WHERE {conditions[table]}")
    await connection.command(NAME_AGAIN, parameters={"site": target.site})
    note = f"{{site:String}}, '{target.what}', {events}, {left}, currentUser()"
    await connection.command(
        f"INSERT INTO pharos.erasures (site, what, events, left, done_by) SELECT {note}",
        parameters={"site": target.site},
    )
    if visitors and not target.and_visitors:
        say(f"the user was seen as {len(visitors)} visitor(s), whose other events stay: --and-visitors erases them too")
    say(STILL_HELD)
    return 1 if left else 0


async def _days(connection: Connection, conditions: dict[str, str], parameters: dict[str, object]) -> str:
    """Return the days that the erasure changes, as an array's text; call it before the events are gone."""
    query = DAYS.replace("<events>", conditions[TABLE]).replace("<authenticated>", conditions["pharos.authenticated"])
    found = await connection.query(query, parameters=parameters)
    return "[" + ", ".join(f"'{day}'" for (day,) in found.result_rows) + "]"


async def _visitors(connection: Connection, target: Target) -> list[str]:
    """Return the visitor ids that the user was seen with; call it before the mutation, which changes the answer."""
    found = await connection.query(
        f"SELECT DISTINCT visitor_id FROM {TABLE} "  # noqa: S608
        "WHERE site = {site:String} AND user_id = {user:String} AND visitor_id != ''",
        parameters={"site": target.site, "user": target.user},
    )
    return [str(visitor) for (visitor,) in found.result_rows]

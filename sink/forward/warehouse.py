"""What ClickHouse knows of events that may be sent: one row for all copies, the visitor's click ids and refusals.

What is sent is what analysts see: a stranger's copy cannot change the money of a server's. An event that the sink has
not stored yet is not found, and is asked for again.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
from clickhouse_connect.driver.exceptions import ClickHouseError, Error

from sink.clickhouse import Connection, classify
from sink.forward.gate import StoredEvent, is_refund, order_id
from sink.forward.platforms.platform import ClickId

_DAY_MS: Final = 86_400_000
_EARLIER_MS: Final = 4 * _DAY_MS
"""Copies of an event may differ in time by as much as the collector accepts, 72 hours, and the clocks' difference."""

_COLUMNS: Final = """
    toString(event_id), event, toUnixTimestamp64Milli(occurred_at), value, currency, visitor_id, user_id,
    client_event_id, url, user_agent, ip, country, consent, is_bot, props, authenticated
"""
_BY_ID: Final = f"""
SELECT {_COLUMNS}
FROM pharos.standing(site = {{site:String}}, events = '', since = {{since:String}},
    until = {{until:String}}, tz = 'UTC')
WHERE event_id IN {{ids:Array(UUID)}}
"""  # noqa: S608 - constants only
_BY_ORDER: Final = f"""
SELECT {_COLUMNS}
FROM pharos.standing(site = {{site:String}}, events = {{events:String}}, since = '', until = '', tz = 'UTC')
WHERE client_event_id IN {{orders:Array(String)}}
"""  # noqa: S608
_REMAINING: Final = """
SELECT toString(event_id), value
FROM pharos.conversions_cut(site = {site:String}, event = {event:String}, since = {since:String},
    until = {until:String})
WHERE client_event_id IN {orders:Array(String)}
"""
_USERS: Final = """
SELECT visitor_id, user_id FROM pharos.people
WHERE site = {site:String} AND (visitor_id IN {visitors:Array(String)} OR user_id IN {users:Array(String)})
"""
_REFUSALS: Final = """
SELECT visitor_id, toUnixTimestamp64Milli(max(r.refused_at))
FROM pharos.refusals AS r
WHERE site = {site:String} AND visitor_id IN {visitors:Array(String)}
GROUP BY visitor_id
"""
_CLICKS: Final = """
SELECT visitor_id, click_id_name, click_id, toUnixTimestamp64Milli(occurred_at)
FROM pharos.standing(site = {site:String}, events = '', since = {since:String}, until = {until:String}, tz = 'UTC')
WHERE visitor_id IN {visitors:Array(String)} AND click_id != '' AND NOT is_bot AND consent != 'refused'
ORDER BY occurred_at DESC
LIMIT 20 BY visitor_id
"""

_VISITORS: Final = 1_000
"""Visitors of a question. ClickHouse takes parameters of at most 128 KiB (http_max_field_value_size)."""


def _seconds(moment_ms: int) -> str:
    """Return a time as the views read it."""
    return f"{moment_ms // 1000}.{moment_ms % 1000:03}"


class Warehouse:
    """Questions about events. Raises Retry while ClickHouse is away, and Stop where it refuses the question."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def events(
        self, site: str, occurred: Mapping[str, int], conversions: Iterable[str], lookback_days: int
    ) -> dict[str, StoredEvent]:
        """Return the stored events of these ids, by id; `occurred` has a time of each, in milliseconds.

        `conversions` are the events that a refund may be about.
        """
        if not occurred:
            return {}
        since, until = min(occurred.values()) - _EARLIER_MS, max(occurred.values()) + _EARLIER_MS
        rows = await self._ask(_BY_ID, site=site, ids=list(occurred), since=_seconds(since), until=_seconds(until))
        found = {event.event_id: event for event in (_event(site, row) for row in rows)}
        orders = await self._orders(
            site,
            {order_id(event) for event in found.values() if is_refund(event.event, event.value)} - {""},
            sorted(set(conversions)),
        )
        known = [*found.values(), *orders.values()]
        whose = await self._browsers(site, known)
        visitors = sorted({each for own in whose.values() for each in own})
        refused = dict(await self._ask_of(_REFUSALS, visitors, site=site))
        clicks = await self._clicks(site, visitors, since - lookback_days * _DAY_MS, until)

        def complete(event: StoredEvent) -> StoredEvent:
            own = whose[event.event_id]
            ids = sorted((each for one in own for each in clicks.get(one, ())), key=lambda each: -each.at_ms)
            earliest = event.occurred_ms - lookback_days * _DAY_MS
            return msgspec.structs.replace(
                event,
                refused_ms=max((refused.get(each, 0) for each in own), default=0),
                click_ids=tuple(each for each in ids if earliest <= each.at_ms <= event.occurred_ms),
            )

        orders = {order: complete(event) for order, event in orders.items()}
        return {
            name: msgspec.structs.replace(complete(event), order=orders.get(order_id(event)))
            if is_refund(event.event, event.value)
            else complete(event)
            for name, event in found.items()
        }

    async def _orders(self, site: str, orders: set[str], events: Sequence[str]) -> dict[str, StoredEvent]:
        """Return the conversions of these orders, by order id, each with what remains of it."""
        if not orders:
            return {}
        rows = await self._ask(_BY_ORDER, site=site, events=",".join(events), orders=sorted(orders))
        found = [event for event in (_event(site, row) for row in rows) if not is_refund(event.event, event.value)]
        remaining: dict[str, Decimal] = {}
        for event in found:
            rows = await self._ask(
                _REMAINING,
                site=site,
                event=event.event,
                since=_seconds(event.occurred_ms),
                until=_seconds(event.occurred_ms + 1),
                orders=[event.client_event_id],
            )
            remaining.update(rows)
        return {
            event.client_event_id: msgspec.structs.replace(event, remaining=remaining.get(event.event_id, Decimal(0)))
            for event in sorted(found, key=lambda each: each.authenticated)  # a stranger's copy hides no server's
        }

    async def _browsers(self, site: str, events: Sequence[StoredEvent]) -> dict[str, set[str]]:
        """Return the visitor ids of each event's person, by event id."""
        visitors = {event.visitor_id for event in events} - {""}
        users = {event.user_id for event in events} - {""}
        if not visitors and not users:
            return {event.event_id: set() for event in events}
        named = dict(await self._ask(_USERS, site=site, visitors=sorted(visitors), users=sorted(users)))
        more = sorted(set(named.values()) - users)
        if more:
            named |= dict(await self._ask(_USERS, site=site, visitors=[], users=more))
        of_user: dict[str, set[str]] = {}
        for visitor, user in named.items():
            of_user.setdefault(user, set()).add(visitor)
        return {
            event.event_id: ({event.visitor_id} - {""}) | of_user.get(named.get(event.visitor_id, event.user_id), set())
            for event in events
        }

    async def _clicks(self, site: str, visitors: Sequence[str], since: int, until: int) -> dict[str, list[ClickId]]:
        rows = await self._ask_of(_CLICKS, visitors, site=site, since=_seconds(since), until=_seconds(until))
        found: dict[str, list[ClickId]] = {}
        for visitor, name, value, at_ms in rows:
            found.setdefault(visitor, []).append(ClickId(name, value, at_ms))
        return found

    async def stored(self, site: str, ids: Sequence[str]) -> dict[str, int]:
        """Return which events are stored, each with its time, which may be any: this reads all of the site's."""
        rows = await self._ask(_BY_ID, site=site, ids=ids, since="", until="")
        return {row[0]: row[2] for row in rows}

    async def window(self, site: str, events: Sequence[str], since_ms: int, until_ms: int) -> dict[str, int]:
        """Return the events of these names in [since, until), each with its time: for a replay."""
        rows = await self._ask(
            "SELECT toString(event_id), toUnixTimestamp64Milli(occurred_at) FROM pharos.standing(site = {site:String}, "
            "events = {events:String}, since = {since:String}, until = {until:String}, tz = 'UTC') ORDER BY 2, 1",
            site=site,
            events=",".join(events),
            since=_seconds(since_ms),
            until=_seconds(until_ms),
        )
        return dict(rows)

    async def _ask_of(self, query: str, visitors: Sequence[str], **parameters: Any) -> list[Any]:
        """Ask about visitors, some at a time: anybody may claim one user id in many browsers."""
        rows: list[Any] = []
        for start in range(0, len(visitors), _VISITORS):
            rows += await self._ask(query, visitors=visitors[start : start + _VISITORS], **parameters)
        return rows

    async def _ask(self, query: str, **parameters: Any) -> list[Any]:
        try:
            answer = await self._connection.query(query, parameters)
        except Error as error:
            raise classify(error.code, str(error)) from error
        except (ClickHouseError, OSError, TimeoutError) as error:
            raise classify(None, f"{type(error).__name__}: {error}") from error
        rows: list[Any] = answer.result_rows
        return rows


def _event(site: str, row: Sequence[Any]) -> StoredEvent:
    (
        event_id, event, occurred_ms, value, currency, visitor_id, user_id, client_event_id, url, user_agent, ip,
        country, consent, is_bot, props, authenticated,
    ) = row  # fmt: skip
    return StoredEvent(
        event_id=event_id,
        site=site,
        event=event,
        occurred_ms=occurred_ms,
        value=Decimal(value),
        currency=currency,
        visitor_id=visitor_id,
        user_id=user_id,
        client_event_id=client_event_id,
        url=url,
        user_agent=user_agent,
        ip=str(ip),
        country=country,
        consent=consent,
        is_bot=bool(is_bot),
        props=props,
        authenticated=bool(authenticated),
    )

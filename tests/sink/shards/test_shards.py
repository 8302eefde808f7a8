"""Two shards: two engines, with the sites that deploy/clickhouse/distributed.sql gives to each, against one with all.

The engine of the tests speaks no TCP, so that a Distributed table reaches its own server only: each engine is the only
shard of its cluster. What is not run: ON CLUSTER, replicas, and a Distributed table that reaches another server.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from sink import closed_days, closed_days_sql, time_zones
from sink.clickhouse import CLOSED_TABLES, Retry, Stop, connect_where_sites_are, each_shard, insert
from sink.commands import erase
from sink.settings import Settings, read
from sink.sql_text import split
from tests.clickhouse import ClickHouse
from tests.sink.conftest import ROOT
from tests.sink.rows import row
from tests.sql.reference import Event
from tests.sql.warehouse import Warehouse
from tests.sql.worlds import START, as_enriched

CLUSTER = """<clickhouse><tcp_port>9000</tcp_port><remote_servers><main><shard><replica><host>localhost</host>
<port>9000</port></replica></shard></main></remote_servers></clickhouse>"""
"""A cluster of one shard, the engine itself: the port only says so, and is not opened."""
DISTRIBUTED = [
    text.replace(" ON CLUSTER '{cluster}'", "").replace("{cluster}", "main")
    for text in split((ROOT / "deploy/clickhouse/distributed.sql").read_text())
]
SITES = ["shop", "news", "blog"]
WINDOW = "since = '2026-08-31', until = '2026-09-12', tz = 'UTC'"


class Shards:
    """Two engines with a part of the sites each, and one with all of them."""

    def __init__(self, folder: Path) -> None:
        self.engines: list[ClickHouse] = []
        self.clients: list[Client] = []
        for name in ("first", "second", "whole"):
            (folder / name).mkdir()
            engine = ClickHouse(folder / name, schema=True)
            if name != "whole":
                config = folder / name / "config.xml"
                config.write_text(CLUSTER)
                engine.module = ("deploy.local.clickhouse", "--config", str(config))
            self.engines.append(engine)
            engine.start()
            client = engine.client()
            self.clients.append(client)
            for statement in DISTRIBUTED if name != "whole" else ():
                client.command(statement)
        (made,) = [text for text in DISTRIBUTED if "event_rows_everywhere" in text]
        key = re.findall(r"event_rows, (.*)\)$", made)[0]
        divided = self.clients[0].query(
            f"SELECT site, {key} % 2 FROM (SELECT arrayJoin({{sites:Array(String)}}) AS site)", {"sites": SITES}
        )
        self.of: dict[str, int] = {str(site): int(place) for site, place in divided.result_rows}
        """The shard of each site."""

    def settings(self, **more: str) -> Settings:
        urls = [engine.url for engine in self.engines]
        return read({"PHAROS_SINK_CLICKHOUSE": urls[0], "PHAROS_SINK_SHARDS": ",".join(urls[:2]), **more})

    def rows(self, place: int, sql: str) -> Counter[str]:
        return Counter(str(one) for one in self.clients[place].query(sql).result_rows)

    def refusal(self, place: int, sql: str) -> str:
        """Return why a question fails."""
        with pytest.raises(DatabaseError) as why:
            self.clients[place].query(sql)
        return str(why.value)


def _visits(site: str) -> list[Event]:
    """Visits of a week: arrivals, clicks, and orders that a server reports as well, on another day."""
    first = 10_000 * SITES.index(site)
    found = [
        Event(
            event_id=UUID(int=first + number),
            occurred_at=START + timedelta(hours=7 * number),
            path=f"/{number % 3}",
            visitor_id="abc"[number % 3],
            user_id="anna" if number in (4, 5) else "",
            kind="click" if number % 5 == 0 else "tag",
        )
        for number in range(1, 25)
    ]
    for number in (3, 5):
        sale: dict[str, Any] = {
            "event": "purchase",
            "client_event_id": f"o{number}",
            "value": 70_000,
            "currency": "EUR",
        }
        order = replace(found[number], event_id=UUID(int=first + 500 + number), **sale)
        later = order.occurred_at + timedelta(days=2 * number)
        found += [order, replace(order, kind="server", occurred_at=later, value=90_000, visitor_id="")]
    return [as_enriched(event, site) for event in found]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shards]:
    made = Shards(tmp_path_factory.mktemp("shards"))
    for site in SITES:
        for place in (made.of[site], 2):
            Warehouse(made.clients[place]).insert(_visits(site))
    yield made
    for engine in made.engines:
        engine.kill()


def test_each_shard_has_some_sites(shards: Shards) -> None:
    assert set(shards.of.values()) == {0, 1}


async def test_an_insert_through_the_table_of_all_shards_is_stored_once(shards: Shards) -> None:
    """The token reaches the table behind it: other rows with the same token are taken for a repetition."""
    site = next(site for site in SITES if shards.of[site] == 0)
    async with each_shard(shards.settings()) as (first, _):
        for number in (1, 2):
            await insert(first, row(number, site=site), "token", "pharos.event_rows_everywhere")
    own = f"site = '{site}' AND client_event_id IN ('1', '2')"
    assert shards.rows(0, f"SELECT client_event_id FROM pharos.event_log WHERE {own}") == Counter(["('1',)"])
    shards.clients[0].command(f"ALTER TABLE pharos.event_log DELETE WHERE {own}", settings={"mutations_sync": 2})


QUESTIONS = {
    "sessions_between": f"site = '{{site}}', {WINDOW}",
    "touches_between": f"site = '{{site}}', {WINDOW}",
    "conversions": f"site = '{{site}}', event = 'purchase', {WINDOW}",
    "journeys": f"site = '{{site}}', conversion = 'purchase', lookback_days = 30, restart = 0, "
    f"touch_kinds = 'arrival,click', ignore = '', {WINDOW}",
}


async def test_days_are_closed_on_every_shard_and_answers_are_those_of_one_server(shards: Shards) -> None:
    for client in shards.clients:  # as if ten minutes had passed since the last late row
        client.command("TRUNCATE TABLE pharos.late_rows")
    done = await closed_days.close_all(shards.settings(), 60)
    whole = await closed_days.close_all(read({"PHAROS_SINK_CLICKHOUSE": shards.engines[2].url}), 60)
    assert done.closed == whole.closed
    assert done.closed > 0
    assert done.due == 0
    for table in CLOSED_TABLES:
        sql = f"SELECT * EXCEPT (generation) FROM {table}"
        assert shards.rows(0, sql) + shards.rows(1, sql) == shards.rows(2, sql), table
    assert shards.rows(0, "SELECT count() FROM pharos.closed_sessions") != Counter(["(0,)"])
    assert shards.rows(1, "SELECT count() FROM pharos.closed_sessions") != Counter(["(0,)"])
    for view, given in QUESTIONS.items():
        for site in SITES if view == "sessions_between" else SITES[:1]:
            sql = f"SELECT * FROM pharos.{view}({given.format(site=site)})"
            expected = shards.rows(2, sql)
            assert expected
            assert shards.rows(shards.of[site], sql) == expected


def test_a_shard_refuses_what_it_has_only_a_part_of(shards: Shards) -> None:
    site = SITES[0]
    elsewhere = 1 - shards.of[site]
    for view, given in QUESTIONS.items():
        why = shards.refusal(elsewhere, f"SELECT * FROM pharos.{view}({given.format(site=site)})")
        assert "no event of this site is stored" in why, view
    recent = f"SELECT count() FROM pharos.recent(site = '{site}', seconds = 60)"
    assert "on this shard" in shards.refusal(elsewhere, recent)
    shards.rows(shards.of[site], recent)
    for view in ("events", "sessions", "touches"):
        assert f"ask pharos.{view}_everywhere" in shards.refusal(0, f"SELECT * FROM pharos.{view} LIMIT 1")
        own = [shards.rows(place, f"SELECT * FROM pharos.{view}_everywhere") for place in (0, 1)]
        assert own[0] + own[1] == shards.rows(2, f"SELECT * FROM pharos.{view}"), view
    names = "SELECT DISTINCT site FROM pharos.names_everywhere"
    assert shards.rows(0, names) + shards.rows(1, names) == shards.rows(2, "SELECT DISTINCT site FROM pharos.names")


async def test_commands_reach_every_shard_or_say_that_they_would_not(
    shards: Shards, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = read({"PHAROS_SINK_CLICKHOUSE": shards.engines[0].url})
    last = next(site for site in SITES if shards.of[site] == 1)
    with pytest.raises(Stop, match="one of several shards: set PHAROS_SINK_SHARDS"):
        await erase.command(alone, erase.Target(last, visitor="a"))
    with pytest.raises(Stop, match="PHAROS_SINK_SHARDS"):
        await closed_days.command(alone)
    with pytest.raises(Retry, match=f"no event of site '{last}' is stored on this shard"):
        await connect_where_sites_are(alone, [last], 10)

    async with each_shard(shards.settings()) as connections:
        for connection in connections:
            await time_zones.store(connection, dict.fromkeys(SITES, "Asia/Tokyo"))
    for place in (0, 1):
        assert len(shards.rows(place, "SELECT * FROM pharos.sites FINAL")) == len(SITES)

    said: list[str] = []
    left = f"SELECT count() FROM pharos.event_log WHERE site = '{last}' AND visitor_id = 'a'"
    assert shards.rows(1, left) != Counter(["(0,)"])
    assert await erase.command(shards.settings(), erase.Target(last, visitor="a"), said.append) == 0
    assert shards.rows(1, left) == Counter(["(0,)"])
    assert sum(text.startswith("shard ") for text in said) == 2
    rows = [int(text.split()[0]) for text in said if text.endswith("rows of pharos.event_log to delete")]
    assert rows[0] == 0
    assert rows[1] > 0


class Recorder:
    """A connection that notes its commands."""

    def __init__(self) -> None:
        self.said: list[str] = []

    async def command(self, cmd: str, parameters: Any = None, *, settings: Any = None) -> None:
        self.said.append(cmd)

    async def query(self, query: str, parameters: Any = None) -> Any:
        class Answer:
            result_rows = ((0,),)

        return Answer()


async def test_on_a_cluster_every_replica_has_the_rows_before_the_day_counts(shards: Shards) -> None:
    recorder = Recorder()
    closer = closed_days.Closer(recorder, cluster="main")  # type: ignore[arg-type]
    assert await closer._close("shop", date(2026, 11, 1), date(2026, 11, 2), 0)
    waits = [text for text in recorder.said if text.startswith("SYSTEM SYNC REPLICA ON CLUSTER 'main'")]
    assert [text.split()[6] for text in waits] == list(CLOSED_TABLES)
    place = recorder.said.index(waits[0])
    assert recorder.said[place:] == [*waits, closed_days_sql.USE]
    for text in waits:
        shards.clients[2].query(f"EXPLAIN AST {text}")

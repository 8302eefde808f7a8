"""The admin port's `/dead`: letters of both stages are counted by reason, and nothing else of them is shown."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from enricher.contract import DeadHit, encode_dead
from enricher.settings import Settings
from enricher.stream import dead_route
from enricher.stream.dead_route import DeadRoute
from tests.brokers import Broker
from tests.enricher.stream.test_stream import topics, write

DAY = 1795305600000
"""2026-11-22, 00:00 UTC."""
LETTER = DeadHit(
    reason="undecodable", detail="not JSON", stage="enricher", topic="hits.raw", partition=0, offset=7, at=DAY,
    record=b"203.0.113.9 anna@example.com",
)  # fmt: skip


@asynccontextmanager
async def asking(settings: Settings) -> "AsyncIterator[TestClient[web.Request, web.Application]]":
    app = web.Application()
    app.add_routes([web.get("/dead", DeadRoute(settings).answer)])
    async with TestClient(TestServer(app)) as client:
        yield client


def letters() -> list[bytes]:
    lost = msgspec.structs.replace(LETTER, reason="lost_records", stage="sink", at=DAY + 5, records=40)
    late = msgspec.structs.replace(LETTER, at=DAY + 86_400_000)
    early = msgspec.structs.replace(LETTER, at=DAY - 1)
    return [encode_dead(one) for one in (LETTER, LETTER, lost, late, early)]


async def test_letters_of_some_days_are_counted(broker: Broker) -> None:
    settings = await topics(broker)
    await write(broker, settings.topic_dead, letters())
    async with asking(settings) as client:
        asked = {"since": "2026-11-22", "until": "2026-11-23", "tz": "UTC"}
        async with client.get("/dead", params=asked) as answer:
            assert await answer.json() == {
                "letters": [
                    {"stage": "sink", "reason": "lost_records", "records": 40},
                    {"stage": "enricher", "reason": "undecodable", "records": 2},
                ],
                "complete": True,
            }
            assert "203.0.113.9" not in await answer.text()
            assert "anna" not in await answer.text()
        async with client.get("/dead", params=asked | {"tz": "Asia/Tokyo"}) as answer:
            assert {one["records"] for one in (await answer.json())["letters"]} == {40, 3}, (
                "the day begins nine hours before"
            )
        for wrong in ({}, {"since": "2026-11-22"}, asked | {"tz": "nowhere"}, asked | {"until": "soon"}):
            async with client.get("/dead", params=wrong) as answer:
                assert answer.status == 400


async def test_a_count_is_bounded(tansu: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = await topics(tansu)
    await write(tansu, settings.topic_dead, letters())
    monkeypatch.setattr(dead_route, "MOST_LETTERS", 1)
    asked = {"since": "2026-11-22", "until": "2026-11-23"}
    async with asking(settings) as client, client.get("/dead", params=asked) as answer:
        assert not (await answer.json())["complete"]


async def test_without_kafka_it_says_so() -> None:
    settings = msgspec.convert({"kafka": "127.0.0.1:1", "group": "x"}, Settings)
    asked = {"since": "2026-11-22", "until": "2026-11-23"}
    async with asking(settings) as client, client.get("/dead", params=asked) as answer:
        assert answer.status == 503

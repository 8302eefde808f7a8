"""The admin port's `/explain`: the hit behind a row is found in `hits.raw`, on both brokers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from collector.contract import encode as encode_hit
from enricher.contract import Event, decode_row
from enricher.row.enrich import Enricher
from enricher.settings import Settings
from enricher.stream import explain_route
from enricher.stream.explain_route import ExplainRoute
from enricher.tables import load_enricher
from tests.brokers import Broker
from tests.enricher.stream.test_stream import hit, topics, write


@pytest.fixture(scope="module")
def enricher() -> Enricher:
    return load_enricher()


@asynccontextmanager
async def asking(settings: Settings, enricher: Enricher) -> "AsyncIterator[TestClient[web.Request, web.Application]]":
    app = web.Application()
    app.add_routes([web.get("/explain", ExplainRoute(settings, enricher).answer)])
    async with TestClient(TestServer(app)) as client:
        yield client


def row(enricher: Enricher, number: int, **fields: str) -> Event:
    made = enricher.enrich(hit(number, **fields))
    assert isinstance(made, bytes)
    return decode_row(made)


async def test_a_row_is_traced_to_its_hit(broker: Broker, enricher: Enricher) -> None:
    settings = await topics(broker)
    own = {"query": "s=shop&e=purchase&id=order-1&u=https%3A%2F%2Fshop.example%2F%3Futm_source%3Dyoutube"}
    hits = [hit(number) for number in range(40)]
    hits[17] = hit(17, **own)
    twin = msgspec.structs.replace(hit(18), at=hits[17].at)  # received in the same millisecond
    await write(broker, settings.topic_raw, [*map(encode_hit, hits), encode_hit(twin), b"not a hit"])
    async with asking(settings, enricher) as client:
        for wanted, fields in ((17, own), (39, {})):
            stored = row(enricher, wanted, **fields)
            params = {"event_id": stored.event_id, "at": str(hits[wanted].at)}
            async with client.get("/explain", params=params) as answer:
                assert answer.status == 200, await answer.text()
                found = orjson.loads(await answer.read())
            assert found["hit"]["id"] == hits[wanted].id
            assert [step["name"] for step in found["steps"]][:3] == ["sent", "page", "referrer"]
        assert {step["name"]: step["columns"] for step in found["steps"]}["identity"]["event_id"] == stored.event_id

        async with client.get("/explain", params={"event_id": stored.event_id, "at": str(hits[3].at)}) as answer:
            assert answer.status == 404
            assert "no longer has the hit, or not yet" in orjson.loads(await answer.read())["problem"]
        for wrong in ({}, {"event_id": "x"}, {"event_id": "x", "at": "now"}, {"event_id": "x", "at": "٣"}):
            async with client.get("/explain", params=wrong) as answer:
                assert answer.status == 400


async def test_a_search_is_bounded(tansu: Broker, enricher: Enricher, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = await topics(tansu)
    await write(tansu, settings.topic_raw, [encode_hit(hit(number)) for number in range(40)])
    monkeypatch.setattr(explain_route, "MOST_RECORDS", 8)
    monkeypatch.setattr(explain_route, "_CHUNK", 4)
    async with (
        asking(settings, enricher) as client,
        client.get("/explain", params={"event_id": "x", "at": str(hit(0).at)}) as answer,
    ):
        assert answer.status == 404
        assert "not among the first 8 hits" in orjson.loads(await answer.read())["problem"]


async def test_without_kafka_it_says_so(enricher: Enricher) -> None:
    settings = msgspec.convert({"kafka": "127.0.0.1:1", "group": "x"}, Settings)
    async with (
        asking(settings, enricher) as client,
        client.get("/explain", params={"event_id": "x", "at": "1"}) as answer,
    ):
        assert answer.status == 503

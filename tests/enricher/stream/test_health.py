"""The enricher is alive while it works: /healthz answers between the steps of a chunk of the slowest hits."""

import asyncio
from typing import Any, Final

import aiohttp
import pytest

from collector.contract import encode as encode_hit
from enricher.row.enrich import Enricher
from enricher.tables import load_enricher
from stage import admin
from tests.brokers import Tansu
from tests.enricher.stream.test_stream import hit, running, topics, write

HITS: Final = 1000
PARTITIONS: Final = 4


@pytest.fixture(scope="module")
def enricher() -> Enricher:
    return load_enricher()


async def test_health_is_answered_between_the_slowest_hits(
    tansu: Tansu, enricher: Enricher, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = await topics(tansu)
    slow = "s=shop&u=https://shop.example/?" + ";a=" * 2500
    await write(tansu, settings.topic_raw, [encode_hit(hit(number, query=f"{slow}{number}")) for number in range(HITS)])
    done = 0
    begun = asyncio.Event()
    enrich = enricher.row_of

    def counted(*hit_and_client: Any) -> object:
        nonlocal done
        done += 1
        begun.set()
        return enrich(*hit_and_client)

    async def no_metrics() -> bytes:
        return b""

    monkeypatch.setattr(enricher, "row_of", counted)
    listening = await admin.serve(settings, lambda: "", no_metrics)
    answered_at: set[int] = set()
    try:
        async with (
            aiohttp.ClientSession(f"http://127.0.0.1:{listening.port}") as http,
            running(settings, enricher),
            asyncio.timeout(60),
        ):
            await begun.wait()
            while done < HITS:
                async with http.get("/healthz") as answer:
                    assert answer.status == 200
                answered_at.add(done)
    finally:
        await listening.close()
    # Also an enricher that never paused would be asked between two partitions, and at the end.
    assert len(answered_at) > 2 * PARTITIONS

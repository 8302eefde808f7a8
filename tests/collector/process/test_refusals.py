"""The admin port's `/refused`: the last refusals of every worker, through a running collector."""

import asyncio
from collections.abc import Callable

import aiohttp
import orjson

from collector.process import refusals
from tests.collector.running import Running

A = ("tag", "unknown_site", "shopp", "https://shop.example")
B = ("pixel", "bad_id", "shop", "")


def test_workers_are_joined_and_the_newest_is_first() -> None:
    first = [(*A, 2, 10, 20), (*B, 1, 15, 15)]
    second = [(*A, 3, 5, 30)]
    shown = orjson.loads(refusals.as_json("a", [first, second]))["refused"]
    assert [tuple(one.values()) for one in shown] == [(*A, 5, 5, 30), (*B, 1, 15, 15)]


async def test_a_refusal_of_any_worker_is_shown(collector: Callable[..., Running]) -> None:
    running = collector(kafka="127.0.0.1:1", topic_raw="hits.raw", workers=2)
    await running.start()
    async with aiohttp.ClientSession() as http:
        for _ in range(8):  # connections of their own, which the kernel spreads over both workers
            async with aiohttp.ClientSession() as page:
                body = '{"site":"shopp"}'
                headers = {"Origin": "https://shop.example"}
                async with page.post(f"{running.url}/e", data=body, headers=headers) as answer:
                    assert answer.status == 400

        async def shown() -> list[dict[str, object]]:
            async with http.get(f"{running.admin}/refused") as answer:
                assert answer.headers["Content-Type"] == "application/json"
                found: list[dict[str, object]] = (await answer.json())["refused"]
                return found

        several = await asyncio.gather(shown(), shown(), shown())
        for one in several:
            assert [(each["name"], each["hits"]) for each in one] == [("shopp", 8)]

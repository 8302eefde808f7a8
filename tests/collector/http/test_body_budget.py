"""Request bodies: bounded each and all together, and released in every case."""

import asyncio
from pathlib import Path

import pytest

from collector.http.aiohttp_request import BODIES
from tests.collector.http.both_paths import One, both
from tests.waiting import until

EVENT = b'{"site":"demo","event":"late"}'
HEAD = b"POST /e HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


@pytest.mark.parametrize("path", [0, 1], ids=["fast", "full"])
def test_many_slow_bodies_together_stay_within_the_bound(tmp_path: Path, path: int) -> None:
    with both(tmp_path, body_timeout_s=60) as paths:
        one: One = paths[path]
        bodies = one.app[BODIES]
        bodies.most_held_bytes = 100_000
        body = EVENT.ljust(60_000)

        async def run() -> tuple[bytes, bytes, bytes]:
            first, first_out = await asyncio.open_connection("127.0.0.1", one.port)
            first_out.write(HEAD % len(body) + body[:59_000])
            await until(lambda: bodies.held_bytes == 59_000, "the first body is held")
            second, second_out = await asyncio.open_connection("127.0.0.1", one.port)
            second_out.write(HEAD % len(body) + body)
            async with asyncio.timeout(60):
                crowded = await second.readuntil(b"\r\n\r\n")
            assert bodies.held_bytes == 59_000  # released with the answer
            pixel, pixel_out = await asyncio.open_connection("127.0.0.1", one.port)
            pixel_out.write(b"GET /p.gif?s=demo HTTP/1.1\r\nHost: a\r\n\r\n")
            async with asyncio.timeout(60):
                counted = await pixel.readuntil(b"\r\n\r\n")
            first_out.write(body[59_000:])
            async with asyncio.timeout(60):
                taken = await first.readuntil(b"\r\n\r\n")
            for writer in (first_out, second_out, pixel_out):
                writer.transport.abort()
            return crowded, counted, taken

        crowded, counted, taken = one.loop.run_until_complete(run())
        assert crowded.startswith(b"HTTP/1.1 429 ")
        assert b"\r\nRetry-After: " in crowded
        assert counted.startswith(b"HTTP/1.1 200 ")
        assert taken.startswith(b"HTTP/1.1 202 ")
        assert bodies.held_bytes == 0
        assert one.tally.values["request_errors_total", "429"] == 1


def test_a_body_whose_sender_leaves_is_let_go(tmp_path: Path) -> None:
    with both(tmp_path, body_timeout_s=60) as (one, _):
        bodies = one.app[BODIES]

        async def run() -> None:
            _, writer = await asyncio.open_connection("127.0.0.1", one.port)
            writer.write(HEAD % 60_000 + EVENT)
            await until(lambda: bodies.held_bytes, "the body is held")
            writer.transport.abort()
            await until(lambda: not bodies.held_bytes, "the body is released")

        one.loop.run_until_complete(run())


FROM = b"POST /e HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: %b\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"


@pytest.mark.parametrize("path", [0, 1], ids=["fast", "full"])
def test_slow_senders_are_bounded_by_address_and_small_bodies_have_room(tmp_path: Path, path: int) -> None:
    with both(tmp_path, body_timeout_s=60) as paths:
        one: One = paths[path]
        bodies = one.app[BODIES]
        bodies.most_held_bytes, bodies.most_of_address_bytes = 120_000, 70_000
        body = EVENT.ljust(60_000)

        async def answer(raw: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
            writer.write(raw)
            async with asyncio.timeout(60):
                head = await reader.readuntil(b"\r\n\r\n")
            writer.transport.abort()
            return head.split()[1]

        async def run() -> None:
            slow = [await asyncio.open_connection("127.0.0.1", one.port) for _ in range(2)]
            slow[0][1].write(FROM % (b"2001:db8::1", len(body)) + body[:59_000])
            await until(lambda: bodies.held_bytes == 59_000, "the first body is held")
            assert await answer(FROM % (b"2001:db8::2", len(body)) + body) == b"429"
            assert await answer(FROM % (b"203.0.113.9", len(body)) + body) == b"202"
            assert bodies.of_address == {"2001:db8::": 59_000}
            slow[1][1].write(FROM % (b"203.0.113.9", len(body)) + body[:59_900])
            await until(lambda: bodies.held_bytes == 118_900, "the second body is held")
            assert await answer(FROM % (b"203.0.113.10", len(body)) + body) == b"429"
            small = EVENT.ljust(16_000)
            assert await answer(FROM % (b"2001:db8::2", len(small)) + small) == b"202"
            assert await answer(CHUNKED % (len(small), small)) == b"202"
            for _, writer in slow:
                writer.transport.abort()
            await until(lambda: not bodies.held_bytes, "the bodies are released")
            assert bodies.of_address == {}

        one.loop.run_until_complete(run())

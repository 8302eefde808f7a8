"""Times and bounds of a connection, by a clock that the test moves: no client holds memory or a connection for long."""

import asyncio
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collector.http.both_paths import One, both
from tests.waiting import until

GIF_END = b"\x02D\x01\x00;"
PIXEL = b"GET /p.gif?s=demo HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def lanes(tmp_path: Path) -> Iterator[tuple[One, One]]:
    with both(tmp_path) as pair:
        yield pair


@pytest.fixture(params=["fast", "full"])
def one(request: pytest.FixtureRequest, lanes: tuple[One, One]) -> One:
    return lanes[request.param == "full"]


async def opened(one: One, *sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection, send, and return when the server has seen it all."""
    reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
    for piece in sent:
        writer.write(piece)
        await writer.drain()
    await until(lambda: one.connections.open, "the connection is taken")
    await asyncio.sleep(0.05)
    return reader, writer


def later(one: One, seconds: float) -> None:
    """Have the sweep look as if so much time had passed."""
    now = one.loop.time() + seconds
    for connection in list(one.connections.open):
        connection.expire(now, 10, 20, 75)


def status_after(one: One, *sent: bytes, seconds: float) -> bytes:
    """Return what comes once so much time has passed; empty: closed without a word."""

    async def run() -> bytes:
        reader, writer = await opened(one, *sent)
        if sent[-1].endswith(b"\r\n\r\n"):
            async with asyncio.timeout(5):
                await reader.readuntil(GIF_END)
        later(one, seconds)
        try:
            async with asyncio.timeout(0.5):
                rest = await reader.read()
        except TimeoutError:
            rest = b"OPEN"
        except ConnectionError:
            rest = b"RESET"
        writer.transport.abort()
        return rest

    return one.loop.run_until_complete(run())


@pytest.mark.parametrize("sent", [b"", b"G", b"GET /p.gif?s=demo HTTP/1.1\r\nHost: a\r\n", b"\r\n"])
def test_a_head_that_does_not_come_gets_408(one: One, sent: bytes) -> None:
    assert status_after(one, sent, seconds=9) == b"OPEN"
    assert status_after(one, sent, seconds=11).startswith(b"HTTP/1.1 408 ")


def test_a_second_head_that_does_not_come_gets_408(one: One) -> None:
    async def run() -> bytes:
        reader, writer = await opened(one, PIXEL)
        async with asyncio.timeout(5):
            await reader.readuntil(GIF_END)
        writer.write(PIXEL[:20])
        await asyncio.sleep(0.05)
        later(one, 11)
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.transport.abort()
        return answer

    assert one.loop.run_until_complete(run()).startswith(b"HTTP/1.1 408 ")


def test_dripping_a_byte_at_a_time_does_not_renew_the_time(one: One) -> None:
    async def run() -> bytes:
        reader, writer = await opened(one, b"GET /p.gif?s=demo HTTP/1.1\r\n")
        for byte in b"Host: a":
            writer.write(bytes([byte]))
            await asyncio.sleep(0.002)
        later(one, 10.5)
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.transport.abort()
        return answer

    assert one.loop.run_until_complete(run()).startswith(b"HTTP/1.1 408 ")


def test_an_idle_connection_is_kept_75_seconds(one: One) -> None:
    assert status_after(one, PIXEL, seconds=74) == b"OPEN"
    assert status_after(one, PIXEL, seconds=76) == b""


def test_connections_over_the_bound_are_closed_and_counted(one: One) -> None:
    async def run() -> int:
        kept = [await asyncio.open_connection("127.0.0.1", one.port) for _ in range(100)]
        refused = 0
        for _ in range(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
            try:
                async with asyncio.timeout(5):
                    refused += await reader.read() == b""
            except ConnectionError:
                refused += 1
            writer.close()
        for _, writer in kept:
            writer.close()
        return refused

    assert one.loop.run_until_complete(run()) == 5
    assert one.tally.values["connections_refused_total",] == 5


def test_a_client_that_does_not_read_stops_being_read(one: One) -> None:
    """Its requests wait in its own socket, not in our memory; after a minute it is cut off."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        reader, writer = await asyncio.open_connection("127.0.0.1", one.port, limit=1024)

        async def flood() -> None:
            for _ in range(2000):
                writer.write(PIXEL * 500)
                await writer.drain()

        with pytest.raises((TimeoutError, ConnectionError)):
            async with asyncio.timeout(2):
                await flood()
        (connection,) = one.connections.open
        assert len(connection._held) < 1 << 20
        assert connection._transport.get_write_buffer_size() < 1 << 20
        connection.expire(loop.time() + 61, 10, 20, 75)
        await asyncio.sleep(0.05)
        assert not one.connections.open
        writer.transport.abort()
        del reader

    one.loop.run_until_complete(run())


def test_a_body_that_does_not_come_in_time_gets_408(one: One) -> None:
    sent = b"POST /e HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n{"
    answers, closed = one.ask(sent % 20_000, expected=2)
    assert [answer.status for answer in answers] == [408]
    assert closed


def test_a_small_body_that_does_not_come_in_time_gets_408(lanes: tuple[One, One]) -> None:
    sent = b"POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{"
    assert status_after(lanes[0], sent, seconds=19) == b"OPEN"
    assert status_after(lanes[0], sent, seconds=21).startswith(b"HTTP/1.1 408 ")
    assert lanes[0].tally.values["request_errors_total", "408"] == 1


@pytest.mark.parametrize("sizes", [(1, 9), (9, 1), (5, 5)])
def test_a_body_may_come_in_pieces_and_with_the_next_request(one: One, sizes: tuple[int, int]) -> None:
    body = b'{"site":"demo"}'
    head = b"POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
    first, last = sizes
    pieces = (head[:first], head[first:], body[:last], body[last:] + PIXEL + head + body, head, body)
    answers, closed = one.ask(*pieces, expected=4)
    assert [answer.status for answer in answers] == [202, 200, 202, 202]
    assert not closed
    assert len(one.hits()) == 4


def test_a_connection_that_aiohttp_does_not_end_is_cut(one: One) -> None:
    sent = b"POST /e HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 20000\r\n\r\n"

    async def run() -> int:
        _, writer = await opened(one, sent + b"{")
        later(one, 61)
        await asyncio.sleep(0.05)
        writer.transport.abort()
        return len(one.connections.open)

    assert one.loop.run_until_complete(run()) == 0


@pytest.mark.parametrize(
    "begun",
    [
        b"POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n[",
        b"POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n[",
        b"POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[",
        b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n[",
        b"POST /e HTTP/1.0\r\nContent-Length: 50000\r\n\r\n[",
    ],
)
def test_a_reset_in_the_middle_of_a_body_writes_no_log_line(
    tmp_path: Path, begun: bytes, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async def leave(one: One) -> None:
        before = asyncio.all_tasks()
        _, writer = await asyncio.open_connection("127.0.0.1", one.port)
        writer.write(begun)
        await writer.drain()
        await until(lambda: any(c._used or c._held for c in one.connections.open), "the request has begun")
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.close()
        await until(lambda: not one.connections.open, "the connection is gone")
        await until(lambda: asyncio.all_tasks() <= before, "the handler has ended")

    with both(tmp_path, body_timeout_s=60) as pair:
        for one in pair:
            one.loop.run_until_complete(leave(one))
    assert caplog.records == []
    assert capfd.readouterr().err == ""

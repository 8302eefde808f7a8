"""Times and bounds of a connection, by a clock that the test moves: no client holds memory or a connection for long.

Long, because it is a list: every time and bound.
"""

import asyncio
import contextlib
import json
import re
import socket
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from collector.http import connection as connections
from collector.policy.client_address import Trusted
from tests.collector.http.both_paths import RULESET, TOKEN, One, both
from tests.waiting import until

GIF_END = b"\x02D\x01\x00;"
PIXEL = b"GET /p.gif?s=demo HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def paths(tmp_path: Path) -> Iterator[tuple[One, One]]:
    with both(tmp_path) as pair:
        yield pair


@pytest.fixture(params=["fast", "full"])
def one(request: pytest.FixtureRequest, paths: tuple[One, One]) -> One:
    return paths[request.param == "full"]


async def opened(one: One, *sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection, send, and return when the server has seen it all."""
    reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
    for piece in sent:
        writer.write(piece)
        await writer.drain()
    await until(lambda: one.connections.open, "the connection is taken")
    await asyncio.sleep(0.05)
    return reader, writer


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection in the middle of everything."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.close()


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
            async with asyncio.timeout(60):
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
        async with asyncio.timeout(60):
            await reader.readuntil(GIF_END)
        writer.write(PIXEL[:20])
        await asyncio.sleep(0.05)
        later(one, 11)
        async with asyncio.timeout(60):
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
        async with asyncio.timeout(60):
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
                async with asyncio.timeout(60):
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


def test_a_small_body_that_does_not_come_in_time_gets_408(paths: tuple[One, One]) -> None:
    sent = b"POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{"
    assert status_after(paths[0], sent, seconds=19) == b"OPEN"
    assert status_after(paths[0], sent, seconds=21).startswith(b"HTTP/1.1 408 ")
    assert paths[0].tally.values["request_errors_total", "408"] == 1


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
        reset(writer)
        await until(lambda: not one.connections.open, "the connection is gone")
        await until(lambda: asyncio.all_tasks() <= before, "the handler has ended")

    with both(tmp_path, body_timeout_s=60) as pair:
        for one in pair:
            one.loop.run_until_complete(leave(one))
    assert caplog.records == []
    assert capfd.readouterr().err == ""


BEGUN = {
    "nothing": b"",
    "a head": b"GET /p.gif?s=demo HTTP/1.1\r\n",
    "a small body": b"POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{",
    "a large body": b"POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n{",
    "chunks": b"POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{",
}


def _open(one: One, count: int) -> bool:
    return len(one.connections.open) == count


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("begun", BEGUN)
def test_slow_requests_of_one_address_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: str, trusted: bool
) -> None:
    """The oldest are refused, those that others send are not; a trusted proxy bounds its own clients."""
    monkeypatch.setattr(connections, "MOST_SLOW_OF_ADDRESS", 3)

    async def run(one: One) -> tuple[list[bytes], int]:
        slow = []
        taken: list[connections.Connection] = []
        for number in range(5):
            slow.append(await asyncio.open_connection("127.0.0.1", one.port))
            slow[-1][1].write(BEGUN[begun])
            await until(partial(_open, one, number + 1), "it is taken")
            taken += one.connections.open - {*taken}
        await until(lambda: not BEGUN[begun] or all(c._used or c._held for c in one.connections.open), "it has begun")
        for number, connection in enumerate(taken):
            connection._since = one.loop.time() + number / 1000
        one.connections._bound_slow(one.loop.time() + 0.5)
        assert len(one.connections.open) == 5, "none is slow yet"
        monkeypatch.setattr(connections, "_SLOW_S", -1.0)
        one.connections.sweep()
        monkeypatch.undo()
        kept = 0 if trusted else 2
        answers = []
        for reader, _ in slow[:kept]:
            async with asyncio.timeout(60):
                with contextlib.suppress(ConnectionError):
                    answers.append(await reader.read())
        quick, out = await asyncio.open_connection("127.0.0.1", one.port)
        out.write(PIXEL)
        async with asyncio.timeout(60):
            assert (await quick.readuntil(GIF_END)).startswith(b"HTTP/1.1 200 ")
        waiting = sum(connection.is_slow(one.loop.time() + 1.5) for connection in one.connections.open)
        for _, writer in (*slow, (quick, out)):
            reset(writer)
        await until(lambda: not one.connections.open, "all are gone")
        return answers, waiting

    proxies = ["127.0.0.0/8"] if trusted else []
    with both(tmp_path, RULESET._replace(trusted=Trusted(proxies)), body_timeout_s=60) as (one, _):
        answers, waiting = one.loop.run_until_complete(run(one))
    assert waiting == (5 if trusted else 3)
    if not trusted and begun not in ("a large body", "chunks"):  # these are cut: aiohttp has the connection
        assert [answer[:13] for answer in answers] == [b"HTTP/1.1 429 "] * 2
        assert b"\r\nRetry-After: " in answers[0]
    assert one.tally.values.get(("request_errors_total", "429"), 0) == (0 if trusted else 2)


ERRORS = {
    b"414": b"GET /p.gif?" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"431": b"GET /p.gif HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 17_000 + b"\r\n\r\n",
    b"413": b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n",
    b"400": b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("status", ERRORS)
def test_a_protocol_error_has_a_request_id(one: One, status: bytes) -> None:
    answers, _ = one.ask(ERRORS[status], wait_s=2)
    assert [answer.status for answer in answers] == [int(status)]
    assert answers[0].header("x-request-id") == "(made)"


@pytest.mark.parametrize("sent", [PIXEL[:20], b"POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{"])
def test_a_request_that_does_not_come_in_time_has_a_request_id(paths: tuple[One, One], sent: bytes) -> None:
    answer = status_after(paths[0], sent, seconds=21)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert re.search(rb"\r\nX-Request-Id: [0-9a-f]{16}\r\n", answer)


BEARER = b"Authorization: Bearer " + TOKEN.encode() + b"\r\n"


@pytest.mark.parametrize(
    ("target", "lines", "status", "reason"),
    [
        (b"/e", b"Origin: https://shop.example\r\n", 413, "too_large"),
        (b"/e?x=1", b"X: \xe9\r\n", 413, "too_large"),
        (b"/v1/events", BEARER, 413, "too_large"),
        (b"/v1/events", b"", 401, "unauthorized"),
    ],
)
def test_a_body_that_is_said_to_be_too_long_is_refused_as_one_that_is(
    one: One, target: bytes, lines: bytes, status: int, reason: str
) -> None:
    head = b"POST " + target + b" HTTP/1.1\r\nHost: a\r\n" + lines
    answers, _ = one.ask(head + b"Content-Length: 1048577\r\n\r\n[", wait_s=2)
    assert [answer.status for answer in answers] == [status]
    assert answers[0].header("connection") == "close"
    (answer,) = answers
    assert answer.header("x-pharos") == f"refused; {reason}"
    assert answer.header("x-request-id") == "(made)"
    assert json.loads(answer.body)["reason"] == reason
    if target == b"/e":
        assert answer.header("access-control-allow-origin") == "*"
    one.connections.count()
    assert one.tally.values["hits_total", "", reason] == 1

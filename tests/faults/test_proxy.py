"""The proxy does to a connection what its methods say, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from tests.faults.proxy import Proxy
from tests.waiting import until


class Echo:
    """A target that answers each line with itself, and remembers what it was asked."""

    def __init__(self) -> None:
        self.heard = b""
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(1000):
                self.heard += chunk
                writer.write(chunk)
        writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    target = Echo()
    server = await asyncio.start_server(target.serve, "127.0.0.1", 0)
    target.port = server.sockets[0].getsockname()[1]
    yield target
    server.close()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[Proxy]:
    made = Proxy(echo.port)
    yield made
    made.close()


async def _connect(proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def _says(reader: asyncio.StreamReader, count: int) -> bytes:
    async with asyncio.timeout(60):
        return await reader.readexactly(count)


async def test_whole(proxy: Proxy) -> None:
    reader, writer = await _connect(proxy)
    writer.write(b"hit")
    assert await _says(reader, 3) == b"hit"
    assert proxy.accepted == 1
    writer.close()


async def test_cut_closes_and_refuses_until_healed(proxy: Proxy) -> None:
    reader, _ = await _connect(proxy)
    proxy.cut()
    async with asyncio.timeout(60):
        assert await reader.read() == b""
    with pytest.raises(OSError, match="Connect call failed"):
        await _connect(proxy)
    proxy.heal()
    reader, writer = await _connect(proxy)
    writer.write(b"again")
    assert await _says(reader, 5) == b"again"
    writer.close()


async def test_reset_is_a_reset_and_the_next_connection_is_served(proxy: Proxy) -> None:
    reader, writer = await _connect(proxy)
    writer.write(b"hit")
    assert await _says(reader, 3) == b"hit"
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        await _says(reader, 1)
    reader, writer = await _connect(proxy)
    writer.write(b"next")
    assert await _says(reader, 4) == b"next"
    writer.close()


async def test_stall_holds_bytes_and_heal_lets_them_go(proxy: Proxy, echo: Echo) -> None:
    reader, writer = await _connect(proxy)
    writer.write(b"1")
    assert await _says(reader, 1) == b"1"
    proxy.stall()
    writer.write(b"2")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await reader.read(1)
    assert echo.heard == b"1"
    proxy.heal()
    assert await _says(reader, 1) == b"2"
    writer.close()


async def test_lost_answers_were_requests_that_arrived(proxy: Proxy, echo: Echo) -> None:
    reader, writer = await _connect(proxy)
    writer.write(b"1")
    assert await _says(reader, 1) == b"1"
    proxy.lose_answers()
    writer.write(b"2")
    await until(lambda: echo.heard == b"12", "the target hears what will not be answered")
    proxy.heal()
    with pytest.raises(ConnectionResetError):
        await _says(reader, 1)


async def test_reset_after_a_number_of_bytes_leaves_the_target_with_just_those(proxy: Proxy, echo: Echo) -> None:
    reader, writer = await _connect(proxy)
    writer.write(b"1")
    assert await _says(reader, 1) == b"1"
    proxy.reset_after(4)
    writer.write(b"23456789")
    with pytest.raises(ConnectionResetError):
        await _says(reader, 8)
    await until(lambda: echo.heard == b"12345", "four more bytes")

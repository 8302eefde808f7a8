"""Requests byte by byte over loopback: a client that sends what no library would, and reads the answer."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from tests.e2e.requests import Request

_ANSWER_TIMEOUT_S = 30


@dataclass(frozen=True)
class Answer:
    """Status, headers (lower-case names) and body; status 0 where the connection ended without one."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """A keep-alive connection that is opened again when the other side has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, wire: bytes) -> Answer:
        """Send `wire` and return the answer. Never sent twice: a lost answer is status 0."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(wire)
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                answer = await _answer(reader)
        except (OSError, EOFError):
            answer = Answer(0, {}, b"")
        if not answer.status or answer.headers.get("connection", "").lower() == "close" or answer.status >= 400:
            await self.close()
        return answer

    async def close(self) -> None:
        """Close, if open."""
        if self._streams is not None:
            self._streams[1].close()
            with suppress(OSError):
                await self._streams[1].wait_closed()
            self._streams = None


async def _answer(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Answer(int(head[0].split()[1]), headers, body)


async def ask_all(
    port: int, requests: Iterable[Request], judge: Callable[[Request, Answer], None], *, connections: int = 8
) -> None:
    """Send every request over some connections, and hand each with its answer to `judge`."""
    waiting = iter(requests)

    async def work() -> None:
        connection = Connection(port)
        for request in waiting:
            judge(request, await connection.ask(request.wire))
        await connection.close()

    await asyncio.gather(*(work() for _ in range(connections)))

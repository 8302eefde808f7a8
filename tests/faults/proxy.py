"""A TCP proxy on loopback that can cut, reset, stall, and lose answers: the network's faults between two programs.

It runs in its own thread, independent of the test's event loop. Every method returns when the
fault is in force.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from typing import Any

from tests.ports import free_port

_CHUNK_BYTES = 65_536


class Proxy:
    """Forwards 127.0.0.1:`port` to 127.0.0.1:`target`; without a fault until one is set."""

    def __init__(self, target: int, port: int | None = None) -> None:
        self.target = target
        self.port = port or free_port()
        self.accepted = 0
        """Connections taken since the start."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{self.port}", daemon=True)
        self._thread.start()
        self._listener: asyncio.Task[None] | None = None
        self._connections: dict[asyncio.Task[None], list[socket.socket]] = {}
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._answers_lost = False
        self._bytes_left: int | None = None
        self._call(self._listen())

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Close every connection and refuse new ones, until `heal`."""
        self._call(self._cut())

    def reset(self) -> None:
        """Reset (RST) every connection there is; new ones are served."""
        self._call(self._reset())

    def stall(self) -> None:
        """Take connections and bytes, and pass nothing on, until `heal`."""
        self._call(self._set(stalled=True))

    def lose_answers(self) -> None:
        """Pass requests on and discard every answer, until `heal`: requests have their effect without an answer."""
        self._call(self._set(answers_lost=True))

    def reset_after(self, count: int) -> None:
        """Pass `count` more bytes towards the target, then reset the connection they came on, once."""
        self._call(self._set(bytes_left=count))

    def heal(self) -> None:
        """Everything flows again. Bytes held by a stall arrive; connections that lost an answer are reset."""
        self._call(self._heal())

    def close(self) -> None:
        """Cut, and end the thread."""
        self._call(self._cut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> None:
        door = socket.create_server(("127.0.0.1", self.port), backlog=1000)
        door.setblocking(False)
        self._listener = self._loop.create_task(self._accept(door))

    async def _accept(self, door: socket.socket) -> None:
        # Not asyncio.start_server: closing that never closes a connection that is just being accepted.
        with door:
            while True:
                near, _ = await self._loop.sock_accept(door)
                self.accepted += 1
                self._connections[self._loop.create_task(self._serve(near))] = [near]

    async def _cut(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
            self._listener = None
        await self._end_all()

    async def _reset(self) -> None:
        for sockets in self._connections.values():
            for one in sockets:
                _reset_on_close(one)
        await self._end_all()

    async def _end_all(self) -> None:
        ending, self._connections = self._connections, {}
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        for sockets in ending.values():
            for one in sockets:
                one.close()

    async def _set(self, *, stalled: bool = False, answers_lost: bool = False, bytes_left: int | None = None) -> None:
        if stalled:
            self._flowing.clear()
        self._answers_lost |= answers_lost
        self._bytes_left = bytes_left

    async def _heal(self) -> None:
        if self._answers_lost:
            await self._reset()
        self._answers_lost, self._bytes_left = False, None
        self._flowing.set()
        if self._listener is None:
            await self._listen()

    async def _serve(self, near: socket.socket) -> None:
        task = asyncio.current_task()
        assert task is not None
        far = socket.socket()
        self._connections[task].append(far)
        far.setblocking(False)
        try:
            await self._flowing.wait()
            await self._loop.sock_connect(far, ("127.0.0.1", self.target))
            async with asyncio.TaskGroup() as both:
                both.create_task(self._ask(near, far))
                both.create_task(self._answer(far, near))
        except* OSError:
            _reset_on_close(near)  # the target is away, or reset it: the client sees what it would see there
        for one in self._connections.pop(task, []):
            one.close()

    async def _ask(self, near: socket.socket, far: socket.socket) -> None:
        while chunk := await self._loop.sock_recv(near, _CHUNK_BYTES):
            await self._flowing.wait()
            if self._bytes_left is not None:
                if len(chunk) > self._bytes_left:
                    await self._loop.sock_sendall(far, chunk[: self._bytes_left])
                    self._bytes_left = None
                    raise ConnectionResetError
                self._bytes_left -= len(chunk)
            await self._loop.sock_sendall(far, chunk)
        far.shutdown(socket.SHUT_WR)

    async def _answer(self, far: socket.socket, near: socket.socket) -> None:
        while chunk := await self._loop.sock_recv(far, _CHUNK_BYTES):
            await self._flowing.wait()
            if not self._answers_lost:
                await self._loop.sock_sendall(near, chunk)
        near.shutdown(socket.SHUT_WR)


def _reset_on_close(one: socket.socket) -> None:
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

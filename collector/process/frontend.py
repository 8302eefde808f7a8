"""The HTTP side of a worker: from a spool to a listening port and back. Tests build the same parts."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple, cast

from aiohttp import web

from collector.http import app
from collector.http.connection import Connections
from collector.http.ingest import Ingest
from collector.metrics import Tally
from collector.policy.ids import Ids
from collector.policy.ruleset import Ruleset
from collector.spool.group_commit import GroupCommit
from collector.spool.inventory import Chunk
from collector.spool.spool import Spool
from collector.spool.writer import Fsync

_LAST_S: Final = 0.5
_LOOK_S: Final = 0.02
_MOST_WAITING: Final = 4096
"""The supervisor's backlog."""


class Bounds(NamedTuple):
    """Bounds on connections; times in seconds."""

    connections: int = 16384
    head_timeout_s: float = 10
    body_timeout_s: float = 20
    keepalive_s: float = 75


def ingest(
    ruleset: Ruleset,
    spool: Spool,
    fsync: Fsync,
    disk: ThreadPoolExecutor,
    on_written: Callable[[list[Chunk]], None],
    tally: Tally,
) -> Ingest:
    """Return the path from a decided hit to the spool; `on_written` is called with each write, before its answers."""
    commit = GroupCommit(asyncio.get_running_loop(), spool, fsync, disk, on_written, tally)
    return Ingest(ruleset, commit, Ids(os.urandom), tally)


class Frontend:
    """A worker's connections and routes."""

    def __init__(self, ingest: Ingest, bounds: Bounds) -> None:
        """Create the routes; nothing listens yet."""
        self.ingest: Final = ingest
        self._bounds: Final = bounds
        self.app: Final = app.build(ingest, bounds.body_timeout_s)
        self._runner: Final = web.AppRunner(self.app, access_log=None)
        self.connections: Connections
        self._listener: socket.socket
        self._server: asyncio.Server

    async def listen(self, listener: socket.socket) -> None:
        """Serve the connections of a listening socket."""
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        self.connections = Connections(
            self.ingest,
            loop,
            cast(web.Server, self._runner.server),
            most_connections=self._bounds.connections,
            head_timeout_s=self._bounds.head_timeout_s,
            body_timeout_s=self._bounds.body_timeout_s,
            keepalive_s=self._bounds.keepalive_s,
        )
        self._listener = listener
        self._server = await loop.create_server(self.connections, sock=listener)

    async def sweep(self) -> None:
        """Close connections that exceed a time bound, once a second. Runs until cancelled."""
        while True:
            await asyncio.sleep(1)
            self.connections.sweep()

    def drain(self) -> None:
        """Tell clients in each answer to close the connection."""
        self.ingest.draining = True
        self.connections.drain()

    async def close(self) -> None:
        """Close the port, answer every request that has arrived, close the connections."""
        await self._close_port()
        self.ingest.commit.flush()
        self.connections.close_idle()
        await self._runner.shutdown()
        await self._runner.cleanup()
        self.ingest.commit.flush()

    async def _close_port(self) -> None:
        """Close the port, and answer requests on open connections for a moment.

        A proxy that has just sent a POST on a connection that it believes open does not repeat it elsewhere. So
        connections in the backlog are accepted, and idle ones stay open for a request on its way.
        """
        waiting: list[socket.socket] = []
        with contextlib.suppress(BlockingIOError):
            while len(waiting) < _MOST_WAITING:
                waiting.append(self._listener.accept()[0])
        self._server.close()
        loop = asyncio.get_running_loop()
        for one in waiting:
            await loop.connect_accepted_socket(self.connections, one)
        for _ in range(int(_LAST_S / _LOOK_S)):
            if self.connections.open:
                await asyncio.sleep(_LOOK_S)

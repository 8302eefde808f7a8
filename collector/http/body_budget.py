"""Reads request bodies, within a bound for each and a bound for all that a worker holds.

Bytes count while they are held, so that a slow sender costs only what it has sent. A request that would exceed the
worker's bound is refused; others are not affected.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

MOST_BYTES: Final = 1 << 20
"""Of one body, as sent."""
MOST_HELD_BYTES: Final = 32 << 20
"""Of all bodies that a worker holds at a time."""


class TooMuch(Exception):
    """One body is over MOST_BYTES."""


class Crowded(Exception):
    """The worker holds as many bytes of bodies as it may."""


class Bodies:
    """What a worker holds of bodies that are not yet answered."""

    def __init__(self) -> None:
        self.held_bytes = 0
        self.most_held_bytes = MOST_HELD_BYTES

    @asynccontextmanager
    async def read(self, sent: web.Request) -> AsyncIterator[bytes]:
        """Read a body, and count it until the block ends.

        Raises:
            TooMuch: it is too long; its bytes are released.
            Crowded: there is no room for it now.
        """
        pieces: list[bytes] = []
        mine = 0
        try:
            async for piece in sent.content.iter_any():
                mine += len(piece)
                self.held_bytes += len(piece)
                if mine > MOST_BYTES:
                    raise TooMuch
                if self.held_bytes > self.most_held_bytes:
                    raise Crowded
                pieces.append(piece)
            yield b"".join(pieces)
        finally:
            self.held_bytes -= mine

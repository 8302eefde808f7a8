"""Reads request bodies, within a bound for each, for all of one address, and for all that a worker holds.

Bytes count while they are held, so that a slow sender costs only what it has sent. A request that would exceed a bound
is refused; others are not affected. A body of at most SMALL_BYTES always has room: the number of connections bounds
them, and large unfinished bodies of strangers must not keep events out.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from collector.policy.client_address import truncate

MOST_BYTES: Final = 1 << 20
"""Of one body, as sent."""
MOST_HELD_BYTES: Final = 32 << 20
"""Of all bodies that a worker holds at a time."""
MOST_OF_ADDRESS_BYTES: Final = 8 << 20
"""Of all bodies of one address that a worker holds at a time."""
SMALL_BYTES: Final = 16 << 10
"""A body has as much without regard to the other bodies."""


class TooMuch(Exception):
    """One body is over MOST_BYTES."""


class Crowded(Exception):
    """The worker holds as many bytes of bodies as it may, of this address or of all."""


class Bodies:
    """What a worker holds of bodies that are not yet answered."""

    def __init__(self) -> None:
        self.held_bytes = 0
        self.most_held_bytes = MOST_HELD_BYTES
        self.most_of_address_bytes = MOST_OF_ADDRESS_BYTES
        self.of_address: Final[dict[str, int]] = {}
        """Bytes held by address; an address that has none is not kept."""

    @asynccontextmanager
    async def read(self, sent: web.Request, ip: str | None) -> AsyncIterator[bytes]:
        """Read a body, and count it until the block ends.

        `ip` is the client's address, of which an IPv6 one counts by its /48; None: no bound by address applies.

        Raises:
            TooMuch: it is too long; its bytes are released.
            Crowded: there is no room for it now.
        """
        pieces: list[bytes] = []
        mine = 0
        address = truncate(ip, "truncate") if ip and ":" in ip else ip
        try:
            async for piece in sent.content.iter_any():
                mine += len(piece)
                self._hold(address, len(piece))
                if mine > MOST_BYTES:
                    raise TooMuch
                if mine > SMALL_BYTES and self._is_crowded(address):
                    raise Crowded
                pieces.append(piece)
            yield b"".join(pieces)
        finally:
            self._hold(address, -mine)

    def _hold(self, address: str | None, count: int) -> None:
        self.held_bytes += count
        if address is not None:
            held = self.of_address.pop(address, 0) + count
            if held:
                self.of_address[address] = held

    def _is_crowded(self, address: str | None) -> bool:
        if self.held_bytes > self.most_held_bytes:
            return True
        return address is not None and self.of_address[address] > self.most_of_address_bytes

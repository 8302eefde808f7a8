"""What a worker answers while its spool's disk cannot be used: 503 to every request, so that none waits in a queue."""

import asyncio
from typing import Final, cast

from collector.http import pixel, request_id

_ANSWER: Final = (
    "HTTP/1.1 503 Service Unavailable\r\n"
    f"Retry-After: {pixel.RETRY_AFTER_S}\r\n"
    "Cache-Control: no-store\r\n"
    "Access-Control-Allow-Origin: *\r\n"
    "X-Pharos: refused; spool\r\n"
    "Content-Length: 0\r\n"
    "Connection: close\r\n"
)
_MOST_HEAD_BYTES: Final = 24 << 10
"""A request line and headers at their longest; more is answered as it is."""
_LINGER_S: Final = 2.0
"""Time for a client to read the answer before what it still sends is refused by a reset."""
_GONE_WITHIN_S: Final = 10.0


class Closed(asyncio.Protocol):
    """One connection: answered when its request's head is there."""

    def __init__(self) -> None:
        self._head = b""
        self._answered = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        asyncio.get_running_loop().call_later(_GONE_WITHIN_S, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        if self._answered:
            return
        self._head += data
        if b"\r\n\r\n" in self._head or len(self._head) > _MOST_HEAD_BYTES:
            self._answered, self._head = True, b""
            self._transport.write(f"{_ANSWER}{request_id.HEADER}: {request_id.fresh()}\r\n\r\n".encode())
            self._transport.write_eof()
            asyncio.get_running_loop().call_later(_LINGER_S, self._transport.abort)

"""aiohttp's side of a connection: it handles the requests that the connection hands over, one at a time."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

REQUEST_LINE_BYTES: Final = 8 << 10
HEADERS_BYTES: Final = 16 << 10
_LINGER_S: Final = 2.0
_NEVER_S: Final = 1e9


class Lent(web.RequestHandler):
    """aiohttp's side of one connection; tells when an answer is out."""

    __slots__ = ("finished", "given")

    def __init__(self, *args: Any, finished: Callable[[bool], None], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.finished: Callable[[bool], None] = finished
        self.given = False

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        out = await super().finish_response(request, resp, start_time)
        self.finished(bool(out[0].keep_alive) and not out[1])
        return out


def lend(server: web.Server, loop: asyncio.AbstractEventLoop, finished: Callable[[bool], None]) -> Lent:
    """Return aiohttp's side for one connection; `finished(stays_open)` is called after each answer."""
    return Lent(
        server,
        loop=loop,
        finished=finished,
        access_log=None,
        keepalive_timeout=_NEVER_S,  # `connection` closes idle connections
        lingering_time=_LINGER_S,
        auto_decompress=False,  # post.py inflates, with a bound
        max_line_size=REQUEST_LINE_BYTES + 16,
        max_field_size=HEADERS_BYTES,
    )

"""aiohttp's side of a connection: it handles the requests that the connection hands over, one at a time."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from collector.http import request_id
from stage import log

REQUEST_LINE_BYTES: Final = 8 << 10
HEADERS_BYTES: Final = 16 << 10
_LINGER_S: Final = 2.0
_NEVER_S: Final = 1e9


class Refusal(web.Response):
    """The answer to what is no request, or whose body ends in the middle; no header names the library."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.pop("Server", None)


class Lent(web.RequestHandler):
    """aiohttp's side of one connection; tells when an answer is out."""

    __slots__ = ("finished", "given", "refused")

    def __init__(
        self, *args: Any, finished: Callable[[bool], None], refused: Callable[[str], None], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.finished: Callable[[bool], None] = finished
        self.refused: Callable[[str], None] = refused
        self.given = False

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        out = await super().finish_response(request, resp, start_time)
        self.finished(bool(out[0].keep_alive) and not out[1])
        return out

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer without a body, and close. A client's mistake is counted and not logged: it is no fault of ours."""
        if request.transport is None or isinstance(exc, ConnectionError) or request.writer.output_size > 0:
            raise ConnectionResetError  # no client reads an answer; aiohttp closes the connection
        if isinstance(exc, web.RequestPayloadError):
            status = 400
        if status < 500:
            self.refused(str(status))
        else:
            log.line("error", "a request failed", problem=type(exc).__name__, where=log.where(exc) if exc else "")
        answer = Refusal(status=status, headers={request_id.HEADER: request_id.fresh()})
        answer.force_close()
        return answer


def lend(
    server: web.Server,
    loop: asyncio.AbstractEventLoop,
    finished: Callable[[bool], None],
    refused: Callable[[str], None],
) -> Lent:
    """Return aiohttp's side for one connection.

    `finished(stays_open)` is called after each answer, `refused(status)` for each request that aiohttp cannot read.
    """
    return Lent(
        server,
        loop=loop,
        finished=finished,
        refused=refused,
        access_log=None,
        keepalive_timeout=_NEVER_S,  # `connection` closes idle connections
        lingering_time=_LINGER_S,
        auto_decompress=False,  # post.py inflates, with a bound
        max_line_size=REQUEST_LINE_BYTES + 16,
        max_field_size=HEADERS_BYTES,
    )

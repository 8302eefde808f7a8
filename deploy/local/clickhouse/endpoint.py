"""The answers of ClickHouse's HTTP interface: one statement a request, its result or its error."""

import asyncio
import contextlib
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

import msgspec
from aiohttp import web

from deploy.local.clickhouse import coding
from deploy.local.clickhouse.body import PIECE_BYTES, Body
from deploy.local.clickhouse.engine import Engine, Handle, QueryError, Result
from deploy.local.clickhouse.request import Request, User, read
from deploy.local.clickhouse.statement import Query, Rows
from deploy.local.clickhouse.statement import read as read_statement

RESULT_MAX_BYTES: Final = 512 << 20
"""Of a result that is made whole before it is sent; a client may set `max_result_bytes` itself."""


class Session:
    """What SET, USE and temporary tables of one `session_id` live in."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.busy = asyncio.Lock()
        self.until = 0.0


class Endpoint:
    """The HTTP surface: routes, users, sessions."""

    def __init__(self, engine: Engine, users: Mapping[str, User], now: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._users = users
        self._now = now
        self._sessions: dict[tuple[str, str], Session] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return every path that is served."""
        return [
            web.get("/ping", self._ok),
            web.get("/replicas_status", self._ok),
            web.get("/", self._statement),
            web.post("/", self._statement),
        ]

    async def close(self) -> None:
        """End every session."""
        for session in self._sessions.values():
            await self._engine.whole(session.handle.close)
        self._sessions.clear()

    async def _ok(self, _: web.Request) -> web.Response:
        return web.Response(text="Ok.\n", content_type="text/html", charset="UTF-8")

    async def _statement(self, request: web.Request) -> web.StreamResponse:
        if request.method in ("GET", "HEAD") and not request.query_string:
            return await self._ok(request)
        query_id = request.query.get("query_id") or str(uuid.uuid4())
        if not query_id.isprintable() or not query_id.isascii():
            query_id = str(uuid.uuid4())
        try:
            return await self._answer(request, read(request, self._users, query_id))
        except QueryError as error:
            return self._refusal(request, error, query_id)

    def _refusal(self, request: web.Request, error: QueryError, query_id: str) -> web.Response:
        headers = self._headers(query_id) | {"X-ClickHouse-Exception-Code": str(error.code)}
        status = coding.status(error.name)
        if status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
        # What is left of the body would be read as the next request.
        response = web.Response(status=status, text=self._complaint(error), headers=headers)
        if request.can_read_body:
            response.force_close()
        return response

    def _complaint(self, error: QueryError) -> str:
        return f"{error} (version {self._engine.version})\n"

    def _headers(self, query_id: str) -> dict[str, str]:
        return {
            "X-ClickHouse-Query-Id": query_id,
            "X-ClickHouse-Server-Display-Name": "pharos-local",
            "X-ClickHouse-Timezone": self._engine.timezone,
        }

    async def _answer(self, request: web.Request, how: Request) -> web.StreamResponse:
        body = await Body.of(request)
        if body.parameters:
            how = msgspec.structs.replace(how, parameters={**how.parameters, **body.parameters})
        head = await body.head()
        statement = read_statement(head)
        if isinstance(statement, Rows):
            async with self._engine.lane(writes=True), self._prepared(how) as handle:
                result = await self._insert(handle, statement, head, body)
            return self._empty(how, result)
        sql = await body.rest(head)
        # The head may have been cut off: what ends the statement counts too.
        statement = read_statement(sql.encode())
        if isinstance(statement, Rows) or statement.files:
            raise QueryError.named(358, "INTO_OUTFILE_NOT_ALLOWED", "INTO OUTFILE and FROM INFILE are not allowed")
        if statement.several:
            raise QueryError.named(62, "SYNTAX_ERROR", "Syntax error (Multi-statements are not allowed)")
        if how.user.read_only and not statement.only_reads:
            text = f"{how.user.name}: Cannot execute query in readonly mode."
            raise QueryError.named(164, "READONLY", text)
        async with self._engine.lane(writes=not statement.answers), self._prepared(how, statement) as handle:
            if not statement.answers:
                return self._empty(how, await self._engine.whole(handle.query, sql, "TabSeparated", how.parameters))
            return await self._select(request, how, statement, handle, sql)

    @contextlib.asynccontextmanager
    async def _prepared(self, how: Request, statement: Query | None = None) -> AsyncIterator[Handle]:
        """Give a handle with the request's database and settings: a new one, or the session's."""
        tag = how.settings["log_comment"]
        session = await self._session(how, statement)
        if session is None:
            async with self._engine.handle(tag) as handle:
                await self._engine.whole(_prepare, handle, how)
                yield handle
            return
        if session.busy.locked():
            raise QueryError.named(
                373, "SESSION_IS_LOCKED", f"Session {how.session_id} is locked by a concurrent client."
            )
        async with session.busy:
            handle = session.handle
            handle.tag = tag
            keeps = statement is not None and statement.keeps_state
            before = {} if keeps else await self._engine.whole(handle.values, list(how.settings))
            await self._engine.whole(_prepare, handle, how)
            try:
                yield handle
            finally:
                session.until = self._now() + how.session_s
                if before:
                    await self._engine.whole(handle.set, before)

    async def _session(self, how: Request, statement: Query | None) -> Session | None:
        for key in [key for key, old in self._sessions.items() if old.until < self._now() and not old.busy.locked()]:
            await self._engine.whole(self._sessions.pop(key).handle.close)
        if not how.session_id:
            return None
        key = (how.user.name, how.session_id)
        if key not in self._sessions:
            # Most clients name a session and never use it: only SET, USE and temporary tables make one.
            if statement is None or not statement.keeps_state:
                return None
            self._sessions[key] = Session(await self._engine.open(how.query_id))
        session = self._sessions[key]
        session.until = self._now() + how.session_s
        return session

    async def _insert(self, handle: Handle, rows: Rows, head: bytes, body: "Body") -> Result:
        insert = await self._engine.whole(handle.insert, rows.head, rows.format)
        try:
            piece = head[rows.rows_at :]
            while piece or not body.ended:
                if piece:
                    await self._engine.whole(handle.feed, insert, piece)
                piece = await body.piece()
            return await self._engine.whole(handle.written, insert)
        finally:
            # Undoes what was not ended; nothing to do after `written`.
            await self._engine.whole(insert.cancel)

    def _empty(self, how: Request, result: Result) -> web.Response:
        headers = self._headers(how.query_id) | {"X-ClickHouse-Summary": _summary(result)}
        return web.Response(headers=headers, content_type="text/plain", charset="UTF-8")

    async def _select(
        self, request: web.Request, how: Request, statement: Query, handle: Handle, sql: str
    ) -> web.StreamResponse:
        form = statement.format or how.default_format
        headers = self._headers(how.query_id) | {
            "X-ClickHouse-Format": form,
            "Content-Type": coding.content_type(form),
        }
        if how.coding:
            headers["Content-Encoding"] = how.coding
        if not statement.streams or form.lower() not in coding.STREAMED:
            result = await self._engine.call(handle, handle.query, sql, form, how.parameters)
            headers["X-ClickHouse-Summary"] = _summary(result)
            response = web.StreamResponse(headers=headers)
            await response.prepare(request)
            pack = coding.compressor(how.coding, native=how.native)
            for at in range(0, len(result.data), PIECE_BYTES):
                await response.write(await self._engine.whole(pack.add, result.data[at : at + PIECE_BYTES]))
            await response.write_eof(pack.end())
            return response
        following = await self._engine.call(handle, handle.stream, sql, form, how.parameters)
        block = await self._engine.call(handle, following)
        tag = secrets.token_hex(8)
        headers["X-ClickHouse-Exception-Tag"] = tag
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        pack = coding.compressor(how.coding, native=how.native)
        try:
            while block is not None:
                await response.write(await self._engine.whole(pack.add, block))
                block = await self._engine.call(handle, following)
        except QueryError as error:
            await response.write(pack.add(_late(self._complaint(error), tag)))
            # No last chunk: a client that does not know the tag still sees that the answer is cut off.
            if request.transport is not None:
                request.transport.close()
            return response
        await response.write_eof(pack.end())
        return response


def _late(message: str, tag: str) -> bytes:
    """Return an error that came after the first block, in the form ClickHouse gives it."""
    text = message.rstrip("\n").encode()
    return b"\r\n__exception__\r\n%s\r\n%s\n%d %s\r\n__exception__\r\n" % (
        tag.encode(),
        text,
        len(text) + 1,
        tag.encode(),
    )


def _prepare(handle: Handle, how: Request) -> None:
    if how.database:
        handle.use(how.database)
    handle.set({"max_result_bytes": str(RESULT_MAX_BYTES), "result_overflow_mode": "throw"} | how.settings)


def _summary(result: Result) -> str:
    fields = {
        "read_rows": result.read_rows,
        "read_bytes": result.read_bytes,
        "written_rows": result.written_rows,
        "written_bytes": result.written_bytes,
        "result_rows": result.result_rows,
        "result_bytes": len(result.data),
        "elapsed_ns": int(result.elapsed_s * 1e9),
    }
    return msgspec.json.encode({name: str(value) for name, value in fields.items()}).decode()

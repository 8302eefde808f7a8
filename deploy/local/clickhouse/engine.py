"""chDB opened on one folder: a handle of its own for every request, threads to run it on, and a way to stop it.

Settings, the database and `readonly` belong to a handle, and a handle lives for one request (or one session), so that
no setting of a request can affect another. A handle costs about half a millisecond.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import chdb
import msgspec

T = TypeVar("T")

# Since 26.7 EXPLAIN writes each nested expression out in full, again and again: of an attribution view that takes all
# the machine's memory, past max_memory_usage.
_DEFAULTS: Final = "explain_query_plan_default=legacy"
_ERROR: Final = re.compile(r"Code: (\d+)\. (DB::Exception: .*)", re.DOTALL)
_NAME: Final = re.compile(r"\(([A-Z][A-Z0-9_]+)\)(?: \(version [^)]*\))?\s*$")
_VERSION: Final = re.compile(r" \(version [^)]*\)")


class QueryError(Exception):
    """ClickHouse's error.

    Attributes:
        code: ClickHouse's number of the error, such as 60.
        name: its name, such as "UNKNOWN_TABLE".
    """

    def __init__(self, code: int, name: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.name = name

    @classmethod
    def of(cls, error: Exception) -> "QueryError":
        """Read the engine's exception; one without a code is reported as ClickHouse's UNKNOWN_EXCEPTION."""
        text = str(error)
        found = _ERROR.search(text)
        if found is None:
            return cls(1002, "UNKNOWN_EXCEPTION", f"Code: 1002. DB::Exception: {text} (UNKNOWN_EXCEPTION)")
        message = _VERSION.sub("", text[found.start() :]).strip()
        name = _NAME.search(message)
        return cls(int(found.group(1)), name.group(1) if name else "", message)

    @classmethod
    def named(cls, code: int, name: str, message: str) -> "QueryError":
        """Make an error of our own in ClickHouse's form."""
        return cls(code, name, f"Code: {code}. DB::Exception: {message} ({name})")


class Result(msgspec.Struct, frozen=True):
    """A statement's whole answer."""

    data: bytes
    read_rows: int
    read_bytes: int
    written_rows: int
    written_bytes: int
    result_rows: int
    elapsed_s: float


def _quote(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


class Handle:
    """One connection to the engine; used by one thread at a time. Every method blocks, and raises QueryError."""

    def __init__(self, path: Path, tag: str, config: Path | None = None) -> None:
        self.tag = tag
        options = f"{_DEFAULTS}&config-file={config}" if config else _DEFAULTS
        self._connection = chdb.connect(f"{path}?{options}")  # type: ignore[no-untyped-call]

    def set(self, settings: Mapping[str, str]) -> None:
        """Apply settings, all at once."""
        for name in settings:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise QueryError.named(115, "UNKNOWN_SETTING", f"Unknown setting '{name}'")
        if settings:
            self._run("SET " + ", ".join(f"{name} = {_quote(value)}" for name, value in settings.items()))

    def use(self, database: str) -> None:
        """Make `database` the one that names without a database mean."""
        self._run("USE `" + database.replace("\\", "\\\\").replace("`", "\\`") + "`")

    def values(self, names: list[str]) -> dict[str, str]:
        """Return the settings' present values."""
        listed = ", ".join(_quote(name) for name in names)
        sql = f"SELECT name, value FROM system.settings WHERE name IN ({listed})"  # noqa: S608  quoted above
        rows = self._run(sql, "JSONCompactEachRow").bytes().splitlines()
        return dict(msgspec.json.decode(row, type=tuple[str, str]) for row in rows)

    def query(self, sql: str, form: str, parameters: Mapping[str, str]) -> Result:
        """Run a statement to its end; `form` is the result's format where the statement names none."""
        result = self._run(sql, form, parameters)
        return Result(
            data=result.bytes(),
            read_rows=result.storage_rows_read(),
            read_bytes=result.storage_bytes_read(),
            written_rows=result.rows_written(),
            written_bytes=result.bytes_written(),
            result_rows=result.rows_read(),
            elapsed_s=result.elapsed(),
        )

    def stream(self, sql: str, form: str, parameters: Mapping[str, str]) -> Callable[[], bytes | None]:
        """Start a SELECT; each call of what is returned gives the next block in its format, None at the end."""
        try:
            blocks = self._connection.send_query(sql, form, params=dict(parameters))
        except RuntimeError as error:
            raise QueryError.of(error) from error

        def following() -> bytes | None:
            try:
                block = blocks.fetch()
            except RuntimeError as error:
                raise QueryError.of(error) from error
            return None if block is None else bytes(block.bytes())

        return following

    def insert(self, head: str, form: str) -> Any:
        """Start an INSERT; the rows go to `feed`, then `written`."""
        try:
            return self._connection.send_insert(head, form)
        except RuntimeError as error:
            raise QueryError.of(error) from error

    def feed(self, insert: Any, rows: bytes) -> None:
        """Hand over more rows in the INSERT's format, cut anywhere."""
        try:
            insert.append(rows)
        except RuntimeError as error:
            raise QueryError.of(error) from error

    def written(self, insert: Any) -> Result:
        """End the INSERT: when this returns, ClickHouse has the rows."""
        try:
            done = insert.finish()
        except RuntimeError as error:
            raise QueryError.of(error) from error
        return Result(
            b"", done.rows_written, done.bytes_written, done.rows_written, done.bytes_written, 0, done.elapsed
        )

    def close(self) -> None:
        """Give the connection back; an INSERT that was not ended is undone."""
        self._connection.close()

    def _run(self, sql: str, form: str = "TabSeparated", parameters: Mapping[str, str] | None = None) -> Any:
        try:
            return self._connection.query(sql, form, params=dict(parameters or {}))
        except RuntimeError as error:
            raise QueryError.of(error) from error


class Engine:
    """The engine of one data folder: one process may open a folder, and only one folder at a time."""

    def __init__(self, path: Path, *, queries: int = 8, inserts: int = 4, config: Path | None = None) -> None:
        """`config` is a file in the form of ClickHouse's config.xml."""
        self._path = path
        self._config = config
        self._queries = asyncio.Semaphore(queries)
        self._inserts = asyncio.Semaphore(inserts)
        # Threads beyond the two bounds serve sessions' handles and kills.
        self._threads = ThreadPoolExecutor(queries + inserts + 4, thread_name_prefix="chdb")
        self._keeper = Handle(path, "keeper", config)
        head = self._keeper.query("SELECT version(), timezone()", "JSONCompactEachRow", {}).data
        self.version, self.timezone = msgspec.json.decode(head, type=tuple[str, str])

    def lane(self, *, writes: bool) -> asyncio.Semaphore:
        """Return what bounds the statements that run at one time; inserts have bounds of their own."""
        return self._inserts if writes else self._queries

    @contextlib.asynccontextmanager
    async def handle(self, tag: str) -> AsyncIterator[Handle]:
        """Give a new handle. Its settings have `tag`, by which `call` finds the query that runs on it."""
        handle = await self._threaded(Handle, self._path, tag, self._config)
        try:
            yield handle
        finally:
            await asyncio.shield(self._threaded(handle.close))

    async def open(self, tag: str) -> Handle:
        """Return a handle that the caller closes."""
        return await self._threaded(Handle, self._path, tag, self._config)

    async def call(self, handle: Handle, work: Callable[..., T], *arguments: object) -> T:
        """Run the handle's blocking `work` on a thread; when the caller is cancelled, stop it there, then cancel."""
        running = asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.shield(self._stop(handle, running))
            raise

    async def whole(self, work: Callable[..., T], *arguments: object) -> T:
        """Run blocking `work` that must not be left half done: a caller's cancellation waits for it."""
        running = asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            raise

    def close(self) -> None:
        """End the engine: waits for what runs, closes the folder."""
        self._threads.shutdown(wait=True)
        self._keeper.close()

    async def _threaded(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    async def _stop(self, handle: Handle, running: "asyncio.Future[T]") -> None:
        # A kill can arrive before the statement is listed: repeat until the thread is back.
        sql = f"KILL QUERY WHERE Settings['log_comment'] = {_quote(handle.tag)} ASYNC"
        while not running.done():
            killer = await self._threaded(Handle, self._path, "kill", self._config)
            await self._threaded(killer.query, sql, "TabSeparated", {})
            await self._threaded(killer.close)
            await asyncio.wait([running], timeout=0.1)
        if not running.cancelled():
            running.exception()

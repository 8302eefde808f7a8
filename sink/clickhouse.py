"""Inserts into ClickHouse, and what each answer means for the rows: stored, retry, refused, or stop."""

import contextlib
import io
import re
import socket
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any, Final, Protocol, cast

import clickhouse_connect
import clickhouse_connect.common
from clickhouse_connect.driver.exceptions import ClickHouseError, Error

from enricher.contract import COLUMNS, ROW_FORMAT
from sink.settings import Settings

TABLE: Final = "pharos.event_log"
"""Where events are stored."""
ROWS_TABLE: Final = "pharos.event_rows"
"""What is inserted into, on the Null engine; a materialized view hands its rows on to TABLE."""
FED_TABLES: Final = tuple(
    f"pharos.{name}" for name in ("names", "authenticated", "rare_events", "refunds", "identities", "refusals")
)
"""Tables that ClickHouse fills from TABLE at each insert; each has a `received_at`."""
CLOSED_DAYS: Final = "pharos.closed_days"
"""Which days are closed."""
CLOSED_TABLES: Final = tuple(
    f"pharos.closed_{name}" for name in ("sessions", "touches", "restless", "ids", "counts", "arrivals", "begun")
)
"""Tables that `sink.closed_days` fills; each has a site, a day and a generation."""
PROBE_TABLE: Final = "pharos.event_probe"
"""A copy of ROWS_TABLE without the view: checks rows, and nothing is stored."""

SILENT_S: Final = 20
"""Seconds after which a connection is closed whose other end acknowledges nothing. ClickHouse may be elsewhere by then,
and an insert that went to its old address would wait for its whole timeout. A slow ClickHouse acknowledges."""

INSERT_SETTINGS: Final[dict[str, object]] = {
    # Older and newer enrichers write shorter and longer rows.
    "input_format_json_compact_allow_variable_number_of_columns": 1,
    # One insert is one block, so that it is stored, refused and deduplicated as a whole; see docs/sink.md.
    "input_format_parallel_parsing": 0,
    "max_insert_threads": 1,
    "max_insert_block_size": 1_000_000_000,
    "min_insert_block_size_rows": 1_000_000_000,
    "min_insert_block_size_bytes": 1_000_000_000_000,
    # A batch after a long outage may span many months.
    "max_partitions_per_insert_block": 0,
    # The answer is the insert's own, after the last row is on disk.
    "async_insert": 0,
    "wait_end_of_query": 1,
    "insert_deduplicate": 1,
    # Each table behind ROWS_TABLE decides for itself whether it has a repeated insert already: event_log, and those fed
    # from it, which the first attempt may not have reached.
    "deduplicate_blocks_in_dependent_materialized_views": 1,
}


class Retry(Exception):
    """The rows may be stored or not, or cannot be stored now: repeat the same insert later."""


class Refused(Exception):
    """ClickHouse cannot read these rows; the text is ClickHouse's message."""


class Stop(Exception):
    """No row would be accepted: schema, rights or settings are wrong. The text is one line that says which."""


_REFUSED: Final = frozenset({
    # Names of ClickHouse's error codes (src/Common/ErrorCodes.cpp) for what a row can have wrong.
    6, 25, 26, 27, 33, 38, 41, 72, 130, 376, 441, 467, 563, 632, 675, 676,  # CANNOT_PARSE_*, CANNOT_READ_*
    53, 69, 70, 117, 128, 131, 321, 349, 407, 469, 691,  # TYPE_MISMATCH, *_OUT_OF_BOUND, VIOLATED_CONSTRAINT, enums
})  # fmt: skip
_STOP: Final = frozenset({
    8, 10, 16, 20, 44, 47, 60, 62, 73, 81, 115, 164, 192, 193, 194, 452, 497, 516,
    # no such column/table/database/user, syntax, unknown format or setting, readonly user, wrong password, no right
})  # fmt: skip


_AROUND: Final = re.compile(
    r"^Received ClickHouse exception, code: \d+, server response: | \(version .*$| \(for url .*$"
)
"""Text that clickhouse-connect adds around ClickHouse's message."""


_VALUE: Final = re.compile(r"""\s*(?:['"`]|\bbefore\b|\bparsed text\b|\bColumn values\b).*""", re.DOTALL)


def without_row_values(message: str) -> str:
    """Return ClickHouse's message up to the point where it quotes the row: for the log."""
    return _VALUE.sub(" ...", message, count=1)[:300]


def classify(code: int | None, text: str) -> Exception:
    """Return what an error means for the rows. Errors that are not known to be permanent are retried."""
    line = _AROUND.sub("", " ".join(text.split()))
    if code in _REFUSED:
        return Refused(line[:1000])
    if code in _STOP:
        return Stop(f"ClickHouse takes no rows: {line[:500]}")
    return Retry(line[:300])


_NO_TABLE: Final = frozenset({60, 81})
"""ClickHouse's codes of UNKNOWN_TABLE and UNKNOWN_DATABASE."""


class Connection(Protocol):
    """The part of clickhouse-connect's asynchronous client that the sink uses."""

    async def raw_insert(
        self, table: str, column_names: Sequence[str], insert_block: io.BytesIO, settings: dict[str, object], fmt: str
    ) -> Any: ...

    async def command(
        self, cmd: str, parameters: dict[str, object] | None = None, *, settings: dict[str, object] | None = None
    ) -> Any: ...

    async def query(self, query: str, parameters: dict[str, object] | None = None) -> Any: ...

    async def close(self) -> None: ...


async def connect(settings: Settings, timeout_s: float | None = None) -> Connection:
    """Open a client without a session, so that inserts may run at the same time.

    Raises:
        Retry: ClickHouse cannot be reached now.
        Stop: ClickHouse refuses this user.
    """
    # clickhouse-connect reads no TLS out of the URL's scheme.
    options: dict[str, Any] = {"dsn": settings.clickhouse, "secure": settings.clickhouse.startswith("https:")}
    if settings.clickhouse_user:
        options["username"] = settings.clickhouse_user
    if settings.clickhouse_password:
        options["password"] = settings.clickhouse_password
    if settings.clickhouse_ca:
        options["ca_cert"] = settings.clickhouse_ca
    try:
        connection: Any = await clickhouse_connect.get_async_client(
            **options,
            autogenerate_session_id=False,
            query_retries=0,
            compress=False,
            connect_timeout=10,
            send_receive_timeout=timeout_s or settings.insert_timeout_s,
            client_name="pharos-sink",
        )
        # clickhouse-connect has no argument for it. The next request opens a connection with it.
        connection._backend.connector_kwargs["socket_factory"] = watched_socket
        await connection.close_connections()
    except (ClickHouseError, OSError, TimeoutError) as error:
        raise classify(getattr(error, "code", None), str(error)) from error
    return cast("Connection", connection)


@contextlib.asynccontextmanager
async def each_shard(settings: Settings, timeout_s: float | None = None) -> AsyncIterator[list[Connection]]:
    """Open a connection to a server of each shard: all, before anything is done on one.

    Raises:
        Retry: a server cannot be reached now.
        Stop: a server refuses this user, or holds one of several shards and the settings do not name them.
    """
    async with contextlib.AsyncExitStack() as stack:
        connections = []
        for one in settings.each_shard:
            connection = await connect(one, timeout_s)
            stack.push_async_callback(connection.close)
            connections.append(connection)
        if not settings.shards and await is_part(connections[0]):
            raise Stop(f"{settings.clickhouse.split('@')[-1]} holds one of several shards: set PHAROS_SINK_SHARDS")
        yield connections


async def connect_where_sites_are(settings: Settings, sites: Collection[str], timeout_s: float) -> Connection:
    """Open a connection to a server that holds all of these sites, or every site.

    Raises:
        Retry: it cannot be reached now, or holds one of several shards and no event of one of the sites.
        Stop: it refuses this user.
    """
    connection = await connect(settings, timeout_s)
    try:
        if await is_part(connection):
            here = {site for (site,) in (await connection.query("SELECT DISTINCT site FROM pharos.names")).result_rows}
            if missing := sorted(set(sites) - here):
                raise Retry(f"no event of site {missing[0]!r} is stored on this shard: ask the server that has it")  # noqa: TRY301
    except BaseException:
        await connection.close()
        raise
    return connection


async def is_part(connection: Connection) -> bool:
    """Return whether this server holds one of several shards: deploy/clickhouse/distributed.sql was run there.

    Raises:
        Retry, Stop: as `classify` says.
    """
    try:
        return bool((await connection.query("SELECT is_part FROM pharos.shard")).result_rows[0][0])
    except Error as error:
        if error.code in _NO_TABLE:
            raise Retry(
                "pharos.shard is not there: the sink makes it when it starts, or `python -m sink migrate`"
            ) from error
        raise classify(error.code, str(error)) from error


def watched_socket(address: tuple[Any, ...]) -> socket.socket:
    """Return a socket for an address, as getaddrinfo gives it, that the kernel closes after SILENT_S without a peer."""
    made = socket.socket(*address[:3])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # Linux' names: elsewhere only keep-alive with its usual times.
    for name, value in (("KEEPIDLE", 5), ("KEEPINTVL", 5), ("KEEPCNT", 3), ("USER_TIMEOUT", SILENT_S * 1000)):
        if hasattr(socket, f"TCP_{name}"):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, f"TCP_{name}"), value)
    return made


async def insert(connection: Connection, body: bytes, token: str | None, table: str = ROWS_TABLE) -> None:
    """Insert rows; returns when they are stored, by this call or by an earlier one with the same token.

    Raises:
        Retry, Refused, Stop: see these. After Refused and Stop nothing of `body` is stored.
    """
    settings = dict(INSERT_SETTINGS)
    if table not in (ROWS_TABLE, PROBE_TABLE):
        settings["distributed_foreground_insert"] = 1  # waits for every shard, and passes the token on
    if token is not None:
        settings["insert_deduplication_token"] = token
    try:
        answer = await connection.raw_insert(table, COLUMNS, io.BytesIO(body), settings, ROW_FORMAT)  # no copy of bytes
    except Error as error:
        raise classify(error.code, str(error)) from error
    except (ClickHouseError, OSError, TimeoutError) as error:
        raise Retry(f"{type(error).__name__}: {error}") from error
    # ClickHouse counts a row for ROWS_TABLE, which keeps none, and one for TABLE, even if that has the insert already.
    written = int(answer.summary.get("written_rows", -1))
    if table == ROWS_TABLE and 0 <= written < 2 * body.count(b"\n"):
        raise Stop(f"{ROWS_TABLE}_feed did not hand the rows on to {TABLE}: make the view again, then start the sink")

"""What of a run ClickHouse holds: read through `clickhouse-connect`, as any analyst would."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError, ReadTimeoutError

from loadtest.traffic.request_template import ID_PREFIX, uuid_middle

# Where a hit carries its id: see request_template.py. `key` is sender and number, ten hex digits; empty for other hits.
_IDS = """
WITH multiIf(client_event_id != '', client_event_id, props['lt'] != '', props['lt'], click_id) AS id,
    multiIf(startsWith(id, {prefix:String}), concat(substring(id, 12, 2), substring(id, 15, 8)),
            substring(id, 15, 12) = {middle:String}, substring(id, 27, 10), '') AS key
"""
_OF_RUN = "occurred_at >= fromUnixTimestamp64Milli({since:Int64}) AND key != ''"
_COUNT = f"{_IDS} SELECT count() FROM pharos.events WHERE {_OF_RUN}"  # noqa: S608
_EVENTS = f"""{_IDS}
SELECT reinterpretAsUInt8(unhex(substring(key, 1, 2))), reinterpretAsUInt32(reverse(unhex(substring(key, 3, 8))))
FROM pharos.events WHERE {_OF_RUN}
"""  # noqa: S608
_LOG = _EVENTS.replace("pharos.events", "pharos.event_log")
_VISIBLE = f"""{_IDS}
SELECT key FROM pharos.events WHERE {_OF_RUN} AND has(splitByChar('.', {{keys:String}}), key)
"""  # noqa: S608


class StoreUnavailable(RuntimeError):
    """ClickHouse does not answer, or answers with an error; the message is its first line."""


class Store(Protocol):
    """Where accepted hits end up."""

    def count(self, run: str, since: float) -> int:
        """Return how many events of the run are visible; `since` is the run's start, seconds since the epoch."""

    def rows(self, run: str, since: float, *, log: bool) -> Iterable[tuple[int, int]]:
        """Yield (sender, number) for each event, or (`log`) for each row of the storage below, where repeats show."""

    def visible(self, ids: list[str], since: float) -> set[str]:
        """Return which of these hits, named by `hit_id`, are visible now."""


class ClickHouse:
    """The store as Pharos fills it: `pharos.events`, and `pharos.event_log` below it."""

    def __init__(self, url: str) -> None:
        """Connect to ClickHouse's HTTP address, with user and password in it where needed; raises StoreUnavailable."""
        with _away():
            self._client: Any = clickhouse_connect.get_client(dsn=url, autogenerate_session_id=False)

    def count(self, run: str, since: float) -> int:
        """Return how many events of the run are visible."""
        with _away():
            return int(self._client.query(_COUNT, parameters=_parameters(run, since)).result_rows[0][0])

    def rows(self, run: str, since: float, *, log: bool) -> Iterable[tuple[int, int]]:
        """Yield (sender, number) of each row."""
        query = _LOG if log else _EVENTS
        with _away(), self._client.query_column_block_stream(query, parameters=_parameters(run, since)) as stream:
            for senders, numbers in stream:
                yield from zip(senders, numbers, strict=True)

    def visible(self, ids: list[str], since: float) -> set[str]:
        """Return which of these hits, all of one run and named by `hit_id`, are visible now."""
        keys = {identifier[11:13] + identifier[14:]: identifier for identifier in ids}
        # As one short text: a longer question would leave the URL, and not every endpoint takes it in a form.
        parameters = _parameters(ids[0][2:10], since) | {"since": int(since * 1000), "keys": ".".join(keys)}
        with _away():
            result = self._client.query(_VISIBLE, parameters=parameters)
        return {keys[row[0]] for row in result.result_rows}

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


@contextmanager
def _away() -> Iterator[None]:
    """Turn what the client raises into StoreUnavailable."""
    try:
        yield
    except (ClickHouseError, HTTPError, OSError) as problem:
        raise StoreUnavailable(reason(problem)) from problem


def reason(problem: BaseException) -> str:
    """Return in a few words why a request failed: the system's own reason if there is one, else the first line."""
    cause: BaseException | None = problem
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return f"no connection: {cause.strerror}"
        if isinstance(cause, TimeoutError | ReadTimeoutError):
            return "no answer in time"
        nested = getattr(cause, "reason", None)
        cause = nested if isinstance(nested, BaseException) else cause.__cause__ or cause.__context__
    # Of ClickHouse's own error only what it says, without the client's and the server's names for it.
    return str(problem).partition("\n")[0].rpartition("DB::Exception: ")[2][:160]


def _parameters(run: str, since: float) -> dict[str, object]:
    # A minute earlier than the start: the collector's clock is another one.
    return {"since": int((since - 60) * 1000), "prefix": f"{ID_PREFIX}{run}-", "middle": uuid_middle(run)}

"""What of a run ClickHouse holds: read through `clickhouse-connect`, as any analyst would."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from loadtest.traffic.request_template import ID_PREFIX

# Where a hit carries its id: see templates.py.
_COUNT = """
WITH multiIf(client_event_id != '', client_event_id, props['lt'] != '', props['lt'], click_id) AS id
SELECT count() FROM pharos.events
WHERE occurred_at >= fromUnixTimestamp64Milli({since:Int64}) AND startsWith(id, {prefix:String})
"""
_EVENTS = """
WITH multiIf(client_event_id != '', client_event_id, props['lt'] != '', props['lt'], click_id) AS id
SELECT reinterpretAsUInt8(unhex(substring(id, 12, 2))), reinterpretAsUInt32(reverse(unhex(substring(id, 15, 8))))
FROM pharos.events
WHERE occurred_at >= fromUnixTimestamp64Milli({since:Int64}) AND startsWith(id, {prefix:String})
"""
_LOG = _EVENTS.replace("pharos.events", "pharos.event_log")
_VISIBLE = """
WITH multiIf(client_event_id != '', client_event_id, props['lt'] != '', props['lt'], click_id) AS id
SELECT id FROM pharos.events
WHERE occurred_at >= fromUnixTimestamp64Milli({since:Int64}) AND startsWith(id, {prefix:String})
    AND has(splitByChar('.', {rests:String}), substring(id, 12))
"""


class StoreUnavailable(RuntimeError):
    """ClickHouse does not answer, or answers with an error; the message is its first line."""


class Store(Protocol):
    """Where accepted hits end up."""

    def count(self, run: str, since: float) -> int:
        """Return how many events of the run are visible; `since` is the run's start, seconds since the epoch."""

    def rows(self, run: str, since: float, *, log: bool) -> Iterable[tuple[int, int]]:
        """Yield (sender, number) for each event, or (`log`) for each row of the storage below, where repeats show."""

    def visible(self, ids: list[str], since: float) -> set[str]:
        """Return which of these hit ids are visible now."""


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
        """Return which of these hit ids, all of one run, are visible now."""
        # As one short text: a longer question would leave the URL, and not every endpoint takes it in a form.
        asked = {"since": int(since * 1000), "prefix": ids[0][:11], "rests": ".".join(i[11:] for i in ids)}
        with _away():
            result = self._client.query(_VISIBLE, parameters=asked)
        return {row[0] for row in result.result_rows}

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


@contextmanager
def _away() -> Iterator[None]:
    """Turn what the client raises into StoreUnavailable."""
    try:
        yield
    except (ClickHouseError, HTTPError, OSError) as problem:
        raise StoreUnavailable(str(problem).partition("\n")[0][:160]) from problem


def _parameters(run: str, since: float) -> dict[str, object]:
    # A minute earlier than the start: the collector's clock is another one.
    return {"since": int((since - 60) * 1000), "prefix": f"{ID_PREFIX}{run}-"}

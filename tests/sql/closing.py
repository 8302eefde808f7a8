"""Closes days of the warehouse from tests: the sink's own code over a client that blocks."""

import asyncio
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

from clickhouse_connect.driver.client import Client

from sink.closed_days import Closer, Pass
from tests.sql.warehouse import Warehouse


class Blocking:
    """The sink's Connection over a client that blocks."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def command(self, cmd: str, parameters: Any = None, *, settings: Any = None) -> Any:
        return self._client.command(cmd, parameters=parameters, settings=settings)

    async def query(self, query: str, parameters: Any = None) -> Any:
        return self._client.query(query, parameters=parameters)

    async def raw_insert(
        self, table: str, column_names: Sequence[str], insert_block: BytesIO, settings: dict[str, object], fmt: str
    ) -> Any:
        raise NotImplementedError

    async def close(self) -> None:
        """Leave the client open: it is the warehouse's."""


def close(warehouse: Warehouse, site: str, crash_at: Callable[[str], None] = lambda _: None) -> Pass:
    """Run one pass over a site. No row is on its way, and no query runs."""
    closer = Closer(Blocking(warehouse.client), settle_ms=0, keep_ms=0, crash_at=crash_at)
    return asyncio.run(closer.run(site))

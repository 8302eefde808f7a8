"""The kernel ends a connection to a ClickHouse that is not there any more; partitions.py shows the effect."""

import socket
from typing import Any

import pytest

from sink import clickhouse
from sink.settings import Settings
from tests.clickhouse import ClickHouse


async def test_each_connection_is_watched(storage: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[socket.socket] = []
    make = clickhouse.watched_socket

    def remember(address: tuple[Any, ...]) -> socket.socket:
        made.append(make(address))
        return made[-1]

    monkeypatch.setattr(clickhouse, "watched_socket", remember)
    connection = await clickhouse.connect(Settings(clickhouse=storage.url))
    try:
        await connection.command("SELECT 1")
        (used,) = made
        assert used.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert used.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == clickhouse.SILENT_S * 1000
    finally:
        await connection.close()


async def test_a_server_without_the_schema_is_asked_again(bare_storage: ClickHouse) -> None:
    """A forwarder may start before the sink has made the tables."""
    with pytest.raises(clickhouse.Retry, match="sink migrate"):
        await clickhouse.connect_where_sites_are(Settings(clickhouse=bare_storage.url), ["shop"], 10)

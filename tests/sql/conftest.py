"""One ClickHouse for the tests of the SQL, with our schema."""

from collections.abc import Iterator

import pytest

from tests.clickhouse import ClickHouse
from tests.sql.warehouse import Warehouse


@pytest.fixture(scope="session")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """An endpoint of our own, since the views' database has one name; tests keep apart by their sites."""
    endpoint = ClickHouse(tmp_path_factory.mktemp("sql"), schema=True)
    endpoint.start()
    yield Warehouse(endpoint.client())
    endpoint.kill()

"""The running system: the three programs between a broker and a ClickHouse endpoint of their own."""

import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.brokers import Broker
from tests.clickhouse import ClickHouse
from tests.e2e.system import SITES, TOKEN, System


@pytest.fixture(scope="session")
def own_clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    """An endpoint whose `pharos` is the end-to-end tests' alone."""
    endpoint = ClickHouse(tmp_path_factory.mktemp("clickhouse"), schema=True)
    endpoint.start()
    yield endpoint
    endpoint.kill()


@pytest.fixture
async def system(broker: Broker, own_clickhouse: ClickHouse, tmp_path: Path) -> AsyncIterator[System]:
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    whole = System(tmp_path, broker, own_clickhouse, SITES.format(digest=digest))
    own_clickhouse.empty()
    try:
        await whole.start()
        yield whole
    finally:
        whole.kill()

"""One ClickHouse with the demo's month, one page server and one browser for the tests of the report."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.browser import chromium
from tests.clickhouse import ClickHouse
from tests.report.servers import clickhouse, served


@pytest.fixture(scope="session")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    found = clickhouse(tmp_path_factory.mktemp("report"))
    yield found
    found.kill()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(warehouse: ClickHouse) -> AsyncIterator[str]:
    async with served(warehouse.url) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as found:
        yield found

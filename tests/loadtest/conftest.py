"""Ends the driver processes that the tests share."""

from collections.abc import Iterator

import pytest

from tests.loadtest.faulty import SENDERS


@pytest.fixture(scope="session", autouse=True)
def _senders() -> Iterator[None]:
    yield
    SENDERS.close()

"""A pytest plugin: no test counts unless the stages under test are the compiled ones."""

import pytest

from collector.http import fast_path
from enricher.rules import sent_fields


def pytest_collection_finish(session: pytest.Session) -> None:
    """End the run where one is interpreted."""
    for module in (fast_path, sent_fields):
        if not str(module.__file__).endswith(".so"):
            pytest.exit(f"not compiled: {module.__file__}", returncode=3)

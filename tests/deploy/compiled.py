"""A pytest plugin: no test counts unless the collector under test is the compiled one."""

import pytest

from collector import shortcut


def pytest_collection_finish(session: pytest.Session) -> None:
    """End the run where the collector is interpreted."""
    if not shortcut.__file__.endswith(".so"):
        pytest.exit(f"the collector is not compiled: {shortcut.__file__}", returncode=3)

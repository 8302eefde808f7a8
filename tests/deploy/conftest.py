"""Fixtures of the deployment's tests."""

from pathlib import Path

import pytest

from deploy import native as compiling
from tests import needs


@pytest.fixture(scope="session")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three packages as the image has them: the collector's way of a hit compiled."""
    folder = tmp_path_factory.mktemp("native")
    try:
        compiling.compiler()
    except compiling.Impossible as why:
        needs.missing(str(why))
    compiling.build(folder)
    return folder

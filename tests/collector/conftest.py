"""Fixtures of the collector's tests."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.collector.running import Running
from tests.processes import Program


@pytest.fixture
def collector(tmp_path: Path, start: Callable[..., Program]) -> Callable[..., Running]:
    """`collector(kafka=..., topic_raw=..., **settings)`: a collector, not yet started, in a folder of its own."""
    made = iter(range(100))

    def make(**settings: object) -> Running:
        return Running(tmp_path / f"collector-{next(made)}", start, sys.executable, **settings)

    return make

"""stage/aiokafka_internals.py is used with the minor version of aiokafka that it was written for."""

import tomllib
from pathlib import Path

import aiokafka

from stage.aiokafka_internals import WRITTEN_FOR

ROOT = Path(__file__).parents[2]


def test_the_installed_version_is_the_one_that_was_read() -> None:
    assert aiokafka.__version__.startswith(f"{WRITTEN_FOR}.")


def test_the_pin_allows_no_other_minor_version() -> None:
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (line,) = [one for one in dependencies if one.startswith("aiokafka")]
    major, minor = WRITTEN_FOR.split(".")
    assert line.partition("]")[2] == f">={WRITTEN_FOR},<{major}.{int(minor) + 1}"

"""The order of files with several workers: the longest begin first."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.ci.order import LONGEST, pytest_collection_modifyitems

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("name", LONGEST)
def test_every_file_of_the_list_exists(name: str) -> None:
    assert (TESTS / f"{name}.py").is_file()


@pytest.mark.parametrize("worker", [True, False])
def test_the_longest_begin_first_where_there_are_workers(worker: bool) -> None:
    names = ["test_words", LONGEST[1], "stage/test_units", LONGEST[0]]
    items: list[Any] = [SimpleNamespace(path=TESTS / f"{name}.py") for name in names]
    config: Any = SimpleNamespace(workerinput={}) if worker else SimpleNamespace()
    pytest_collection_modifyitems(config, items)
    expected = [LONGEST[0], LONGEST[1], "test_words", "stage/test_units"] if worker else names
    assert [str(item.path.relative_to(TESTS).with_suffix("")) for item in items] == expected

"""Inputs of public reports and others of the same kinds: what each becomes (`cases.yml`)."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from enricher.commands.explain import answers
from enricher.row.enrich import Enricher
from enricher.tables import load_enricher


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    shows: str
    input: dict[str, Any]
    expect: dict[str, str | bool] = {}
    expect_not: dict[str, str] = {}
    """Values that the columns must not have."""
    expect_not_in: dict[str, str] = {}
    """Texts that must not occur in the columns."""


CASES = msgspec.convert(yaml.safe_load((Path(__file__).parent / "cases.yml").read_bytes()), list[Case])


@pytest.fixture(scope="module")
def enricher() -> Enricher:
    return load_enricher()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.shows)
def test_case(enricher: Enricher, case: Case) -> None:
    (answer,) = answers([msgspec.json.encode(case.input)], enricher.enrich)
    row = msgspec.json.decode(answer)
    assert {name: row[name] for name in case.expect} == case.expect
    assert {name: row[name] for name in case.expect_not if row[name] == case.expect_not[name]} == {}
    assert {name: row[name] for name, text in case.expect_not_in.items() if text in row[name]} == {}


def test_every_case_shows_something_else() -> None:
    assert len({case.shows for case in CASES}) == len(CASES) >= 78
    assert all(case.expect or case.expect_not or case.expect_not_in for case in CASES)

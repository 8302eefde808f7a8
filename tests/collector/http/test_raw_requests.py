"""Smuggling, abuse and odd forms as raw bytes: both paths give the answers of tests/collector/http/raw_requests.yml."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.collector.http.both_paths import One, both

CASES: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("raw_requests.yml").read_text())
FIELDS = {"says", "send", "want", "closed", "hits", "half_close"}


def raw(case: dict[str, Any]) -> bytes:
    text = case["send"].encode("latin-1")
    return re.sub(rb"\{(\d+)\*([^{}]*)\}", lambda m: m[2] * int(m[1]), text)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[One, One]]:
    with both(tmp_path_factory.mktemp("paths")) as pair:
        yield pair


def test_every_case_is_well_formed() -> None:
    assert all(case.keys() <= FIELDS and {"says", "send", "want"} <= case.keys() for case in CASES)
    assert len({case["says"] for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["says"])
@pytest.mark.parametrize("path", ["fast", "full"])
@pytest.mark.parametrize("pieces", ["whole", "cut"])
def test_raw_bytes_get_the_answer_of_the_standard(
    paths: tuple[One, One], case: dict[str, Any], path: str, pieces: str
) -> None:
    one = paths[path == "full"]
    sent = raw(case)
    if pieces == "cut":
        middle = len(sent) // 2
        cut = [sent[:7], sent[7:middle], sent[middle:-1], sent[-1:]]
    else:
        cut = [sent]
    want = case["want"] if isinstance(case["want"], list) else [200] * case["want"]
    closes = case.get("closed", False)
    expected = len(want) + 1 if closes else len(want)
    one.hits()
    answers, closed = one.ask(*cut, expected=expected, half_close=case.get("half_close", False), wait_s=1)
    assert [answer.status for answer in answers] == want
    assert closed == closes
    assert len(one.hits()) == case.get("hits", 0)
    assert all(not connection.due for connection in one.connections.open)


def test_nothing_is_left_of_all_that(paths: tuple[One, One]) -> None:
    for one in paths:
        _, closed = one.ask(b"", half_close=True)
        assert closed
        assert len(one.connections.open) <= 1

"""The scores that docs/enrichment.md publishes hold: user agents and bots on fixtures that others keep.

A seventh of the files by default, all of them with PHAROS_TEST_SCALE=full: reading 17 MB of YAML takes a while.
"""

import os

import pytest

from tests.enricher.score import Score, scores

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found() -> dict[str, Score]:
    return {score.what: score for score in scores(every=1 if os.environ.get("PHAROS_TEST_SCALE") == "full" else 7)}


@pytest.mark.parametrize(
    "what", ["device class", "OS family", "browser family", "people not flagged as bots", "bots flagged"]
)
def test_score(found: dict[str, Score], what: str) -> None:
    assert found[what].of > 1_500
    assert found[what].share >= found[what].wanted

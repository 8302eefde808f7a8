"""The scores that docs/enrichment.md publishes hold, on lists that others keep.

Of device-detector's fixtures a seventh of the files by default, all of them with PHAROS_TEST_SCALE=full: reading 17 MB
of YAML takes a while. The other lists are read whole.
"""

import os

import pytest

from enricher import tables
from tests.enricher import score
from tests.enricher.score import Score, patterns_that_match_people, scores

pytestmark = pytest.mark.slow

EVERY = 1 if os.environ.get("PHAROS_TEST_SCALE") == "full" else 7


@pytest.fixture(scope="module")
def found() -> dict[str, Score]:
    return {score.what: score for score in scores(EVERY)}


LABELS = (
    "device class", "OS family", "browser family",
    "people not flagged: device-detector's browsers", "people not flagged: npm user-agents",
    "people not flagged: isbot's browsers",
    "bots flagged: isbot's crawlers", "bots flagged: device-detector's bots", "bots flagged: crawler-user-agents",
    "social hosts", "search hosts", "video hosts", "shopping hosts", "sources by name",
)  # fmt: skip


@pytest.mark.parametrize("what", LABELS)
def test_score(found: dict[str, Score], what: str) -> None:
    assert set(LABELS) == found.keys()
    assert found[what].of > 20
    assert found[what].share >= found[what].wanted, found[what].misses[:20]


def test_no_pattern_of_the_package_matches_people() -> None:
    """A new version of the package with such a pattern fails here, by the pattern's name."""
    assert patterns_that_match_people(EVERY) == {}


def test_such_a_pattern_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Facebook's in-app browser, as the package once had it."""
    monkeypatch.setattr(tables, "crawlers", lambda: [{"pattern": "Chrome", "instances": []}])
    monkeypatch.setattr(score, "fixtures", lambda every: [])
    assert list(patterns_that_match_people()) == ["Chrome"]


def test_every_exception_is_a_pattern_of_the_package_and_has_a_reason() -> None:
    patterns = {entry["pattern"] for entry in tables.crawlers()}
    for each in tables.own("bots")["package_exceptions"]:
        assert each["pattern"] in patterns, "the package has dropped it: delete the exception"
        assert each["reason"]

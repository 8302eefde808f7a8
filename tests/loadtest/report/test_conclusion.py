"""The last line of a load test says what its runs mean."""

import msgspec
import pytest

from loadtest.check.audit import Audit
from loadtest.report import result
from loadtest.report.conclusion import conclusion
from tests.loadtest.report.samples import RESULT

CLEAN = msgspec.structs.replace(
    RESULT, exit_code=result.CLEAN, broken=[], faults=[], audit=Audit(sent=40, accepted=1234, stored=1234)
)
BOTTLENECK = msgspec.structs.replace(CLEAN, exit_code=result.BOTTLENECK, bottleneck="a sender was late")
NOT_AUDITED = msgspec.structs.replace(CLEAN, audit=None)


@pytest.mark.parametrize(
    ("results", "sentence"),
    [
        ([CLEAN], "CLEAN: all 1,234 accepted hits are stored, each exactly once."),
        ([CLEAN, CLEAN], "CLEAN: all 2,468 accepted hits are stored, each exactly once."),
        (
            [msgspec.structs.replace(CLEAN, faults=[(1.0, "kill"), (2.0, "kill")])],
            "CLEAN: all 1,234 accepted hits are stored, each exactly once, through 2 faults.",
        ),
        ([CLEAN, RESULT], "BROKEN: 1 accepted but missing."),
        ([BOTTLENECK, RESULT], "BROKEN: 1 accepted but missing."),
        (
            [CLEAN, BOTTLENECK],
            "NO RESULT: the load driver was the bottleneck, not the server: a sender was late.",
        ),
        (
            [NOT_AUDITED],
            "NOT AUDITED: every answer was right, but no ClickHouse was given to search for the hits.",
        ),
    ],
)
def test_one_sentence_says_what_it_means(results: list[result.Result], sentence: str) -> None:
    assert conclusion(results)[0] == sentence

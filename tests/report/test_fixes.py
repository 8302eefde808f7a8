"""Every refusal has advice in Live and in the helper."""

import re
from pathlib import Path

import pytest

from collector.policy.refusal import Refusal

TEXT = (Path(__file__).parents[2] / "tag" / "src" / "fixes.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("reason", list(Refusal))
def test_each_reason_has_a_fix(reason: Refusal) -> None:
    assert re.search(rf'case "{reason}":|^  {reason}: "', TEXT, re.MULTILINE)


def test_no_fix_is_of_a_reason_that_is_gone() -> None:
    named = {
        *re.findall(r'case "(\w+)":', TEXT),
        *re.findall(r'^  (\w+): "', TEXT.partition("FIELDS")[0], re.MULTILINE),
    }
    assert named == set(Refusal)

"""RULES rises with what the rules give: against the record of tests/enricher/rules_record.py."""

from pathlib import Path

import msgspec

from tests.enricher.rules_record import objection, recorded, tables, today


def test_what_the_rules_give_is_what_is_recorded_for_their_version() -> None:
    old, new = recorded(), today()
    assert objection(old, new) == ""
    assert new == old, "new vectors, or RULES raised: python -m tests.enricher.rules_record --write"


def test_another_answer_or_table_wants_a_new_version() -> None:
    old = recorded()
    hit = next(iter(old.answers))
    answers = msgspec.structs.replace(old, answers=old.answers | {hit: "other"})
    assert "1 known hits" in objection(old, answers)
    assert objection(old, msgspec.structs.replace(answers, rules=old.rules + 1)) == ""
    assert "tables" in objection(old, msgspec.structs.replace(old, tables="other"))
    assert "must not fall" in objection(old, msgspec.structs.replace(old, rules=old.rules - 1))
    assert objection(old, msgspec.structs.replace(old, answers=old.answers | {"new": "x"})) == ""


def test_only_what_is_looked_up_counts_of_a_table(tmp_path: Path) -> None:
    path = tmp_path / "mail.toml"
    path.write_text('[[rule]]\npattern = "a"\norigin = "somebody"\n')
    first = tables(tmp_path)
    path.write_text('# why\n[[rule]]\npattern = "a"\norigin = "somebody else"\n')
    assert tables(tmp_path) == first
    path.write_text('[[rule]]\npattern = "b"\norigin = "somebody"\n')
    assert tables(tmp_path) != first

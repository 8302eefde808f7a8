"""The schema's files are numbered without a gap and without a number given twice: else no sink starts."""

from sink.migrations import load


def test_the_migrations_can_be_loaded() -> None:
    assert load()

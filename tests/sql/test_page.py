"""docs/sql.md tells the truth: every query runs on the demo's month, and every printed answer is what it gives."""

from tests.sql.page import PAGE, answered, tell
from tests.sql.warehouse import Warehouse


def test_the_queries_give_the_printed_answers(warehouse: Warehouse) -> None:
    tell(warehouse.client)
    text = PAGE.read_text()
    assert text.count("```text") >= 10
    assert answered(warehouse.client, text).splitlines() == text.splitlines()

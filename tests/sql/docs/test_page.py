"""docs/sql.md and docs/questions.md: every query runs on the demo's month, and gives the answer that is printed."""

import re

import pytest

from deploy.grafana.dashboards import ATTRIBUTION, queries
from tests.sql.docs.page import DOCS, PAGES, answered, tell
from tests.sql.warehouse import Warehouse

TEN = re.compile(r"## A month in ten questions\n(.*?)\n## ", re.DOTALL)


def test_the_queries_give_the_printed_answers(warehouse: Warehouse) -> None:
    tell(warehouse.client)
    for page in PAGES:
        text = page.read_text()
        assert text.count("```sql") >= 25
        assert answered(warehouse.client, text).splitlines() == text.splitlines()
    warehouse.empty()
    warehouse.client.command("TRUNCATE TABLE pharos.costs")


def test_the_page_begins_with_ten_questions_of_ten_lines_at_most() -> None:
    (first,) = TEN.findall(PAGES[0].read_text())
    queries = [block.strip().splitlines() for block in re.findall(r"```sql\n(SELECT.*?|WITH.*?)```", first, re.DOTALL)]
    assert first.count("### ") == len(queries) == 10
    assert max(map(len, queries)) <= 10


ADDED = re.compile(r"\bsum(?:If)?\((?:value|gross|credit|gross_credit|cost)\b(?!\[)")
ONE_CURRENCY = re.compile(r"GROUP BY[^;)]*\bcurrency\b|currency = '[A-Z]{3}'", re.DOTALL)
SOURCES = {
    **{
        page.name: re.findall(r"```sql\n(.*?)```", page.read_text(), re.DOTALL)
        for page in (*PAGES, DOCS.parent / "README.md")
    },
    "Grafana": queries(ATTRIBUTION),
}


@pytest.mark.parametrize("source", SOURCES)
def test_money_of_several_currencies_is_never_added(source: str) -> None:
    added = [sql for sql in SOURCES[source] if ADDED.search(sql)]
    assert added
    assert [sql for sql in added if not ONE_CURRENCY.search(sql)] == []

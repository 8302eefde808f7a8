"""Costs and rates that the operator loads: a day loaded again replaces, what is no cost is refused, exports fit."""

import re
from pathlib import Path

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.sql.warehouse import Warehouse

PAGE = Path(__file__).parents[2] / "docs" / "sql.md"
COLUMNS = "(site, day, source, medium, campaign, cost, currency, clicks, impressions)"
LAST = (
    "SELECT campaign, cost, currency, clicks, impressions FROM pharos.costs FINAL WHERE site = {site:String} "
    "ORDER BY ALL"
)
META = """\
"Campaign name","Ad set name",Day,"Amount spent (EUR)",Impressions,"Link clicks","Reach"
Spring Launch,broad,2026-10-02,12.50,"1,200",30,900
Spring Launch,lookalike,2026-10-02,7.25,800,11,700
Spring Launch,broad,2026-10-03,3.00,100,,90
"""
GOOGLE = """\
Campaign performance
"October 1, 2026 - October 31, 2026"
Day,Campaign,Campaign status,Currency code,Cost,Clicks,Impr.
2026-10-02,Mugs,Enabled,EUR,"1,034.50",120,"4,000"
2026-10-03,Mugs,Enabled,EUR,10.00,2,50
,Total: Campaigns,,EUR,"1,044.50",122,"4,050"
"""


def _load(warehouse: Warehouse, site: str, *rows: str) -> None:
    for row in rows:
        # Not VALUES: chDB stores nothing and reports no error where such a row breaks a constraint.
        warehouse.client.command(f"INSERT INTO pharos.costs {COLUMNS} SELECT '{site}', {row}")


def test_a_day_that_is_loaded_again_replaces(warehouse: Warehouse) -> None:
    first = "'2026-10-02', 'google', 'cpc', 'mugs', 10, 'EUR', 5, 100"
    other = "'2026-10-02', 'google', 'cpc', 'cups', 3, 'EUR', 1, 10"
    dollars = "'2026-10-02', 'google', 'cpc', 'mugs', 4, 'USD', 2, 20"
    _load(warehouse, "loads", first, other, dollars, first.replace("10, 'EUR'", "12.5, 'EUR'"))
    expected = [("cups", 3, "EUR", 1, 10), ("mugs", 4, "USD", 2, 20), ("mugs", 12.5, "EUR", 5, 100)]
    for _ in range(2):  # before ClickHouse has merged the rows, and after
        assert [tuple(row.values()) for row in warehouse.rows(LAST, site="loads")] == expected
        warehouse.client.command("OPTIMIZE TABLE pharos.costs FINAL")
    _load(warehouse, "loads", first)  # back to what it was: the same rows as at first
    assert ("mugs", 10, "EUR", 5, 100) in [tuple(row.values()) for row in warehouse.rows(LAST, site="loads")]


@pytest.mark.parametrize(
    "row",
    [
        "'2026-10-02', '', 'cpc', 'mugs', 10, 'EUR', 5, 100",
        "'2026-10-02', 'google', 'cpc', 'mugs', 10, 'euro', 5, 100",
        "'2026-10-02', 'google', 'cpc', 'mugs', 10, '', 5, 100",
        "'1970-01-01', 'google', 'cpc', 'mugs', 10, 'EUR', 5, 100",
    ],
)
def test_what_is_no_cost_is_refused(warehouse: Warehouse, row: str) -> None:
    with pytest.raises(DatabaseError, match="VIOLATED_CONSTRAINT"):
        _load(warehouse, "refused", row)


@pytest.mark.parametrize(
    "row", ["'2026-10-02', 'USD', 'EUR', 0", "'2026-10-02', 'USD', 'EUR', nan", "'2026-10-02', '$', 'EUR', 1"]
)
def test_what_is_no_rate_is_refused(warehouse: Warehouse, row: str) -> None:
    with pytest.raises(DatabaseError, match="VIOLATED_CONSTRAINT"):
        warehouse.client.command(f"INSERT INTO pharos.rates (day, currency, into, rate) SELECT {row}")


@pytest.mark.parametrize(
    ("platform", "export", "expected"),
    [
        ("Meta", META, [("spring launch", 3, "EUR", 0, 100), ("spring launch", 19.75, "EUR", 41, 2000)]),
        ("Google", GOOGLE, [("mugs", 10, "EUR", 2, 50), ("mugs", 1034.5, "EUR", 120, 4000)]),
    ],
)
def test_the_pages_statement_loads_the_export(
    warehouse: Warehouse, platform: str, export: str, expected: list[tuple[object, ...]]
) -> None:
    """The statement of docs/sql.md; chDB has no input(), so the rows come from format() here."""
    for _ in range(2):  # a second time changes nothing
        (select, structure, rest) = re.findall(
            rf"-- {platform}: .*?\n(INSERT INTO pharos.costs.*?)input\(('.*?')\)(.*?)FORMAT CSVWithNames\n",
            PAGE.read_text(),
            re.DOTALL,
        )[0]
        site = f"export of {platform}"
        select = select.replace("'shop'", f"'{site}'")
        warehouse.client.command(f"{select}format(CSVWithNames, {structure}, '{export}'){rest}")
        assert [tuple(row.values()) for row in warehouse.rows(LAST, site=site)] == expected

"""Tables, views and columns have comments in ClickHouse; a text without its column is an error."""

import pytest

from tests.sql.docs.columns import Dictionary
from tests.sql.warehouse import Warehouse

WHERE = "WHERE database = 'pharos' AND NOT startsWith(table, 'migration') AND NOT startsWith(table, '.')"


def test_everything_that_an_editor_lists_has_a_comment(warehouse: Warehouse) -> None:
    tables = f"SELECT name FROM system.tables {WHERE} AND engine != 'MaterializedView' AND comment = ''"
    assert warehouse.rows(tables) == []
    columns = warehouse.rows(
        f"SELECT table, name, comment FROM system.columns {WHERE} AND table IN ('events', 'costs')"
    )
    assert len(columns) > 60
    assert [row for row in columns if not row["comment"]] == []
    (row,) = warehouse.rows(f"SELECT comment FROM system.tables {WHERE} AND name = 'campaigns'")
    assert "Call it as campaigns(site, conversion, " in row["comment"]
    assert row["comment"].endswith("impressions, roas, cpa.")


def test_a_column_without_a_text_and_a_text_without_a_column_are_errors() -> None:
    dictionary = Dictionary()
    with pytest.raises(ValueError, match="no text for shoe_size of events"):
        dictionary.of("events", "shoe_size")
    found = {view: [(name, "String") for name in texts if name != "is"] for view, texts in dictionary.views.items()}
    found["funnel_by"] = [("step", "UInt8")]
    with pytest.raises(ValueError, match="funnel_by has no column goal, median_s"):
        dictionary.check(found)

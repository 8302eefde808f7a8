"""Tables, views and columns have comments in ClickHouse; a text without its column is an error."""

from pathlib import Path

import pytest

from tests.sql.docs.columns import Dictionary, to_the_end
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


@pytest.mark.parametrize(
    ("released", "others", "comments"),
    [
        (0, ["0001_a.sql", "0002_b.sql", "0003_c.sql"], "0004_comments.sql"),
        (3, ["0001_a.sql", "0002_b.sql", "0003_comments.sql", "0004_c.sql"], "0005_comments.sql"),
    ],
)
def test_comments_get_the_last_number_and_what_is_released_keeps_its_own(
    released: int, others: list[str], comments: str, tmp_path: Path
) -> None:
    for name in ("0001_a.sql", "0002_b.sql", "0003_comments.sql", "0004_c.sql"):
        (tmp_path / name).touch()
    assert to_the_end(tmp_path, released).name == comments
    assert [path.name for path in sorted(tmp_path.iterdir())] == others
    (tmp_path / comments).touch()
    assert to_the_end(tmp_path, released).name == comments
    assert [path.name for path in sorted(tmp_path.iterdir())] == others


def test_a_column_without_a_text_and_a_text_without_a_column_are_errors() -> None:
    dictionary = Dictionary()
    with pytest.raises(ValueError, match="no text for shoe_size of events"):
        dictionary.of("events", "shoe_size")
    found = {view: [(name, "String") for name in texts if name != "is"] for view, texts in dictionary.views.items()}
    found["funnel_by"] = [("step", "UInt8")]
    with pytest.raises(ValueError, match="funnel_by has no column goal, median_s"):
        dictionary.check(found)

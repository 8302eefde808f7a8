"""Cost tables: as the ad managers export them, in the forms that languages give to numbers; and loaded twice."""

import contextlib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sink import clickhouse
from sink.commands import costs
from sink.commands.cost_tables import CostTableError, count_of, number_of, read, text_of
from sink.settings import Settings
from tests.clickhouse import ClickHouse

TABLES = yaml.safe_load((Path(__file__).parent / "tables.yml").read_text())


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table["name"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_table(table: dict[str, Any], encoding: str) -> None:
    text = text_of(table["text"].encode(encoding))
    if "error" in table:
        with pytest.raises(CostTableError) as raised:
            read(text, **table["options"])
        assert table["error"] in str(raised.value)
        return
    rows = read(text, **table["options"])
    assert [[one.day, one.campaign, str(one.cost), one.currency, one.clicks, one.impressions] for one in rows] == table[
        "rows"
    ]


@given(
    st.decimals(0, 10**9, places=2),
    st.sampled_from(
        [("", "."), ("", ","), (",", "."), (".", ","), (" ", ","), ("\N{NARROW NO-BREAK SPACE}", ","), ("'", ".")]
    ),
    st.sampled_from(["{}", "{} €", "$ {}", "EUR {}", " {} "]),
)
def test_a_number_in_any_form(number: Decimal, marks: tuple[str, str], form: str) -> None:
    thousands, decimal = marks
    text = f"{number:,.2f}".replace(",", "\0").replace(".", decimal).replace("\0", thousands)
    assert number_of(form.format(text)) == number


@given(st.integers(0, 10**12), st.sampled_from(["", ",", ".", " ", "'"]))
def test_a_count_in_any_form(count: int, mark: str) -> None:
    assert count_of(f"{count:,}".replace(",", mark)) == count


@given(st.text(max_size=40))
def test_any_text_is_a_number_or_an_error(text: str) -> None:
    for parse in (number_of, count_of):
        with contextlib.suppress(CostTableError):
            parse(text)


@given(st.text(max_size=300))
def test_any_text_is_a_table_or_an_error(text: str) -> None:
    for head in ("", "Day,Campaign,Cost\n"):
        with contextlib.suppress(CostTableError):
            read(head + text, site="s", source="x", medium="y", currency="EUR")


def test_an_excel_file_is_named() -> None:
    with pytest.raises(CostTableError, match="export it as CSV"):
        text_of(b"PK\x03\x04...")


async def test_a_day_that_is_loaded_again_replaces(storage: ClickHouse, tmp_path: Path) -> None:
    settings = Settings(clickhouse=storage.url)
    connection = await clickhouse.connect(settings)
    path = tmp_path / "export.csv"
    table = costs.Table(path=path, site="shop", platform="meta")
    for cost in ("12.50", "13.75"):
        path.write_text(f"Day,Campaign name,Amount spent (EUR),Impressions\n2026-11-20,Mugs,{cost},100\n")
        assert await costs.command(settings, table, dry_run=True) == 0
        assert await costs.command(settings, table, dry_run=False) == 0
    answer = await connection.query("SELECT campaign, cost, source, medium FROM pharos.costs FINAL")
    await connection.close()
    assert answer.result_rows == [("mugs", Decimal("13.7500"), "facebook", "paid-social")]


async def test_a_wrong_table_is_an_error_with_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n")
    table = costs.Table(path=path, site="shop", platform="google")
    assert await costs.command(Settings(), table, dry_run=True) == 2
    assert "x.csv: no line with the names of columns" in capsys.readouterr().err

"""The head of a statement: vectors, and no text that could break the reading of it."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from deploy.local.clickhouse.statement import Query, Rows, read

VECTORS = yaml.safe_load((Path(__file__).parent / "vectors/statements.yml").read_text())


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["shows"] for vector in VECTORS])
def test_vector(vector: dict[str, Any]) -> None:
    assert set(vector) - {"refused"} in ({"shows", "text", "rows"}, {"shows", "text", "query"})
    text = vector["text"].encode()
    found = read(text)
    if "rows" in vector:
        assert isinstance(found, Rows)
        assert [found.format, text[found.rows_at :].decode()] == vector["rows"]
    else:
        assert isinstance(found, Query)
        assert [found.keyword, found.format] == vector["query"]
        assert [name for name in ("several", "files") if getattr(found, name)] == vector.get("refused", "").split()


@given(st.binary(max_size=200))
def test_any_bytes_are_read(text: bytes) -> None:
    found = read(text)
    if isinstance(found, Rows):
        assert 0 <= found.rows_at <= len(text)


@given(
    table=st.sampled_from(["t", "db.t", "`a b`.`c``d`", '"x"."y"', "pharos.event_log"]),
    columns=st.lists(st.sampled_from(["a", "`select`", "format", '"v"']), max_size=3),
    rows=st.binary(max_size=100),
)
def test_rows_come_through_byte_for_byte(table: str, columns: list[str], rows: bytes) -> None:
    """Any binary rows must arrive without a change."""
    head = f"INSERT INTO {table}" + (f" ({', '.join(columns)})" if columns else "")
    text = f"{head}\n FORMAT RowBinary\n".encode() + rows
    found = read(text)
    assert isinstance(found, Rows)
    assert (found.head.strip(), found.format, text[found.rows_at :]) == (head, "RowBinary", rows)

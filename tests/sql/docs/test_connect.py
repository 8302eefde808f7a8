"""docs/connect.md: its curl and Python lines work as they are, but for the port."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

from tests.sql.harness import stored
from tests.sql.warehouse import Warehouse

PAGE = Path(__file__).parents[3] / "docs" / "connect.md"


def _block(language: str, warehouse: Warehouse) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(found).replace("8123", warehouse.client.url.rpartition(":")[2])  # type: ignore[attr-defined]


def test_curl(warehouse: Warehouse) -> None:
    warehouse.empty()
    stored(warehouse, [])
    answer = subprocess.run(
        shlex.split(_block("sh", warehouse)), capture_output=True, text=True, timeout=60, check=True
    )
    assert "purchase\t1\n" in answer.stdout


def test_python(warehouse: Warehouse) -> None:
    site, _ = stored(warehouse, [])
    names: dict[str, Any] = {}
    exec(_block("python", warehouse).replace('"demo"', repr(site)), names)
    assert names["rows"] == []

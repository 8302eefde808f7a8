"""The benchmark of the schema in miniature: what it compares, with ids of both kinds."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clickhouse import ClickHouse
from tests.sink.conftest import ROOT
from tests.sink.rows import row

pytestmark = pytest.mark.system


def run(*arguments: str, **environ: str) -> str:
    """Run a module of ours; return what it prints."""
    argv, env = [sys.executable, "-m", *arguments], {**os.environ, **environ}
    return subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=True).stdout


def test_ids_with_a_time_are_compared_with_random_ones() -> None:
    printed = run("loadtest.bench.schema", "--ids", "--rows", "20000", "--rounds", "1")
    found = re.search(r"table on disk, MB\W+([\d.]+)\W+([\d.]+)", printed)
    assert found is not None, printed
    assert float(found[2]) < float(found[1])
    assert printed.count("CPU s") == 5


def test_the_events_of_a_clickhouse_are_compared(tmp_path: Path) -> None:
    storage = ClickHouse(tmp_path)
    storage.start()
    try:
        run("sink", "migrate", PHAROS_SINK_CLICKHOUSE=storage.url)
        client = storage.client()
        client.raw_insert("pharos.event_rows", insert_block=b"".join(map(row, range(1000))), fmt="JSONCompactEachRow")
        printed = run("loadtest.bench.schema", "--of", storage.url)
        assert re.match(r"1,000 events on disk: 0\.0\d MB with random ids, 0\.0\d MB with their own", printed), printed
        assert client.query("SHOW TABLES FROM pharos LIKE 'bench%'").result_rows == []
        client.close()
    finally:
        storage.kill()

"""clickhouse/backup.sh with server.xml's own disk for backups: what comes back is what was there."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sink import migrations
from tests import needs
from tests.clickhouse import ClickHouse
from tests.deploy.edges import DEPLOY
from tests.sink.rows import row

SCRIPT = DEPLOY / "clickhouse/backup.sh"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ClickHouse]:
    """An endpoint with our schema, that has read server.xml."""
    found = ClickHouse(tmp_path)
    text = (DEPLOY / "clickhouse/server.xml").read_text()
    assert text.count("/backups/") == 2
    (tmp_path / "server.xml").write_text(text.replace("/backups/", f"{tmp_path}/backups/"))
    found.module = ("deploy.local.clickhouse", "--config", str(tmp_path / "server.xml"))
    found.start()
    client = found.client()
    client.command("CREATE DATABASE pharos")
    for migration in migrations.load():
        for statement in migration.statements(""):
            client.command(statement)
    client.close()
    yield found
    found.kill()


def run(server: ClickHouse, *arguments: str, s3: str = "") -> subprocess.CompletedProcess[str]:
    """Run the script; its clickhouse-client sends the query over HTTP."""
    tools = server.folder / "bin"
    tools.mkdir(exist_ok=True)
    curl = needs.program("curl", "curl")
    client = tools / "clickhouse-client"
    client.write_text(f'#!/bin/sh\necho "$6" >> {server.folder}/asked\nexec {curl} -s -f {server.url} --data "$6"\n')
    client.chmod(0o755)
    env = {"PATH": f"{tools}:{os.environ['PATH']}", "BACKUP_S3": s3, "BACKUPS": str(server.folder / "backups")}
    command = ["/bin/sh", str(SCRIPT), *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)


def stored(server: ClickHouse) -> list[object]:
    """Return every row and every view's name."""
    client = server.client()
    try:
        rows = client.query("SELECT * FROM pharos.event_log ORDER BY event_id").result_rows
        names = client.query(
            "SELECT name, engine FROM system.tables WHERE database = 'pharos' ORDER BY name"
        ).result_rows
        people = client.query("SELECT * FROM pharos.names ORDER BY ALL").result_rows
    finally:
        client.close()
    return [rows, names, people]


def test_a_lost_database_comes_back_as_it_was(server: ClickHouse) -> None:
    client = server.client()
    body = b"".join(row(number, visitor_id=f"v{number}") for number in range(50))
    client.raw_insert("pharos.event_log", insert_block=body, fmt="JSONCompactEachRow")
    before = stored(server)
    assert len(before[0]) == 50  # type: ignore[arg-type]
    done = run(server, "backup", "2026-11-29")
    assert done.returncode == 0, done.stderr
    again = run(server, "restore", "2026-11-29")
    assert (again.returncode, "there is a database pharos already" in again.stderr) == (1, True)
    client.command("DROP DATABASE pharos SYNC")
    done = run(server, "restore", "2026-11-29")
    assert done.returncode == 0, done.stderr
    assert stored(server) == before
    client.close()


def test_names_places_and_what_is_old(server: ClickHouse) -> None:
    assert run(server, "backup", "a'; DROP").returncode == 2
    assert run(server).returncode == 2
    run(server, "backup", "one", s3="'https://b.s3.eu.example.com/pharos','KEY','SECRET'")
    asked = (server.folder / "asked").read_text().splitlines()[-1]
    assert asked == "BACKUP DATABASE pharos TO S3('https://b.s3.eu.example.com/pharos/one','KEY','SECRET')"
    for name, days in (("old", 40), ("new", 1)):
        folder = server.folder / "backups" / name
        folder.mkdir(parents=True)
        then = folder.stat().st_mtime - days * 86_400
        os.utime(folder, (then, then))
    assert run(server, "delete-older", "30").returncode == 0
    assert [path.name for path in (server.folder / "backups").iterdir()] == ["new"]

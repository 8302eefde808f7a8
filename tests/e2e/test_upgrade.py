"""An upgrade and the way back under load, in the order of docs/operations.md: nothing is lost, nothing is doubled.

From the newest release to this version, to a made-up next one, and back to the release. All of them run with this
version's Python packages. The embedded ClickHouse has one user, so `python -m sink users` is not a part of it.
"""

import asyncio
import json
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

import pytest

from tests.clickhouse import ClickHouse
from tests.e2e.versions import ROOT, following, released
from tests.faults.cluster import Cluster
from tests.faults.hosts import LOCALHOST
from tests.faults.pipeline import STAGES, Load, Pipeline
from tests.processes import Program
from tests.waiting import until

FROM_THE_LAST = tuple(reversed(STAGES))
READ_ALL = """
import sys
from pathlib import Path
from collector import contract as hits
from enricher import contract as events
from sink.clickhouse import COLUMNS
golden = Path(sys.argv[1])
for line in (golden / "hit.jsonl").read_bytes().splitlines():
    assert hits.decode(line).site
for line in (golden / "event.jsonl").read_bytes().splitlines():
    assert events.decode_row(line).site
for line in (golden / "dead.jsonl").read_bytes().splitlines():
    assert events.decode_dead(line).reason
"""


def test_each_version_reads_the_golden_records_of_the_other(tmp_path: Path) -> None:
    print(released(tmp_path))
    for code, records in ((ROOT, tmp_path), (tmp_path, ROOT)):
        command = [sys.executable, "-c", READ_ALL, str(records / "tests/contracts")]
        read = subprocess.run(command, cwd=code, capture_output=True, text=True, check=False)
        assert read.returncode == 0, read.stderr


def test_no_released_migration_was_edited(tmp_path: Path) -> None:
    """Else no sink of this version starts on a database of the release, whose checksums it compares."""
    name = released(tmp_path)
    old, new = ({path.name: path.read_bytes() for path in code.glob("sink/schema/*.sql")} for code in (tmp_path, ROOT))
    assert [each for each, text in old.items() if new.get(each) != text] == [], f"as they were in {name}: add a new one"
    columns = tomllib.loads((ROOT / "sink/schema/columns.toml").read_text())
    assert columns["released"] >= len(old), "columns.toml: `make fmt` would edit a released migration"


@pytest.fixture
async def pipeline(tmp_path: Path) -> AsyncIterator[Pipeline]:
    cluster, clickhouse = Cluster(tmp_path, [LOCALHOST]), ClickHouse(tmp_path)
    made = Pipeline(tmp_path / "stages", cluster, clickhouse)
    try:
        await asyncio.gather(cluster.start(), asyncio.to_thread(clickhouse.start))
        yield made
    finally:
        made.kill()
        cluster.kill()
        clickhouse.kill()


@pytest.mark.timeout(600)
async def test_under_load_from_the_release_to_the_next_version_and_back(
    pipeline: Pipeline, start: Callable[..., Program], tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    name = released(old)
    following(new)
    pipeline.code = dict.fromkeys(STAGES, old)
    migrate(pipeline, old)
    await pipeline.start()
    load = Load(pipeline.addresses())
    sending = asyncio.create_task(load.run())
    await stored(pipeline, load)
    report = tmp_path / "drive.json"
    drive = start(
        [sys.executable, "-m", "loadtest", "run", "--url", f"http://127.0.0.1:{pipeline.ports[0]}"]
        + ["--clickhouse", pipeline.clickhouse.url, "--rate", "100", "--duration", "500", "--late-bound-ms", "60000"]
        + [part for port in pipeline.admin.values() for part in ("--admin", f"http://127.0.0.1:{port}")]
        + ["--json", str(report)],
        cwd=ROOT,
    )
    for code, order in ((ROOT, FROM_THE_LAST), (new, FROM_THE_LAST), (ROOT, STAGES), (old, STAGES)):
        if order is FROM_THE_LAST:
            migrate(pipeline, code)
        await move(pipeline, load, code, order)
    load.going = False
    await sending
    drive.signal(signal.SIGINT)
    assert await asyncio.to_thread(drive.wait, 120) == 0, drive.output()

    def missing() -> set[str]:
        return set(load.answered) - set(pipeline.shown())

    await until(lambda: asyncio.to_thread(lambda: not missing()), "every answered hit is stored", 120)
    codes = await asyncio.to_thread(pipeline.stop)
    assert set(codes.values()) == {0}, pipeline.output()
    client = pipeline.clickhouse.client()
    longer, all_rows = client.query("SELECT countIf(next = 'row'), count() FROM pharos.event_log").result_rows[0]
    client.close()
    audit = json.loads(report.read_text())["audit"]
    shown = pipeline.shown()
    doubled = [
        each for each in load.answered if shown[each] > 1
    ]  # the drive's hits have no such id, and their own audit
    print(f"{name}: {len(load.answered)} and {audit['accepted']} answered, {audit['stored']} of the drive's stored")
    print(f"{longer} of {all_rows} rows have the next version's column")
    assert not doubled
    assert 0 < longer < all_rows


def migrate(pipeline: Pipeline, code: Path) -> None:
    """Apply what is outstanding in a version; first print it, which changes nothing."""
    for options in (["--dry-run"], []):
        command = [sys.executable, "-m", "sink", "migrate", *options]
        environ = {"PHAROS_SINK_CLICKHOUSE": pipeline.clickhouse.url, "PATH": ""}
        done = subprocess.run(command, cwd=code, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        print(done.stdout.splitlines()[-1])


async def move(pipeline: Pipeline, load: Load, code: Path, order: Iterable[str]) -> None:
    """Start each stage's processes with another version, one after the other; the second of each was killed."""
    for stage in order:
        pipeline.code[stage] = code
        for number in range(2):
            program = pipeline.programs[stage, number]
            if number == 0:
                assert await asyncio.to_thread(program.terminate, 60) == 0, program.output()[-3000:]
            else:
                await asyncio.to_thread(program.kill)
            pipeline.launch(stage, number)
            await ready(pipeline, stage, number)
        await stored(pipeline, load)


async def ready(pipeline: Pipeline, stage: str, number: int) -> None:
    """Return when a process is ready; AssertionError if it has ended."""

    def look() -> bool:
        program = pipeline.programs[stage, number]
        assert program.running, program.output()[-3000:]
        return pipeline.readiness(stage, number) == 200

    await until(lambda: asyncio.to_thread(look), f"{stage} {number} is ready", 90)


async def stored(pipeline: Pipeline, load: Load) -> None:
    """Return when a hit that is answered after this moment is stored."""
    began = time.monotonic()

    async def look() -> bool:
        new = {name for name, at in load.answered.items() if at > began}
        return bool(new & await asyncio.to_thread(pipeline.stored_since, began))

    await until(look, "a new hit is stored", 90)

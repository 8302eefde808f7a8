"""The embedded ClickHouse endpoint as a fixture: one address for its life, data on disk, stopped and killed at will."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.httputil import get_pool_manager

from tests.faults.hosts import LOCALHOST, Host
from tests.ports import free_port
from tests.processes import Program
from tests.waiting import until_now

SCHEMA_NAME: Final = "PHAROS_TEST_SCHEMA"
"""Variable with the run's folder for `copy_schema`; tests/conftest.py sets it."""
_ROOT: Final = Path(__file__).parents[1]


class ClickHouse:
    """`python -m deploy.local.clickhouse` on 127.0.0.1. start, stop and kill block."""

    password = ""
    """The user default's. Without one, only this machine may connect."""
    module: tuple[str, ...] = ("deploy.local.clickhouse",)
    """What `python -m` runs, and its first arguments."""
    analyst_password = ""
    """The read-only user's; without one as above."""

    def __init__(self, folder: Path, host: Host = LOCALHOST, *, schema: bool = False) -> None:
        """`schema`: it begins with our tables; else with nothing."""
        self.host = host
        self.schema = schema
        self.folder = folder
        self.port = free_port()
        self.program: Program | None = None

    @property
    def url(self) -> str:
        """Base URL, user `default` without a password. Example: "http://127.0.0.1:18123"."""
        return f"http://{self.host.place}:{self.port}"

    def start(self) -> None:
        """Start, and return when it answers."""
        if self.program is not None and self.program.running:
            return
        if self.schema and not (self.folder / "data").exists():
            copy_schema(self.folder / "data")
        log = self.folder / f"clickhouse-{self.port}.log"
        line = f"on http://{self.host.listens}:{self.port}\n"
        starts = log.read_text().count(line) if log.exists() else 0
        command = [*self.host.command, sys.executable, "-m", *self.module, "--host", self.host.listens]
        command += ["--port", str(self.port), "--path", str(self.folder / "data")]
        # Without a password of its own it leaves the environment's: tests set one there, too.
        given = {
            "PHAROS_LOCAL_CLICKHOUSE_PASSWORD": self.password,
            "PHAROS_LOCAL_ANALYST_PASSWORD": self.analyst_password,
        }
        secrets = {name: password for name, password in given.items() if password}
        program = Program(command, log=log, env=secrets, cwd=_ROOT)
        self.program = program
        until_now(
            lambda: log.read_text().count(line) > starts or not program.running, "the ClickHouse endpoint's start"
        )
        if not program.running:
            raise RuntimeError(f"the ClickHouse endpoint did not start:\n{program.output()[-4000:]}")

    def stop(self) -> None:
        """SIGTERM, and wait until it is gone."""
        if self.program is not None and self.program.terminate(30) != 0:
            raise subprocess.CalledProcessError(1, self.program.argv, self.program.output()[-4000:])

    def kill(self) -> None:
        """kill -9."""
        if self.program is not None:
            self.program.kill()

    def begin_again(self) -> None:
        """Start it with what it had at first."""
        self.kill()
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        self.start()

    def empty(self) -> None:
        """Take every row out of our tables; the migrations stay applied. Merges go on where a test has stopped them."""
        client = self.client()
        client.command("SYSTEM START MERGES")
        tables = "SELECT name FROM system.tables WHERE database = 'pharos' AND engine LIKE '%MergeTree'"
        for (name,) in client.query(f"{tables} AND name != 'migrations'").result_rows:
            client.command(f"TRUNCATE TABLE pharos.{name} SYNC")
        client.close()

    def client(self, user: str = "default") -> Client:
        """Return a new clickhouse_connect client over HTTP."""
        return clickhouse_connect.get_client(
            host=self.host.place,
            port=self.port,
            username=user,
            password=self.password,
            autogenerate_session_id=False,
            pool_mgr=get_pool_manager(),  # no connection of an earlier client, whose host may have moved
        )


def copy_schema(data: Path) -> None:
    """Make the data folder of a ClickHouse that has our tables and no rows.

    It is a copy of one that `python -m sink migrate` makes once a run: that costs three seconds of CPU.
    """
    run = os.environ.get(SCHEMA_NAME)
    if run is None:  # no run of tests
        _migrate(data.parent)
        return
    made = Path(run) / "data"
    with (Path(run) / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other workers wait
        if not made.exists():
            shutil.rmtree(Path(run) / "unfinished", ignore_errors=True)
            (Path(run) / "unfinished").mkdir()
            _migrate(Path(run) / "unfinished")
            (Path(run) / "unfinished/data").rename(made)
    data.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(made, data, symlinks=True)


def _migrate(folder: Path) -> None:
    storage = ClickHouse(folder)
    storage.start()
    command = [sys.executable, "-m", "sink", "migrate"]
    environ = os.environ | {"PHAROS_SINK_CLICKHOUSE": storage.url}
    try:
        done = subprocess.run(command, cwd=_ROOT, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        storage.stop()
    finally:
        storage.kill()

"""kill -9 of each program under `make run` while hits come in: it is back, it goes on, and nothing answered is lost.

Every hit is known by an id of its own. tests/deploy/local/test_runner.py has the rest of what `make run` promises.
"""

import asyncio
import json
import os
import secrets
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clickhouse import copy_schema
from tests.e2e.wire import Connection
from tests.ports import free_port
from tests.processes import Program, carrying
from tests.waiting import until, until_now

_PORTS = ("collector", "page", "kafka", "clickhouse", "collector_admin", "enricher_admin", "sink_admin")
_MARK = "PHAROS_TEST_LOCAL"
_HITS_A_SECOND = 200
_ROUNDS = 3 if os.environ.get("PHAROS_TEST_SCALE") == "full" else 1
_ROOT = Path(__file__).parent.parent.parent


class Local:
    """One folder of `make run`, on free ports; may be started again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        copy_schema(folder / "var/clickhouse")
        self.ports = {name: free_port() for name in _PORTS}
        self.mark = secrets.token_hex(8)
        self.program: Program | None = None

    def start(self) -> Program:
        """Start it; return when it has printed where everything is."""
        environment = {f"PHAROS_LOCAL_{name}_PORT".upper(): str(port) for name, port in self.ports.items()}
        environment |= {"PHAROS_LOCAL_DIR": str(self.folder / "var"), _MARK: self.mark}
        program = self.program = Program(
            [sys.executable, "-m", "deploy.local"], log=self.folder / "run.log", env=environment, cwd=_ROOT
        )
        until_now(lambda: "Metrics" in program.output() or not program.running, "the banner of `make run`", 120)
        assert program.running, program.output()
        return program

    def left(self) -> dict[int, str]:
        """Return what runs of it: pid -> command line."""
        return {pid: line for pid, line in carrying(_MARK, self.mark).items() if line}

    def pid_of(self, stage: str) -> int:
        """Return the process of a stage: the one that the runner itself started. 0 where none runs."""
        assert self.program is not None
        children = Path(f"/proc/{self.program.pid}/task").glob("*/children")
        pids = {int(pid) for each in children for pid in each.read_text().split()}
        found = [pid for pid, line in self.left().items() if pid in pids and line.split()[1:3] == ["-m", stage]]
        return found[0] if found else 0

    def is_ready(self, stage: str) -> bool:
        """Tell what /readyz says."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[f'{stage}_admin']}/readyz", timeout=2):
                return True
        except OSError:
            return False

    def client_event_ids(self) -> set[str]:
        """Return `client_event_id` of all that is stored."""
        sql = b"SELECT client_event_id FROM pharos.events WHERE client_event_id != '' FORMAT JSONCompactColumns"
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['clickhouse']}/", sql, timeout=30) as answer:
            return set((json.load(answer) or [[]])[0])

    def kill(self) -> None:
        """Leave nothing running."""
        if self.program is not None:
            self.program.kill()
            until_now(lambda: not self.left(), "nothing outlives the runner")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    """`make run`, ready."""
    local = Local(tmp_path_factory.mktemp("local"))
    local.start()
    yield local
    local.kill()


class _Load:
    """Hits at a steady rate, answered or not; it remembers which were answered 2xx."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._go = True
        self.answered: set[str] = set()

    async def run(self) -> None:
        workers = 4
        await asyncio.gather(*(self._work(workers / _HITS_A_SECOND) for _ in range(workers)))

    async def _work(self, pause_s: float) -> None:
        connection = Connection(self._port)
        while self._go:
            id_ = secrets.token_hex(8)
            head = f"GET /p.gif?s=demo&id={id_} HTTP/1.1\r\nHost: x\r\nUser-Agent: Mozilla/5.0 Firefox/145.0\r\n\r\n"
            began = time.monotonic()
            try:
                answer = await connection.ask(head.encode())
            except OSError:  # no process listens just now
                answer = None
            if answer is not None and answer.status == 200:
                self.answered.add(id_)
            await asyncio.sleep(max(0.0, pause_s - (time.monotonic() - began)))
        await connection.close()

    def stop(self) -> None:
        self._go = False


async def _kill_and_await(running: Local, stage: str, load: _Load) -> None:
    """kill -9 a stage under load; return when it is ready again and hits sent after the kill are stored."""
    before = len(load.answered)
    await until(lambda: len(load.answered) > before + _HITS_A_SECOND, "a second of load")
    first = running.pid_of(stage)
    os.kill(first, signal.SIGKILL)
    killed, answered = time.monotonic(), set(load.answered)
    await until(lambda: running.pid_of(stage) not in (0, first) and running.is_ready(stage), f"a new {stage}")
    back_s = time.monotonic() - killed
    await until(
        lambda: bool(running.client_event_ids() & (load.answered - answered)), "hits sent after the kill are stored"
    )
    goes_on_s = time.monotonic() - killed
    print(f"{stage}: ready again after {back_s:.1f} s, storing new hits after {goes_on_s:.1f} s")


@pytest.mark.parametrize("stage", ["collector", "enricher", "sink"])
async def test_a_killed_program_comes_back_and_nothing_answered_is_lost(running: Local, stage: str) -> None:
    load = _Load(running.ports["collector"])
    sending = asyncio.create_task(load.run())
    for _ in range(_ROUNDS):
        await _kill_and_await(running, stage, load)
    load.stop()
    await sending
    await until(lambda: load.answered <= running.client_event_ids(), f"all {len(load.answered)} answered hits")


def test_ctrl_c_drains_and_leaves_nothing(running: Local) -> None:
    program = running.program
    assert program is not None
    program.signal(signal.SIGINT, group=True)  # as a terminal sends it: to the whole foreground group
    assert program.wait(90) == 0, program.output()
    assert not running.left()

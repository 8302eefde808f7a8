"""`python -m deploy.local` as a user runs it: its printed lines work, it heals, it drains, it says what is wrong."""

import asyncio
import json
import os
import re
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import needs
from tests.e2e.wire import Connection
from tests.ports import free_port
from tests.processes import Program, carrying
from tests.waiting import until, until_now

_PORTS = ("collector", "page", "kafka", "clickhouse", "collector_admin", "enricher_admin", "sink_admin")
_MARK = "PHAROS_TEST_LOCAL"
_HITS_A_SECOND = 200
_ROOT = Path(__file__).parent.parent.parent


class Local:
    """One folder of `make run`, on free ports; may be started again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {name: free_port() for name in _PORTS}
        self.mark = secrets.token_hex(8)
        self.program: Program | None = None

    def start(self, **settings: str) -> Program:
        """Start it; return at once."""
        environment = {f"PHAROS_LOCAL_{name}_PORT".upper(): str(port) for name, port in self.ports.items()}
        environment |= {"PHAROS_LOCAL_DIR": str(self.folder / "var"), _MARK: self.mark, **settings}
        self.program = Program(
            [sys.executable, "-m", "deploy.local"],
            log=self.folder / f"run-{secrets.token_hex(4)}.log",
            env=environment,
            cwd=_ROOT,
        )
        return self.program

    def start_and_wait(self) -> Program:
        """Start it; return when it has printed where everything is."""
        program = self.start()
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
    local.start_and_wait()
    yield local
    local.kill()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    """`make run`, not started."""
    made = Local(tmp_path)
    yield made
    made.kill()


def test_the_curl_line_and_the_sql_line_that_it_prints(running: Local) -> None:
    needs.program("curl", "curl")
    assert running.program is not None
    printed = dict(re.findall(r"^ +(Try|Then) +(curl .*)$", running.program.output(), re.MULTILINE))
    sent = subprocess.run(shlex.split(printed["Try"]), capture_output=True, text=True, check=True, errors="replace")
    assert "200 OK" in sent.stdout
    assert "X-Pharos: accepted" in sent.stdout

    def asked() -> str:
        command = shlex.split(printed["Then"])
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    answered = time.monotonic()
    table = until_now(lambda: table if "https://demo.example/" in (table := asked()) else "", "the row")
    print(f"the row was there after {time.monotonic() - answered:.1f} s")
    assert "youtube" in table
    assert "Organic Video" in table


class _Load:
    """Hits at a steady rate, whatever becomes of them; remembers which were answered 2xx."""

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
            except OSError:  # nobody listens just now
                answer = None
            if answer is not None and answer.status == 200:
                self.answered.add(id_)
            await asyncio.sleep(max(0.0, pause_s - (time.monotonic() - began)))
        await connection.close()

    def stop(self) -> None:
        self._go = False


@pytest.mark.parametrize("stage", ["collector", "enricher", "sink"])
async def test_a_killed_program_comes_back_and_nothing_answered_is_lost(running: Local, stage: str) -> None:
    load = _Load(running.ports["collector"])
    sending = asyncio.create_task(load.run())
    await until(lambda: len(load.answered) > _HITS_A_SECOND, "a second of load")
    first = running.pid_of(stage)
    os.kill(first, signal.SIGKILL)
    killed, before = time.monotonic(), set(load.answered)
    await until(lambda: running.pid_of(stage) not in (0, first) and running.is_ready(stage), f"a new {stage}")
    back_s = time.monotonic() - killed
    await until(
        lambda: bool(running.client_event_ids() & (load.answered - before)), "hits sent after the kill are stored"
    )
    goes_on_s = time.monotonic() - killed
    load.stop()
    await sending
    await until(lambda: load.answered <= running.client_event_ids(), f"all {len(load.answered)} answered hits")
    print(f"{stage}: ready again after {back_s:.1f} s, storing new hits after {goes_on_s:.1f} s")


def test_it_drains_and_goes_on_where_it_stopped(local: Local) -> None:
    sent: set[str] = set()
    for number in (signal.SIGTERM, signal.SIGINT):
        program = local.start_and_wait()
        assert local.client_event_ids() == sent
        sent.add(f"before {number.name}")
        url = f"http://127.0.0.1:{local.ports['collector']}/p.gif?s=demo&id=before%20{number.name}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert answer.headers["X-Pharos"] == "accepted"
        program.signal(number, group=number == signal.SIGINT)  # Ctrl-C reaches the whole foreground group
        assert program.wait(90) == 0, program.output()
        assert not local.left()


def _taken() -> socket.socket:
    taken = socket.create_server(("127.0.0.1", free_port()))
    taken.listen()
    return taken


def _one_line(program: Program) -> str:
    assert program.wait(60) == 2, program.output()
    lines = program.output().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize("name", ["collector", "kafka", "clickhouse", "sink_admin"])
def test_a_busy_port_is_named(local: Local, name: str) -> None:
    with _taken() as taken:
        port = taken.getsockname()[1]
        line = _one_line(local.start(**{f"PHAROS_LOCAL_{name}_PORT".upper(): str(port)}))
    assert str(port) in line
    assert not local.left()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"PHAROS_LOCAL_DIR": "/proc/nobody/writes/here"}, "/proc/nobody/writes/here"),
        ({"PHAROS_LOCAL_PORTS": "1"}, "PHAROS_LOCAL_PORTS"),
        ({"PHAROS_LOCAL_PARTITIONS": "many"}, "PHAROS_LOCAL_PARTITIONS"),
        ({"PHAROS_SINK_BATCH_ROWS": "many"}, "PHAROS_SINK_BATCH_ROWS"),
    ],
)
def test_what_is_set_wrong_is_named(local: Local, settings: dict[str, str], named: str) -> None:
    assert named in _one_line(local.start(**settings))
    assert not local.left()

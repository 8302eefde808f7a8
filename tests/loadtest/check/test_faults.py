"""Faults: the file's form, and that only what descends from the named process is ever signalled."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest
from rich.console import Console

from loadtest import __main__ as command
from loadtest import arguments
from loadtest.check import faults, local_system
from loadtest.check.processes import wait_until
from loadtest.report import result
from loadtest.traffic import schedule
from tests.loadtest.faulty import Collector, ran, running, settings

SLEEPER = "import sys, time; time.sleep(120)"
# A keeper in small: runs a sleeper called `victim`, and another one whenever it has died.
KEEPER = f"""
import subprocess, sys
while True:
    subprocess.run([sys.executable, "-c", {SLEEPER!r}, "victim"])
"""


@pytest.fixture
def keeper() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", KEEPER])
    yield process.pid
    psutil.Process(process.pid).suspend()  # it must not bring up another one meanwhile
    left = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    for child in left:
        child.kill()
    process.wait()


def script(*faults_: dict[str, object]) -> faults.FaultSchedule:
    components = {"victim": " victim"}
    return msgspec.convert({"components": components, "fault": list(faults_)}, faults.FaultSchedule)


def played(keeper: int, *faults_: dict[str, object]) -> faults.FaultInjector:
    player = faults.FaultInjector(script(*faults_), keeper)
    player.begin(time.perf_counter())
    wait_until(lambda: len(player.done) + len(player.failed) == len(faults_), "the faults", 60)
    player.finish()
    return player


def test_a_killed_component_is_killed_each_time(keeper: int) -> None:
    kill = {"do": "kill", "what": "victim"}
    player = played(keeper, kill | {"at_s": 0.1}, kill | {"at_s": 0.4})
    wait_until(lambda: bool(faults.find(keeper, " victim")), "the third victim", 60)
    assert player.kills() == {"victim": 2}
    assert player.failed == []


def test_a_paused_component_goes_on(keeper: int) -> None:
    wait_until(lambda: bool(faults.find(keeper, " victim")), "the victim", 60)
    victim = faults.find(keeper, " victim")[0]
    played(keeper, {"at_s": 0, "do": "pause", "what": "victim", "for_s": 0.1})
    wait_until(lambda: victim.status() != psutil.STATUS_STOPPED, "the victim going on", 60)


def test_a_stranger_is_never_signalled(keeper: int) -> None:
    with subprocess.Popen([sys.executable, "-c", SLEEPER, "victim"]) as stranger:
        wait_until(lambda: bool(faults.find(keeper, " victim")), "the victim", 60)
        played(keeper, {"at_s": 0, "do": "kill", "what": "victim"}, {"at_s": 0.1, "do": "stop", "what": "victim"})
        assert stranger.poll() is None
        stranger.send_signal(signal.SIGKILL)


def test_what_cannot_be_done_is_told(keeper: int) -> None:
    player = played(keeper, {"at_s": 0, "do": "run", "command": ["false"]})
    assert player.done == []
    assert len(player.failed) == 1
    assert "false" in player.failed[0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b'components = {a = "x"}\nfault = [{at_s = 1, do = "explode", what = "a"}]', "explode"),
        (b'components = {a = "x"}\nfault = [{at_s = -1, do = "kill", what = "a"}]', "at_s"),
        (b'components = {a = "x"}\nfault = [{at_s = 1, do = "kill", what = "b"}]', "names no component"),
        (b'components = {a = "x"}\nfault = [{at_s = 1, do = "run"}]', "needs a command"),
        (b'components = {a = "x"}\nfault = [{at_s = 1, do = "kill", what = "a", why = "?"}]', "why"),
        (b"components = [", "."),
    ],
)
def test_a_wrong_file_is_refused_by_name(text: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        faults.parse(text)


def test_the_standard_disaster_kills_every_component_at_least_twice() -> None:
    standard = faults.load(arguments.CHAOS)
    kills = {name: sum(f.do == "kill" and f.what == name for f in standard.fault) for name in standard.components}
    assert kills.keys() == {"collector", "enricher", "sink", "broker", "clickhouse"}
    assert all(count >= 2 for count in kills.values()), kills
    assert max(fault.at_s for fault in standard.fault) < arguments.parser().parse_args(["chaos"]).duration


def test_what_was_never_played_has_failed_and_is_named() -> None:
    """A run that is shorter than its schedule has not shown what the schedule is to show."""
    first = {"at_s": 0, "do": "run", "command": ["true"]}
    player = faults.FaultInjector(script(first, {"at_s": 3600, "do": "kill", "what": "victim"}), root=0)
    player.begin(time.perf_counter())
    wait_until(lambda: bool(player.done), "the first fault", 60)
    player.finish()
    assert player.failed == ["kill victim at 3600 s: the run was over by then"]
    player.finish()
    assert len(player.failed) == 1


def test_a_run_that_ends_before_its_faults_is_broken() -> None:
    collector = Collector()
    late = script({"at_s": 3600, "do": "run", "command": ["true"]}, {"at_s": 3601, "do": "kill", "what": "victim"})
    with running(collector) as url:
        asked = settings(url, schedule=schedule.Schedule(schedule.constant(50, 0.2)))
        done = ran(asked, collector, faults=faults.FaultInjector(late, root=0))
    assert done.broken == [
        "fault not injected: true at 3600 s: the run was over by then",
        "fault not injected: kill victim at 3601 s: the run was over by then",
    ]
    assert done.exit_code == result.BROKEN


def test_beside_make_run_the_pid_of_the_command_line_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    found = local_system.System(url="http://127.0.0.1:8080", clickhouse="http://127.0.0.1:8123", admins=())
    monkeypatch.setattr(local_system, "running", lambda: found)
    given = arguments.parser().parse_args(["run", "--here", "--pid", "4711", "--faults", str(arguments.CHAOS)])
    with command._target(given, Console(quiet=True)) as system:
        player = command._faults(given, system)
    assert player
    assert player.root == 4711
    assert system.url == found.url


def test_faults_need_a_process_to_begin_from(tmp_path: Path) -> None:
    given = arguments.parser().parse_args(["run", "--faults", str(arguments.CHAOS)])
    with pytest.raises(ValueError, match="--pid"):
        command._faults(given, local_system.System(url="", clickhouse="", admins=()))

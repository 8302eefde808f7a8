"""Each program at its start: Kafka or ClickHouse is away, its port is taken, its settings are wrong."""

import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.brokers import Tansu
from tests.clickhouse import ClickHouse
from tests.e2e.system import STAGES, System
from tests.ports import free_port
from tests.processes import Program
from tests.waiting import until_now

_SITES = "[sites.demo]\n"


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    """The three programs, the broker and ClickHouse, none of them started."""
    broker, clickhouse = Tansu(tmp_path / "broker"), ClickHouse(tmp_path)
    whole = System(tmp_path, broker, clickhouse, _SITES)
    yield whole
    whole.kill()
    broker.kill()
    clickhouse.kill()


def _readiness(system: System, stage: str) -> tuple[int, str]:
    """Return status and text of /readyz; 0 if the port is closed."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{system.admin[stage]}/readyz", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


async def test_what_is_away_is_waited_for_and_named(system: System) -> None:
    for stage in STAGES:
        system.start_stage(stage)
    kafka, clickhouse = system.broker.bootstrap, f"127.0.0.1:{system.clickhouse.port}"
    for stage in STAGES:
        until_now(lambda stage=stage: _readiness(system, stage)[0], f"{stage}: an admin port")  # type: ignore[misc]
    until_now(lambda: "Kafka" in _readiness(system, "collector")[1], "the collector names Kafka")
    until_now(lambda: kafka in _readiness(system, "enricher")[1], "the enricher names the broker")
    until_now(lambda: kafka in (text := _readiness(system, "sink")[1]) or clickhouse in text, "the sink names one")
    assert [_readiness(system, stage)[0] for stage in STAGES] == [503, 503, 503]
    for stage in STAGES:
        assert '"waiting' in system.programs[stage].output().lower(), system.output()

    system.broker.start()
    await system.broker.create_topics(*system.topics.values())
    until_now(lambda: clickhouse in _readiness(system, "sink")[1], "the sink names ClickHouse, which is still away")
    system.clickhouse.start()
    for stage in STAGES:
        until_now(lambda stage=stage: system.is_ready(stage), f"{stage}: ready")  # type: ignore[misc]


def test_what_waits_ends_when_it_is_told_to(system: System) -> None:
    for stage in STAGES:
        system.start_stage(stage)
    for stage in STAGES:
        until_now(lambda stage=stage: _readiness(system, stage)[0] == 503, f"{stage}: waiting")  # type: ignore[misc]
    assert system.stop() == {"collector": 0, "enricher": 0, "sink": 0}


def _refused(program: Program) -> str:
    """Return the one line of a program that could not start."""
    assert program.wait(60) == 2, program.output()
    lines = program.output().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(("name", "value"), [("NO_SUCH_THING", "1"), ("ADMIN_PORT", "ninety"), ("ADMIN_PORT", "70000")])
def test_a_wrong_setting_is_named(
    system: System, start: Callable[..., Program], stage: str, name: str, value: str
) -> None:
    variable = f"PHAROS_{stage.upper()}_{name}"
    assert variable in _refused(start([sys.executable, "-m", stage], env=system.environment(stage) | {variable: value}))


@pytest.mark.parametrize(
    ("stage", "name"),
    [("collector", "PORT"), ("collector", "ADMIN_PORT"), ("enricher", "ADMIN_PORT"), ("sink", "ADMIN_PORT")],
)
def test_a_busy_port_is_named(system: System, start: Callable[..., Program], stage: str, name: str) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = str(taken.getsockname()[1])
        environment = system.environment(stage) | {f"PHAROS_{stage.upper()}_{name}": port}
        assert port in _refused(start([sys.executable, "-m", stage], env=environment))


@pytest.mark.parametrize(("name", "path"), [("SPOOL_DIR", "file/spool"), ("SITES", "nowhere.toml")])
def test_a_path_that_cannot_be_is_named(
    system: System, start: Callable[..., Program], tmp_path: Path, name: str, path: str
) -> None:
    (tmp_path / "file").touch()
    environment = system.environment("collector") | {f"PHAROS_COLLECTOR_{name}": str(tmp_path / path)}
    assert str(tmp_path / path) in _refused(start([sys.executable, "-m", "collector"], env=environment))

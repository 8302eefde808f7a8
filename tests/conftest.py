"""Fixtures for everyone: brokers, and what keeps a test run honest (skips) and clean (processes)."""

import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from playwright.async_api import Browser

from tests.brokers import ApacheKafka, Broker, Tansu
from tests.browser import chromium
from tests.clickhouse import SCHEMA_NAME, ClickHouse
from tests.faults.proxy import Proxy
from tests.processes import Guard, Program

# A busy machine makes an example slow, never wrong: no test may fail for its time.
hypothesis.settings.register_profile(
    "pharos", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)
hypothesis.settings.load_profile("pharos")

pytest_plugins = ["tests.image", "tests.ci.order", "tests.unit"]

_guard = pytest.StashKey[Guard]()
_reasons = pytest.StashKey[Counter[str]]()
_left = pytest.StashKey[dict[int, str]]()


def pytest_configure(config: pytest.Config) -> None:
    # With `-n 3` the tests run in workers, each with a guard of its own; the first process only hands out files.
    if not config.getoption("numprocesses", None):
        config.stash[_guard] = Guard()
    if SCHEMA_NAME not in os.environ:  # workers, and runs within a run, have this one's
        os.environ[SCHEMA_NAME] = tempfile.mkdtemp(prefix="pharos-schema-")
        config.add_cleanup(_forget_schema)
    config.stash[_reasons] = Counter()
    config.stash[_left] = {}
    config.pluginmanager.register(_Inner())


def _forget_schema() -> None:
    shutil.rmtree(os.environ.pop(SCHEMA_NAME), ignore_errors=True)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> Generator[None, None, None]:
    yield  # after `_Inner`, and after the summary
    left = session.config.stash[_left]
    if left and not hasattr(session.config, "workeroutput"):
        session.exitstatus = max(int(exitstatus), pytest.ExitCode.TESTS_FAILED)
        lines = ["left running by the tests, and killed:", *(f"  {pid}  {line}" for pid, line in left.items())]
        sys.stderr.write("\n" + "\n".join(lines) + "\n")


class _Inner:
    """Ends a process's guard before pytest-xdist sends what the process found to the first one."""

    @staticmethod
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
        yield  # fixtures of the session end here
        stash = session.config.stash
        if guard := stash.get(_guard, None):
            stash[_left] |= guard.close()
        if hasattr(session.config, "workeroutput"):
            reasons: Counter[str] = stash[_reasons]
            session.config.workeroutput |= {"left": stash[_left], "reasons": dict(reasons)}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take over what a worker of `-n 3` found; pytest-xdist calls this at the end of each."""
    found = getattr(node, "workeroutput", {})
    node.config.stash[_left].update(found.get("left", {}))
    node.config.stash[_reasons].update(found.get("reasons", {}))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        _judge_skip(report, item.config)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped:
        _judge_skip(report, collector.config)
    return report


def _judge_skip(report: pytest.TestReport | pytest.CollectReport, config: pytest.Config) -> None:
    """Note the reason for the summary; where everything is required, make the skip a failure, in any test."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if os.environ.get("PHAROS_TEST_REQUIRE") == "all":
        report.outcome = "failed"
        report.longrepr = f"required, but skipped: {reason}"
    else:
        config.stash[_reasons][reason] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if reasons := config.stash[_reasons]:
        terminalreporter.section("skipped, and why")
        for reason, count in reasons.most_common():
            terminalreporter.line(f"{count:5} x {reason}")


@pytest.fixture(scope="session")
def _tansu_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tansu]:
    broker = Tansu(tmp_path_factory.mktemp("tansu"))
    yield broker
    broker.kill()


@pytest.fixture(scope="session")
def _apache_kafka_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    broker = ApacheKafka(tmp_path_factory.mktemp("kafka"))
    yield broker
    broker.kill()


@pytest.fixture
def tansu(_tansu_process: Tansu) -> Tansu:
    """The run's Tansu, running. A test that stopped it leaves it to the next one to be started again, empty."""
    _tansu_process.start()
    return _tansu_process


@pytest.fixture
def apache_kafka(_apache_kafka_process: ApacheKafka) -> ApacheKafka:
    """The run's Apache Kafka, running."""
    _apache_kafka_process.start()
    return _apache_kafka_process


@pytest.fixture(params=["tansu", "apache_kafka"])
def broker(request: pytest.FixtureRequest) -> Broker:
    """Each of the two brokers in turn, running. Use `unique` names for topics and groups."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Broker)
    return found


@pytest.fixture(params=[Tansu, ApacheKafka])
def broker_behind_proxy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Broker, Proxy]]:
    """A broker of the test's own that clients reach only through a proxy, to be cut off at will.

    Starting another Apache Kafka takes some four seconds: prefer `broker` where stop, kill and pause are enough.
    """
    proxy = Proxy(target=0)
    own: Broker = request.param(tmp_path / "broker", advertised=proxy.port)
    proxy.target = own.port
    own.start()
    yield own, proxy
    own.kill()
    proxy.close()


@pytest.fixture(scope="session")
def _clickhouse_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    clickhouse = ClickHouse(tmp_path_factory.mktemp("clickhouse"))
    yield clickhouse
    clickhouse.kill()


@pytest.fixture
def clickhouse(_clickhouse_process: ClickHouse) -> ClickHouse:
    """The run's ClickHouse endpoint, running; tables stay for the whole run, so use databases of your own."""
    _clickhouse_process.start()
    return _clickhouse_process


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Headless Chromium. tests/browser.py also has `pages`, to serve it something."""
    async with chromium() as started:
        yield started


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """`start(argv, env={...})`: a program under test, its output in a file; killed when the test ends."""
    programs: list[Program] = []

    def start_program(argv: list[str], env: dict[str, str] | None = None, cwd: Path | None = None) -> Program:
        programs.append(Program(argv, log=tmp_path / f"program-{len(programs)}.log", env=env, cwd=cwd))
        return programs[-1]

    yield start_program
    for program in programs:
        program.kill()

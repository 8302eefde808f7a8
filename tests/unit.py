"""Which tests are unit tests, and a guard that keeps them so: no process, no network.

A test is a system test if its file imports, directly or through another file of the tests, one of SYSTEM_MODULES, if
it uses one of SYSTEM_FIXTURES, or if it has the marker `system`. Every other test is a unit test, unless it has the
marker `slow`: it fails when it starts a process, or binds or connects a socket. `make unit` runs these alone.
"""

import ast
import sys
import threading
from collections.abc import Generator
from functools import cache
from pathlib import Path
from typing import Any, Final

import hypothesis
import pytest

SYSTEM_MODULES: Final = frozenset(
    {
        "aiohttp",
        "chdb",
        "loadtest.check.ports",
        "multiprocessing",
        "playwright",
        "socket",
        "subprocess",
        "urllib.request",
        "uvloop",
    }
)
SYSTEM_FIXTURES: Final = frozenset(
    {"apache_kafka", "broker", "browser", "clickhouse", "image", "native", "start", "tansu", "warehouse"}
)
FORBIDDEN: Final = frozenset(
    {
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.system",
        "socket.bind",
        "socket.connect",
        "socket.getaddrinfo",
        "socket.sendto",
        "subprocess.Popen",
    }
)
"""Events of sys.addaudithook that no unit test causes."""

EXAMPLES: Final = 20
"""Examples of a property in `make unit`."""
hypothesis.settings.register_profile(
    "unit",
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    print_blob=True,
)
_ROOT: Final = Path(__file__).parents[1]


class Forbidden(RuntimeError):
    """A unit test started a process or used the network."""


class _Guard:
    """Refuses FORBIDDEN events of the main thread while a unit test runs; an audit hook cannot be removed again."""

    def __init__(self) -> None:
        self.active = False
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.active and event in FORBIDDEN and threading.current_thread() is threading.main_thread():
            self.seen.append(event)
            raise Forbidden(f"a unit test causes {event}: give its file or test the marker `system`")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "system: starts processes or uses the network; not part of `make unit`")
    config.addinivalue_line("markers", "slow: takes seconds even without a process; not part of `make unit`")
    config.addinivalue_line("markers", "unit: given to every other test by tests/unit.py")
    config.stash[_guard] = _Guard()


_guard = pytest.StashKey[_Guard]()


@cache
def is_system_file(path: Path) -> bool:
    """Return whether the file imports one of SYSTEM_MODULES, directly or through another file of the tests."""
    return any(
        _is_under(name, SYSTEM_MODULES) or any(is_system_file(file) for file in _files(name))
        for name in _imports(path.read_text())
    )


def _imports(source: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _is_under(name: str, modules: frozenset[str]) -> bool:
    return any(name == module or name.startswith(module + ".") for module in modules)


def _files(name: str) -> list[Path]:
    """Return the file of a module of the tests, if it is one."""
    file = _ROOT / (name.replace(".", "/") + ".py")
    return [file] if name.startswith("tests.") and file.is_file() else []


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `-m unit`, do not even import the files of system tests."""
    only_unit = config.getoption("markexpr") == "unit"
    is_test = collection_path.suffix == ".py" and collection_path.name.startswith("test_")
    return True if only_unit and is_test and is_system_file(collection_path) else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    few = config.getoption("--hypothesis-profile", None) == "unit"
    for item in items:
        if few:
            _take_few_examples(item)
        fixtures = SYSTEM_FIXTURES.intersection(getattr(item, "fixturenames", ()))
        marked = item.get_closest_marker("system") or item.get_closest_marker("slow")
        if not fixtures and not marked and not is_system_file(item.path):
            item.add_marker(pytest.mark.unit)


def _take_few_examples(item: pytest.Item) -> None:
    """Bound the examples of a property that asks for more than the profile does."""
    function = getattr(item, "obj", None)
    own: hypothesis.settings | None = getattr(function, "_hypothesis_internal_use_settings", None)
    if own is not None and own.max_examples > EXAMPLES:
        # What hypothesis's own plugin reads and sets; `settings` cannot be applied to a function twice.
        function._hypothesis_internal_use_settings = hypothesis.settings(own, max_examples=EXAMPLES)  # type: ignore[union-attr]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    guard = item.config.stash[_guard]
    if guard.seen and report.passed:  # the exception was caught on its way
        report.outcome = "failed"
        report.longrepr = f"a unit test causes {', '.join(guard.seen)}: give its file or test the marker `system`"
    guard.seen.clear()
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    guard = item.config.stash[_guard]
    guard.active = item.get_closest_marker("unit") is not None
    try:
        return (yield)
    finally:
        guard.active = False

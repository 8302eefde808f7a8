"""What tests/conftest.py promises of every run: a skip is reported or fails, and no process outlives the run."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.processes import TOKEN_NAME, Program
from tests.waiting import until_now

_ROOT = Path(__file__).parent.parent


def _run_of(folder: Path, test: str, *, require: str = "") -> Program:
    """Start a test run of its own over one test module, with our conftest."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_inner.py").write_text(test)
    environment = {"PYTHONPATH": str(_ROOT), "PHAROS_TEST_REQUIRE": require, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    arguments = ["-q", "-p", "tests.conftest", "-p", "no:cacheprovider", "--import-mode=importlib", "test_inner.py"]
    return Program([sys.executable, "-m", "pytest", *arguments], log=folder / "run.log", env=environment, cwd=folder)


_SKIPPING = """
import pytest

def test_by_hand():
    pytest.skip("no moon tonight")

@pytest.mark.skipif(True, reason="no moon tonight")
def test_by_mark():
    pass
"""


def test_skips_are_listed_by_reason(tmp_path: Path) -> None:
    run = _run_of(tmp_path, _SKIPPING)
    assert run.wait(60) == 0
    assert "2 x no moon tonight" in run.output()


@pytest.mark.parametrize(
    "test", [_SKIPPING, "import pytest\npytest.importorskip('no_such_module', reason='no moon tonight')"]
)
def test_skips_are_failures_where_everything_is_required(tmp_path: Path, test: str) -> None:
    run = _run_of(tmp_path, test, require="all")
    assert run.wait(60) != 0
    assert "required, but skipped: no moon tonight" in run.output()


_LEAVING = """
import subprocess, sys, time
from pathlib import Path

def test_leaves_a_child_and_its_child():
    nap = "import time; time.sleep(600)"
    parent = "import subprocess, sys; c = subprocess.Popen([sys.executable, '-c', %r], start_new_session=True); " % nap
    parent += "open('grandchild', 'w').write(str(c.pid)); " + nap
    child = subprocess.Popen([sys.executable, "-c", parent], start_new_session=True)
    while not Path("grandchild").exists() or not Path("grandchild").read_text():
        time.sleep(0.01)
    Path("child").write_text(str(child.pid))
    WAIT
"""


def _is_running(folder: Path, name: str) -> bool:
    try:
        state = Path(f"/proc/{(folder / name).read_text()}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_what_a_test_leaves_running_is_killed_named_and_a_failure(tmp_path: Path) -> None:
    run = _run_of(tmp_path, _LEAVING.replace("WAIT", "pass"))
    assert run.wait(60) == 1
    assert "left running by the tests" in run.output()
    assert not _is_running(tmp_path, "child")
    assert not _is_running(tmp_path, "grandchild")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_a_run_that_is_ended_from_outside(tmp_path: Path, number: signal.Signals) -> None:
    run = _run_of(tmp_path, _LEAVING.replace("WAIT", "time.sleep(600)"))
    until_now(lambda: (tmp_path / "child").exists(), "the inner test is under way")

    def ended() -> bool:
        # Python loses an interrupt that comes while it runs a finalizer; who presses Ctrl-C then presses it again.
        run.signal(number)
        with suppress(subprocess.TimeoutExpired):
            run.wait(5)
        return not run.running

    until_now(ended, "the inner run has ended")
    until_now(lambda: not _is_running(tmp_path, "child"), "the child is gone")
    until_now(lambda: not _is_running(tmp_path, "grandchild"), "the grandchild is gone")


def test_every_process_of_a_run_carries_its_token() -> None:
    told = subprocess.run(
        [sys.executable, "-c", f"import os; print(os.environ[{TOKEN_NAME!r}])"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == os.environ[TOKEN_NAME]

"""The guard of the unit tests: it refuses processes and sockets, even if the code under test catches the error."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import unit

ROOT = Path(__file__).parents[1]
FILES = {
    "plain": ("def test(): assert 1 + 1 == 2", "1 passed"),
    "binds": ("import asyncio\ndef test(): asyncio.run(asyncio.start_server(print, '127.0.0.1', 0))", "1 failed"),
    "swallows": (
        "import os, contextlib\ndef test():\n    with contextlib.suppress(Exception): os.system('true')",
        "1 failed",
    ),
    "starts": ("import os\ndef test(): os.posix_spawn('/bin/true', ['true'], {})", "1 failed"),
    "marked": ("import os, pytest\n@pytest.mark.system\ndef test(): assert os.system('true') == 0", "1 passed"),
    "imports": ("import subprocess\ndef test(): subprocess.run(['true'], check=True)", "1 passed"),
}
"""By what it does: a file of tests, and what pytest says at its end."""


def run(folder: Path, *options: str) -> str:
    """Run pytest with the guard on a folder, and return what it prints."""
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "tests.unit", "-p", "no:cacheprovider", *options, str(folder)]
    done = subprocess.run(argv, cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", FILES)
def test_a_unit_test_starts_nothing_and_connects_to_nothing(name: str, tmp_path: Path) -> None:
    text, outcome = FILES[name]
    file = tmp_path / "test_inner.py"
    file.write_text(text)
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "tests.unit", "-p", "no:cacheprovider", str(file)]
    done = subprocess.run(
        argv, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert outcome in done.stdout, done.stdout + done.stderr
    assert ("give its file or test the marker `system`" in done.stdout) == ("failed" in outcome)


def test_a_file_that_imports_a_helper_which_starts_processes_is_a_system_file() -> None:
    assert unit.is_system_file(ROOT / "tests/brokers.py")
    assert unit.is_system_file(ROOT / "tests/test_brokers.py")
    assert not unit.is_system_file(ROOT / "tests/test_contracts.py")


def test_make_unit_imports_no_system_file_and_takes_few_examples(tmp_path: Path) -> None:
    (tmp_path / "test_system.py").write_text("import subprocess\nraise RuntimeError('was imported')")
    (tmp_path / "test_property.py").write_text(
        "from hypothesis import given, settings, strategies as st\n"
        "seen = []\n"
        "@settings(max_examples=500)\n"
        "@given(st.integers())\n"
        "def test_many(number): seen.append(number)\n"
        f"def test_few(): assert len(seen) <= {unit.EXAMPLES}\n"
    )
    assert "2 passed" in run(tmp_path, "-m", "unit", "--hypothesis-profile=unit")
    assert "was imported" in run(tmp_path)

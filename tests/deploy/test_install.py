"""`deploy/install.py`: a slow pip shows that it lives, a failing one says why."""

import io
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from deploy.install import Progress, main, run

ROOT = Path(__file__).parents[2]


def test_the_status_follows_what_pip_prints() -> None:
    progress = Progress(2)
    assert progress.status(1) == "looking at what is there, 1 s"
    progress.read("Collecting aiohttp==3.14.5 (from -r requirements-run.lock (line 4))\n")
    progress.read("  Downloading aiohttp-3.14.5-cp311.whl (1.7 MB)\n")
    assert progress.status(2) == "package 1 of at most 2: aiohttp==3.14.5, 2 s"
    progress.read("Collecting chdb==4.4.0 (from -r requirements-run.lock (line 90))\n")
    assert progress.status(3.4) == "package 2 of at most 2: chdb==4.4.0, 3 s"
    progress.read("Installing collected packages: aiohttp, chdb\n")
    assert progress.status(9) == "unpacking 2 packages, 9 s"


def test_a_silent_command_shows_that_it_lives(tmp_path: Path) -> None:
    """The command waits for a file that is made with the second status line: without status lines the test hangs."""
    seen = tmp_path / "seen"
    os.mkfifo(seen)

    class Out(io.StringIO):
        def flush(self) -> None:
            if self.getvalue().count("\n") == 2:
                seen.write_text("x")

    out = Out()
    assert run([sys.executable, "-c", f"print(open({str(seen)!r}).read())"], Progress(1), out, 0.01) == 0
    assert all(line.startswith("  looking") and line.endswith(" s") for line in out.getvalue().splitlines())


def test_what_pip_says_last_is_shown_when_it_fails(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho no matching distribution\nexit 1\n")
    python.chmod(0o755)
    lock = tmp_path / "some.lock"
    lock.write_text("nothing==1.0 \\\n    --hash=sha256:00\n")
    assert main([str(tmp_path / "venv"), str(lock)]) == 1
    errors = capfd.readouterr().err
    assert "no matching distribution" in errors
    assert "pip ended with 1" in errors


@pytest.mark.parametrize(("variable", "compiles"), [("1", True), ("", False)])
def test_bytecode_is_left_to_the_import_where_python_keeps_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, variable: str, compiles: bool
) -> None:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\necho "$@"\nexit 1\n')
    python.chmod(0o755)
    (tmp_path / "some.lock").write_text("")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", variable)
    assert main([str(tmp_path), str(tmp_path / "some.lock")]) == 1
    assert ("--no-compile" in capfd.readouterr().err.split()) != compiles


def test_the_lock_files_of_running_are_all_in_that_of_development() -> None:
    def pins(name: str) -> set[str]:
        lines = (ROOT / name).read_text().splitlines()
        return {line.split(" ")[0] for line in lines if "==" in line and not line.startswith((" ", "#"))}

    assert pins("requirements.lock") < pins("requirements-run.lock") < pins("requirements-dev.lock")
    assert pins("requirements-native.lock") < pins("requirements-dev.lock")


def test_every_declared_package_is_pinned() -> None:
    """`make lock` was run after the last change of pyproject.toml, as far as names go."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = [each for extra in project["project"]["optional-dependencies"].values() for each in extra]
    groups = [each for group in project["dependency-groups"].values() for each in group if isinstance(each, str)]
    for lock, declared in (
        ("requirements.lock", project["project"]["dependencies"]),
        ("requirements-run.lock", extras),
        ("requirements-dev.lock", groups),
        (
            "requirements-native.lock",
            [each for each in project["dependency-groups"]["native"] if isinstance(each, str)],
        ),
    ):
        pinned = {line.partition("==")[0] for line in (ROOT / lock).read_text().splitlines() if "==" in line}
        names = {re.split(r"[\[<>=;~! ]", each)[0].lower().replace("_", "-") for each in declared}
        assert names - pinned == set(), lock


def test_running_needs_no_development_tools() -> None:
    asked = subprocess.run(["make", "-n", "-B", "run"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "requirements-run.lock" in asked
    assert "requirements-dev.lock" not in asked

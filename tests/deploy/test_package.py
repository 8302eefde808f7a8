"""`pip wheel .` gives everything that the programs read at run time."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from stage import version
from stage.version import VERSION

ROOT = Path(__file__).parents[2]
PACKAGES = ("stage", "collector", "enricher", "sink", "loadtest", "deploy")
OPERATORS = ("deploy/",)
"""What an operator reads and no program does; of these only deploy/local is run."""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy, because the build writes next to its sources; return it unpacked."""
    folder = tmp_path_factory.mktemp("package")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for package in PACKAGES:
        left_out = shutil.ignore_patterns("__pycache__", "*.so", "node_modules")
        shutil.copytree(ROOT / package, source / package, ignore=left_out)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*pip, "-w", folder, source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("pharos-*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def test_every_module_and_data_file_is_in_the_wheel(wheel: Path) -> None:
    listed = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    tracked = {name for name in listed.splitlines() if (ROOT / name).exists()}
    assert tracked
    needed = {
        name
        for name in tracked
        if not name.startswith(OPERATORS) or name.startswith("deploy/local/") or name.count("/") == 1
        if not name.startswith("deploy/") or name.endswith((".py", ".toml"))
    } | {name for name in tracked if name.startswith(("deploy/report/dist/", "deploy/report/questions/"))}
    missing = {name for name in needed if not (wheel / name).exists()}
    assert missing == set()


@pytest.mark.parametrize(
    "program",
    [
        "collector",
        "enricher",
        "sink",
        "loadtest",
        "loadtest.bench",
        "deploy.local",
        "deploy.local.clickhouse",
        "deploy.report",
    ],
)
def test_every_program_starts_from_the_wheel_and_knows_its_version(wheel: Path, program: str) -> None:
    for option, shown in (("--help", f"usage: python -m {program} "), ("--version", f"pharos {VERSION}, ")):
        asked = [sys.executable, "-m", program, option]
        done = subprocess.run(asked, cwd=wheel, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(shown)


COMMANDS = (
    "collector link",
    "collector mail-pixel",
    "collector salt",
    "collector spool list",
    "enricher explain",
    "sink erase",
    "sink users",
    "loadtest demo",
    "loadtest chaos",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_knows_its_version(command: str) -> None:
    asked = [sys.executable, "-m", *command.split(), "--version"]
    assert subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout == f"{version.LINE}\n"

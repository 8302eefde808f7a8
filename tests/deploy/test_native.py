"""The compiled stages do what the interpreted ones do: the same tests, run against them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.native import COMPILED, HOT, INTERPRETED, Impossible, build
from tests import rooms

ROOT = Path(__file__).parents[2]
SUITES = {
    "collector": (
        "http/test_both_paths", "http/test_limits", "http/test_raw_requests",
        "kafka/test_record_batch", "spool/test_block", "spool/test_segment", "spool/test_spool",
    ),
    "enricher": ("row/test_enrich", "rules/test_parts", "rules/test_vectors", "stream/test_record_batch"),
}  # fmt: skip
REPLACING = "under_always or slow_requests_of_one_address"
"""Tests that replace a compiled method or constant, which is not possible."""


def test_every_module_is_compiled_and_used(native: Path) -> None:
    modules = [f"{package}.{name.replace('/', '.')}" for package, names in COMPILED.items() for name in names]
    told = subprocess.run(
        [sys.executable, "-c", f"import {', '.join(modules)}; print(*({'.__file__, '.join(modules)}.__file__,))"],
        cwd=native,
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(name.endswith(".so") for name in told.stdout.split()), told.stdout
    assert len(told.stdout.split()) == len(modules)


def test_no_module_of_the_hot_path_is_forgotten() -> None:
    compiled = {f"{package}.{name.replace('/', '.')}" for package, names in COMPILED.items() for name in names}
    reached: set[str] = set()
    left = list(HOT)
    while left:
        module = left.pop()
        if module not in reached:
            reached.add(module)
            left += rooms.imports(module)
    listed = {
        module: [one for one in INTERPRETED if f"{module}.".startswith(f"{one}.")] for module in reached - compiled
    }
    assert [module for module, entries in listed.items() if not entries] == [], "neither compiled nor in INTERPRETED"
    used = {entry for entries in listed.values() for entry in entries}
    assert set(INTERPRETED) - used == set(), "no longer on the way of a hit, or compiled"


def test_it_passes_the_tests_of_the_way_of_a_hit(native: Path, tmp_path: Path) -> None:
    for package in native.iterdir():
        (tmp_path / package.name).symlink_to(package)
    for name in ("tests", "deploy", "loadtest", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.deploy.compiled",
        "-p",
        "no:cacheprovider",
        "-k",
        f"not ({REPLACING})",
    ]
    argv += [f"tests/{package}/{name}.py" for package, names in SUITES.items() for name in names]
    told = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout[-6000:] + told.stderr[-2000:]


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(FileExistsError, match="not empty"):
        build(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_missing_compiler_is_named_with_the_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(Impossible, match="apt-get install gcc"):
        build(tmp_path)
    assert shutil.which("no-such-compiler") is None

"""`.ci/run` with a `make` of the test's own: a test that needed its second try is named in the last lines."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

RUN = Path(__file__).parents[2] / ".ci/run"
MAKE = """#!/bin/sh
[ "$1" = test ] || exit 0
mkdir -p .pytest_cache/v/cache
case "$2" in
    *--last-failed*) cp second .pytest_cache/v/cache/lastfailed ;;
    *) cp first .pytest_cache/v/cache/lastfailed ;;
esac
[ "$(cat .pytest_cache/v/cache/lastfailed)" = "{}" ]
"""


@pytest.mark.parametrize(
    ("first", "second", "flaky", "code"),
    [
        ([], [], [], 0),
        (["tests/a.py::test_x[1 b]", "tests/b.py::test_y"], [], ["tests/a.py::test_x[1 b]", "tests/b.py::test_y"], 0),
        (["tests/a.py::test_x", "tests/b.py::test_y"], ["tests/b.py::test_y"], ["tests/a.py::test_x"], 1),
        (["tests/a.py::test_x"], ["tests/a.py::test_x"], [], 1),
    ],
)
def test_what_needed_its_second_try_is_named(
    first: list[str], second: list[str], flaky: list[str], code: int, tmp_path: Path
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("make", MAKE), ("apt-get", "#!/bin/sh\n")):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (tmp_path / ".ci").mkdir()
    shutil.copy(RUN, tmp_path / ".ci/run")
    for name, names in (("first", first), ("second", second)):
        (tmp_path / name).write_text(json.dumps(dict.fromkeys(names, True)))
    environ = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", str(tmp_path / ".ci/run")], env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode != 0) == bool(code), done.stdout + done.stderr
    last = done.stdout.splitlines()[-len(flaky) :] if flaky else []
    assert last == [f"FLAKY {name}" for name in flaky]
    assert done.stdout.count("FLAKY") == len(flaky)

"""Fixtures: what the image would hold, and the compiled programs in it; made once for all tests of all workers."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from deploy import native as compiling
from tests import needs

_ROOT: Final = Path(__file__).parents[1]
_OFFLINE: Final = ("Failed to establish a new connection", "Name or service not known", "No route to host")


class Image(NamedTuple):
    """What the image would hold, without Docker: made by the very steps of the Dockerfile's first stage."""

    programs: Path
    """The image's /srv/pharos."""
    python: Path
    """The interpreter of the image's /opt/venv."""
    compiler: Path
    """That of /opt/native, which compiled the programs."""


def steps() -> list[tuple[str, str]]:
    """Return the first stage's instructions from the first COPY on, in one line each: (COPY or RUN, the rest)."""
    text = (_ROOT / "deploy/Dockerfile").read_text().replace("\\\n", " ")
    stage = text.partition(" AS build\n")[2].partition("\nFROM ")[0]
    lines = [tuple(line.split(" ", 1)) for line in stage.splitlines() if re.match(r"COPY |RUN ", line)]
    first = next(number for number, line in enumerate(lines) if line[0] == "COPY")
    # What comes before is Debian's compiler: `compiling.compiler` looks for this machine's own.
    assert all("apt-get" in rest for _, rest in lines[:first])
    return [(word, rest) for word, rest in lines[first:]]


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Return the image of this run: its first test makes it, and those of other workers (`-n 3`) wait for it."""
    try:
        compiling.compiler()
    except compiling.Impossible as why:
        needs.missing(str(why))
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # a worker's own is inside the run's
    root = folder / "image"
    with (folder / "image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        complete = root / "complete"
        if not complete.exists():
            shutil.rmtree(root, ignore_errors=True)  # what a worker that failed has left
            make(root)
            complete.touch()
    return Image(root / "srv/pharos", root / "opt/venv/bin/python", root / "opt/native/bin/python")


def make(root: Path) -> None:
    """Run the Dockerfile's steps in a new folder: a minute, most of it pip's and the C compiler's."""
    build = root / "build"
    build.mkdir(parents=True)
    # Nothing of this test's own environment: a package of it must not replace one that is not locked.
    env = {name: text for name, text in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    for word, rest in steps():
        if word == "COPY":
            *sources, target = rest.split()
            for source in sources:
                _copy(_ROOT / source, build / target)
            continue
        command = rest.replace("/opt/", f"{root}/opt/").replace("/srv/", f"{root}/srv/").replace("--no-cache-dir ", "")
        command = re.sub(r"(^|&& )python -m pip", rf"\1{sys.executable} -m pip", command)  # Debian's own has no pip
        command = re.sub(r"(^|&& )python -m", rf"\1{Path(sys.executable).resolve()} -m", command)
        done = subprocess.run(
            ["/bin/sh", "-c", command], cwd=build, env=env, capture_output=True, text=True, check=False
        )
        told = done.stdout + done.stderr
        if done.returncode and any(words in told for words in _OFFLINE):
            needs.missing("no package index can be reached, from which the image's packages come")
        assert done.returncode == 0, f"RUN {rest}\n{told[-4000:]}"


def _copy(source: Path, target: Path) -> None:
    """As Docker does: a folder's content, or a file, into the folder `target`."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    else:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


@pytest.fixture(scope="session")
def native(image: Image) -> Path:
    """The three packages as the image has them: the way of a hit compiled."""
    return image.programs

"""The programs compiled, as the image has them: made for a benchmark, and recognised in a running process.

A figure counts as one of compiled code only if the process has mapped that code.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from loadtest.bench.frame import Unavailable

ROOT: Final = Path(__file__).parents[2]
"""Where the interpreted programs lie."""


KEPT: Final = "PHAROS_BENCH_NATIVE"
"""Environment variable: a folder in which the compiled packages stay from run to run."""


def compiled(folder: Path) -> Path:
    """Compile the packages into `folder`, or into the one that KEPT names; return it.

    What KEPT holds is taken as it is if its sources are those of today.

    Raises:
        Unavailable: that is not possible here, or KEPT holds other sources.
    """
    if kept := os.environ.get(KEPT):
        folder = Path(kept).resolve()
        if folder.exists() and any(folder.iterdir()):
            if changed := _changed(folder):
                raise Unavailable(f"{KEPT}: {folder} was compiled from other sources: empty it ({changed})")
            return folder
    argv = [sys.executable, "-m", "deploy.native", str(folder)]
    told = subprocess.run(argv, capture_output=True, text=True, timeout=600, check=False, cwd=ROOT)
    if told.returncode:
        raise Unavailable(f"the programs could not be compiled: {told.stderr.strip()}")
    return folder


def _changed(folder: Path) -> str:
    """Return the name of a source in `folder` that is not today's; empty if there is none."""
    sources = {path.relative_to(folder) for path in folder.rglob("*.py")}
    today = {
        path.relative_to(ROOT) for top in {path.parts[0] for path in sources} for path in (ROOT / top).rglob("*.py")
    }
    if not sources:
        return "no sources"
    if odd := sources ^ today:
        return str(min(odd))
    return next((str(path) for path in sources if (folder / path).read_bytes() != (ROOT / path).read_bytes()), "")


def check(pid: int, code: Path) -> None:
    """Return if the process runs what lies in `code`: compiled, unless that is ROOT.

    Raises:
        RuntimeError: it does not.
    """
    mapped = Path(f"/proc/{pid}/maps").read_text()
    found = re.search(rf"{re.escape(str(code.resolve()))}/\w+__mypyc\.", mapped)
    if (found is None) != (code == ROOT):
        raise RuntimeError(f"process {pid} runs other code than that in {code}")

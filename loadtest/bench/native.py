"""The programs compiled, as the image has them: made for a benchmark, and recognised in a running process.

A figure counts as one of compiled code only if the process has mapped that code.
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from loadtest.bench.frame import Unavailable

ROOT: Final = Path(__file__).parents[2]
"""Where the interpreted programs lie."""


def compiled(folder: Path) -> Path:
    """Compile the packages into `folder` and return it.

    Raises:
        Unavailable: that is not possible here.
    """
    argv = [sys.executable, "-m", "deploy.native", str(folder)]
    told = subprocess.run(argv, capture_output=True, text=True, timeout=600, check=False, cwd=ROOT)
    if told.returncode:
        raise Unavailable(f"the programs could not be compiled: {told.stderr.strip()}")
    return folder


def check(pid: int, code: Path) -> None:
    """Return if the process runs what lies in `code`: compiled, unless that is ROOT.

    Raises:
        RuntimeError: it does not.
    """
    mapped = Path(f"/proc/{pid}/maps").read_text()
    found = re.search(rf"{re.escape(str(code.resolve()))}/\w+__mypyc\.", mapped)
    if (found is None) != (code == ROOT):
        raise RuntimeError(f"process {pid} runs other code than that in {code}")

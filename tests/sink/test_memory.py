"""A large buffer that is released returns to the system, also if small objects were made after it."""

import subprocess
import sys

import pytest

from tests import needs
from tests.sink.conftest import ROOT

_PROGRAM = """
import os, sys
from pathlib import Path
from sink.memory import give_back_large_buffers

def resident_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20

heard = sys.argv[1] == "plain" or give_back_large_buffers()
before = resident_mib()
kept = []
for _ in range(3):
    large = b"x" * (30 << 20)
    kept += [b"y" * 2_000 for _ in range(100)]
    del large
print(heard, resident_mib() - before)
"""


def grown_mib(how: str) -> int:
    output = subprocess.run(
        [sys.executable, "-c", _PROGRAM, how], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    if output[0] != "True":
        needs.missing("the C library is not glibc")
    return int(output[1])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_large_buffers_go_back_to_the_system() -> None:
    assert grown_mib("given back") < 10
    assert grown_mib("plain") >= 25, "glibc has learnt to do so by itself: sink/memory.py is not needed any more"

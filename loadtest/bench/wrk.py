"""wrk, the client of the benchmarks: it repeats the requests of a file on one core, over 64 connections."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from loadtest.bench.frame import Unavailable
from loadtest.check.processes import pinned

CONNECTIONS: Final = 64
FEW: Final = 300
"""Answers after which a run in miniature ends."""
_LUA: Final = Path(__file__).with_name("wrk.lua")


class Wrk(msgspec.Struct, frozen=True):
    """What wrk prints at its end; latencies in microseconds."""

    hits: int
    """Answered requests."""
    failed: int
    """Requests that broke, timed out, or were answered with a status from 400 on."""
    us: int
    p50_us: int
    p99_us: int
    p99_9_us: int
    cpu_s: float = 0.0
    """CPU time of wrk itself."""


def program(name: str, package: str) -> str:
    """Return the path of a program.

    Raises:
        Unavailable: it is not installed; Debian's `package` has it.
    """
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")
    if path is None:
        raise Unavailable(f"{name} is not installed (apt-get install {package})")
    return path


def cores() -> tuple[list[int], list[int]]:
    """Return the server's core and the client's; the same one where there is only one."""
    found = sorted(os.sched_getaffinity(0))
    return found[:1], found[-1:]


def write(requests: Iterable[bytes], path: Path) -> int:
    """Write requests for `run`; return how many."""
    count = 0
    with path.open("wb") as file:
        for request in requests:
            file.write(request + b"\0")
            count += 1
    return count


def run(
    port: int,
    requests: Path,
    seconds: float,
    *,
    mean_pause_ms: int = 0,
    most: int = 0,
    connections: int = CONNECTIONS,
) -> Wrk:
    """Send the requests of a file round and round; each connection pauses between two of them where that is asked for.

    wrk runs for whole seconds, at least one; `most` answers end it earlier (0: nothing does), a moment late.

    Raises:
        RuntimeError: it failed, or a request did.
    """
    argv = [program("wrk", "wrk"), "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
    argv += ["-s", str(_LUA), f"http://127.0.0.1:{port}", "--", str(requests), str(mean_pause_ms), str(most)]
    before = os.times()
    with pinned(cores()[1]):
        done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 60, check=False)
    found = re.search(r"^RESULT (.*)$", done.stdout, re.MULTILINE)
    if done.returncode or found is None:
        raise RuntimeError(f"wrk failed:\n{done.stdout}{done.stderr}")
    result = msgspec.json.decode(found[1], type=Wrk)
    if result.failed:
        raise RuntimeError(f"{result.failed} of {result.hits} requests failed")
    after = os.times()  # of the children that have ended, wrk among them
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return msgspec.structs.replace(result, cpu_s=cpu_s)

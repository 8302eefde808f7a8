"""Programs under test: start, wait until ready, read from the operating system what they cost, stop."""

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from loadtest.check.ports import free_port as free_port


class NotReady(RuntimeError):
    """A program died, or did not become ready within its bound; the message ends with its last output."""


def tree(pid: int) -> list[psutil.Process]:
    """Return the process and its living descendants; empty when it is gone."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill_tree(pid: int) -> None:
    """kill -9 the process and all of its descendants."""
    for process in tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def cpu_s(pid: int) -> float:
    """Return CPU seconds (user and system, all threads) of a process tree so far, its reaped children included."""
    total = 0.0
    for process in tree(pid):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def rss_bytes(pid: int) -> int:
    """Return the resident memory of a process tree now, bytes; shared pages count once a process."""
    total = 0
    for process in tree(pid):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def pss_bytes(pid: int) -> int:
    """Return the memory of a process tree now, bytes; a page that n processes share counts as an n-th of it in each."""
    total = 0
    for process in tree(pid):
        try:
            rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += next((int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:")), 0)
    return total


def rss_peak_bytes(pid: int) -> int:
    """Return the sum of the highest resident memory (Linux: VmHWM) that each process of a tree ever had, bytes."""
    total = 0
    for process in tree(pid):
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            continue
        total += next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0)
    return total


@contextmanager
def pinned(cores: Sequence[int] | None) -> Iterator[None]:
    """Keep this thread, and every process started inside the block, on `cores`; None leaves things as they are."""
    if cores is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(cores) & before or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def wait_until(ready: Callable[[], bool], what: str, within_s: float, every_s: float = 0.02) -> None:
    """Return as soon as `ready()` is true.

    Raises:
        NotReady: it was not within `within_s`; the message names `what`.
    """
    deadline = time.monotonic() + within_s
    while not ready():
        if time.monotonic() > deadline:
            raise NotReady(f"{what}: not within {within_s:g} s")
        time.sleep(every_s)


def answers(url: str, within_s: float = 2.0) -> bool:
    """Return whether a GET of `url` (plain HTTP) answers 2xx now."""
    try:
        with urllib.request.urlopen(url, timeout=within_s) as response:  # noqa: S310 - the caller's own http:// address
            return 200 <= int(response.status) < 300
    except (urllib.error.URLError, OSError):
        return False


def listening(port: int, host: str = "127.0.0.1") -> bool:
    """Return whether something accepts connections there now."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


class Program:
    """A program that runs: its pid, its log file, and what it has cost."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process, self.log = process, log
        self.pid = process.pid

    def cpu_s(self) -> float:
        """Return CPU seconds of its process tree so far."""
        return cpu_s(self.pid)

    def rss_peak_bytes(self) -> int:
        """Return the peak memory of its process tree, bytes."""
        return rss_peak_bytes(self.pid)

    def last_lines(self, count: int = 8) -> str:
        """Return the end of what it printed, for messages."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])

    def wait_ready(self, ready: Callable[[], bool], what: str, within_s: float = 30) -> None:
        """Return once `ready()`; raise NotReady with its last output if it dies first or takes longer."""

        def ready_or_dead() -> bool:
            return self.process.poll() is not None or ready()

        try:
            wait_until(ready_or_dead, what, within_s)
        except NotReady as late:
            raise NotReady(f"{late}\n{self.last_lines()}") from None
        if self.process.poll() is not None:
            raise NotReady(f"{what}: ended with {self.process.returncode}\n{self.last_lines()}")

    def stop(self, within_s: float = 20) -> int:
        """Send SIGTERM to its process group's leader, SIGKILL to the group past `within_s`; return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(within_s)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                self.process.wait(10)
        return self.process.returncode


@contextmanager
def started(
    argv: Sequence[str],
    *,
    folder: Path,
    ready: Callable[[], bool],
    environ: Mapping[str, str] | None = None,
    cores: Sequence[int] | None = None,
    cwd: Path | None = None,
    within_s: float = 30,
) -> Iterator[Program]:
    """Run `argv` inside the block, once `ready()` is true, and stop it at the end.

    Its output goes to a log in `folder`; `environ` is added to this process's own; `cores` pins it, `cwd` is where it
    runs. Ready is usually `lambda: answers(f"http://127.0.0.1:{port}/readyz")` or `lambda: listening(port)`.

    Raises:
        NotReady: it ended or was not ready within `within_s`.
    """
    log = folder / f"{Path(argv[0]).name}-{time.monotonic_ns()}.log"
    with log.open("wb") as output, pinned(cores):
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env={**os.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    program = Program(process, log)
    try:
        program.wait_ready(ready, " ".join(argv[:4]), within_s)
        yield program
    finally:
        program.stop()

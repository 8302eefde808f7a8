"""Programs under test: each in a process group of its own, none left behind, however the test run ends.

Every process of a run carries the run's token in its environment. A guard process waits on a pipe; when the run ends,
by Ctrl-C or `kill -9` too, the pipe closes and the guard kills every process that still carries the token.
"""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

TOKEN_NAME = "PHAROS_TEST_RUN"


def carrying(variable: str, value: str) -> dict[int, str]:
    """Return pid -> command line of every process that has `variable` set so, but for the caller's own."""
    mark = f"{variable}={value}".encode()
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):  # gone meanwhile, or another user's
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return found


def kill_all(token: str) -> dict[int, str]:
    """Kill every process that carries `token`; return those that there were, as `carrying` does."""
    killed: dict[int, str] = {}
    # Again and again, since what is being killed may just have started another. A zombie has no command line.
    while found := {pid: line for pid, line in carrying(TOKEN_NAME, token).items() if line}:
        for pid, line in found.items():
            killed.setdefault(pid, line)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    return killed


class Guard:
    """Keeps the promise for one test run: after it, nothing that the run started is running."""

    def __init__(self) -> None:
        self._token = secrets.token_hex(16)
        outside = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
        outside.pop(TOKEN_NAME, None)
        os.environ[TOKEN_NAME] = self._token
        self._guard = subprocess.Popen(
            [sys.executable, __file__, self._token],
            env=outside,
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in the terminal must not end the guard before the run
        )

    def close(self) -> dict[int, str]:
        """End the guard; return what was still running (and is not any more): pid -> command line."""
        left = kill_all(self._token)
        os.environ.pop(TOKEN_NAME, None)
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait()
        return left


class Program:
    """A started program, its output in a file."""

    def __init__(
        self, argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        """Start `argv` with `env` on top of this process's environment; standard output and error go to `log`."""
        self.argv = list(argv)
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        output: IO[bytes]
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                self.argv,
                env=os.environ | dict(env or {}),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child.poll() is None

    def output(self) -> str:
        """Return all that the program wrote so far (with what earlier programs wrote to the same file)."""
        return self.log.read_text(errors="replace")

    def signal(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send a signal to the program, or to all of its group as a terminal's Ctrl-C does. None if it is gone."""
        with suppress(ProcessLookupError):
            if group:
                os.killpg(self.pid, number)
            elif self.running:
                self._child.send_signal(number)

    def wait(self, timeout_s: float) -> int:
        """Return the exit code; a signal's is negative.

        Raises:
            subprocess.TimeoutExpired: still running after `timeout_s`.
        """
        return self._child.wait(timeout_s)

    def terminate(self, timeout_s: float = 20) -> int:
        """SIGTERM, then wait; return the exit code. What has not ended by `timeout_s` is killed, which is a failure.

        Raises:
            subprocess.TimeoutExpired: had to be killed.
        """
        self.signal(signal.SIGTERM)
        try:
            return self.wait(timeout_s)
        finally:
            self.kill()

    def kill(self) -> None:
        """kill -9 the program and all of its group, and wait until it is gone."""
        self.signal(signal.SIGKILL, group=True)
        self._child.wait()

    def pause(self) -> None:
        """SIGSTOP: alive for the kernel, dead for its peers; what a zombie or a long pause looks like."""
        self.signal(signal.SIGSTOP, group=True)

    def resume(self) -> None:
        """SIGCONT."""
        self.signal(signal.SIGCONT, group=True)


if __name__ == "__main__":
    sys.stdin.buffer.read()
    kill_all(sys.argv[1])

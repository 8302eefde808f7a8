"""Driver processes that run after run is driven with."""

import contextlib
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

from loadtest.drive.plan import Plan


class Senders:
    """Driver processes that wait for plans: started when a run needs them, kept for the next run, ended by `close`."""

    def __init__(self) -> None:
        self._idle: list[tuple[subprocess.Popen[bytes], Pipe]] = []

    def __enter__(self) -> "Senders":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def at_work(self, plan: Plan) -> Iterator[list[Pipe]]:
        """Hand the plan to as many processes as it needs; give their pipes.

        Processes whose pipes are still in the list at the end wait for the next plan; the others are ended, and all of
        them after an exception.
        """
        taken = [self._next() for _ in range(plan.senders)]
        kept: list[Pipe] = []
        try:
            for index, (_, pipe) in enumerate(taken):
                pipe.send((plan, index))
            pipes = [pipe for _, pipe in taken]
            yield pipes
            kept = pipes
        finally:
            for process, pipe in taken:
                if pipe in kept and process.poll() is None:
                    self._idle.append((process, pipe))
                else:
                    _end(process, pipe)

    def _next(self) -> tuple["subprocess.Popen[bytes]", Pipe]:
        while self._idle:
            process, pipe = self._idle.pop()
            if process.poll() is None:
                return process, pipe
            pipe.close()
        return _start()

    def close(self) -> None:
        """End the processes that wait."""
        while self._idle:
            _end(*self._idle.pop())


def _start() -> tuple["subprocess.Popen[bytes]", Pipe]:
    ours, theirs = multiprocessing.Pipe()
    root = str(Path(__file__).resolve().parents[2])
    process = subprocess.Popen(
        [sys.executable, "-m", "loadtest.drive.sender_process", str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])},
        # Ctrl-C must not reach a sender: the parent stops it in order, so that what was sent can be audited.
        start_new_session=True,
    )
    theirs.close()
    return process, ours


def _end(process: "subprocess.Popen[bytes]", pipe: Pipe) -> None:
    pipe.close()
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

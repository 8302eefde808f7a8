"""Break things on purpose, on a schedule: kill, stop, pause processes of one tree, or run a command.

Only descendants of the one process named at the start are ever signalled; the process that started them (the local
runner, a container's init, a service manager) restarts them. Commands are run as the operator wrote them.
"""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import psutil

SIGNALS: Final = {"kill": signal.SIGKILL, "stop": signal.SIGTERM, "pause": signal.SIGSTOP}


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault of the file."""

    at_s: Annotated[float, msgspec.Meta(ge=0)]
    """Seconds from the start of the run."""
    do: Literal["kill", "stop", "pause", "run"]
    """SIGKILL; SIGTERM; SIGSTOP for `for_s` seconds; a command."""
    what: str = ""
    """A name of `[components]`."""
    for_s: Annotated[float, msgspec.Meta(gt=0)] = 2.0
    """How long a pause lasts."""
    command: tuple[str, ...] = ()
    """What `run` runs."""


class FaultSchedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A faults file."""

    components: dict[str, str]
    """By name, a text that the component's command line contains, such as "-m collector"."""
    fault: tuple[Fault, ...]


def parse(text: bytes) -> FaultSchedule:
    """Read the text of a faults file.

    Raises:
        msgspec.DecodeError: not TOML, or (as ValidationError) a malformed entry, named by its path.
        ValueError: a fault names no component, or a `run` no command.
    """
    script = msgspec.toml.decode(text, type=FaultSchedule)
    for fault in script.fault:
        if fault.do == "run" and not fault.command:
            raise ValueError(f"the fault at {fault.at_s:g} s runs nothing: it needs a command")
        if fault.do != "run" and fault.what not in script.components:
            raise ValueError(f"the fault at {fault.at_s:g} s names no component: {fault.what!r}")
    return script


def named(fault: Fault) -> str:
    """Return what a fault does, such as "kill sink"."""
    return " ".join(fault.command) if fault.do == "run" else f"{fault.do} {fault.what}"


def find(root: int, words: str) -> list[psutil.Process]:
    """Return the topmost descendants of `root` whose command line contains `words`."""
    found: list[psutil.Process] = []
    try:
        children = psutil.Process(root).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    for process in children:
        try:
            matches = words in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE
            below = any(parent in found for parent in process.parents())
        except psutil.NoSuchProcess:
            continue
        if matches and not below:
            found.append(process)
    return found


class FaultInjector:
    """Plays a script once, on a thread of its own."""

    def __init__(self, script: FaultSchedule, root: int) -> None:
        self.script, self.root = script, root
        self.done: list[tuple[float, str]] = []
        """Seconds from the start, and what was done."""
        self.failed: list[str] = []
        """What could not be done, and why; what was never played among it."""
        self._left = sorted(script.fault, key=lambda fault: fault.at_s)
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, start: float) -> None:
        """Start playing, once; `start` is the run's start on time.perf_counter's clock."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._play, args=(start,), daemon=True)
            self._thread.start()

    def finish(self) -> None:
        """Play no further; what is paused goes on, and what was not played has failed: it has shown nothing."""
        self._over.set()
        if self._thread:
            self._thread.join()
        self.failed += [f"{named(fault)} at {fault.at_s:g} s: the run was over by then" for fault in self._left]
        self._left.clear()

    def kills(self) -> dict[str, int]:
        """Return how often each component was killed with SIGKILL."""
        counts = dict.fromkeys(self.script.components, 0)
        for _, text in self.done:
            verb, _, what = text.partition(" ")
            if verb == "kill" and what in counts:
                counts[what] += 1
        return counts

    def _play(self, start: float) -> None:
        while self._left:
            fault = self._left[0]
            if self._over.wait(max(0.0, start + fault.at_s - time.perf_counter())):
                return
            del self._left[0]
            text = named(fault)
            try:
                self._inject(fault)
            except (OSError, subprocess.SubprocessError, psutil.Error, LookupError) as problem:
                self.failed.append(f"{text} at {fault.at_s:g} s: {problem}")
            else:
                self.done.append((round(time.perf_counter() - start, 1), text))

    def _inject(self, fault: Fault) -> None:
        if fault.do == "run":
            subprocess.run(fault.command, check=True, capture_output=True, timeout=60)
            return
        processes = self._awaited(fault.what)
        for process in processes:
            os.kill(process.pid, SIGNALS[fault.do])
        if fault.do == "pause":
            self._over.wait(fault.for_s)
            for process in processes:
                process.resume()

    def _awaited(self, what: str) -> list[psutil.Process]:
        """Return the component's processes; one that is just being restarted is given ten seconds."""
        deadline = time.monotonic() + 10
        while not (found := find(self.root, self.script.components[what])):
            if time.monotonic() > deadline or self._over.wait(0.05):
                raise LookupError(f"no process of {what} is running")
        return found


def load(path: Path) -> FaultSchedule:
    """Read a faults file; raises as `parse` does, and OSError."""
    return parse(path.read_bytes())

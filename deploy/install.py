"""Install a lock file into a virtual environment and show the progress: `python deploy/install.py VENV LOCK`.

`make` runs this before any package is there, so it uses the standard library only.
"""

import os
import re
import subprocess
import sys
import threading
import time
import venv
from pathlib import Path
from typing import IO, Final

_TAIL: Final = 30  # lines of pip's output that are shown when it fails
_PIN: Final = re.compile(r"^[A-Za-z0-9][\w.-]*(?:\[[\w,-]+\])?==", re.MULTILINE)


class Progress:
    """What pip reports, line by line, as one short status."""

    def __init__(self, pinned: int) -> None:
        self.lines: list[str] = []
        self._pinned = pinned
        self._collected = 0
        self._last = ""
        self._installing = False

    def read(self, line: str) -> None:
        """Take one line of pip's output."""
        self.lines.append(line.rstrip())
        verb, _, rest = line.strip().partition(" ")
        if verb == "Collecting":
            self._collected += 1
            self._last = rest.partition(" ")[0]
        elif line.startswith("Installing collected packages"):
            self._installing = True

    def status(self, seconds: float) -> str:
        """Return what pip does now. `seconds` is the time since its start."""
        if self._installing:
            return f"unpacking {self._collected} packages, {seconds:.0f} s"
        if self._collected == 0:
            return f"looking at what is there, {seconds:.0f} s"
        return f"package {self._collected} of at most {self._pinned}: {self._last}, {seconds:.0f} s"


def run(command: list[str], progress: Progress, out: IO[str], every_s: float) -> int:
    """Run `command`, write its status to `out` every `every_s` seconds, and return its exit code."""
    started = time.monotonic()
    shown = out.isatty()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:  # noqa: S603

        def read() -> None:
            for line in process.stdout or ():
                progress.read(line)

        reader = threading.Thread(target=read)
        reader.start()
        reader.join(every_s)
        while reader.is_alive():
            status = progress.status(time.monotonic() - started)
            out.write(f"\r\x1b[K  {status[:76]}" if shown else f"  {status}\n")
            out.flush()
            reader.join(every_s)
    if shown:
        out.write("\r\x1b[K")
    return process.returncode


def main(arguments: list[str]) -> int:
    """Return 0 when every package of the lock file is installed."""
    if len(arguments) != 2:
        print("usage: python deploy/install.py VENV LOCK", file=sys.stderr)
        return 2
    folder, lock = map(Path, arguments)
    python = folder / "bin" / "python"
    print(f"installing the packages of {lock} into {folder}", flush=True)
    if not python.exists():
        venv.create(folder, with_pip=True)
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    # Most modules are never imported. Where Python keeps bytecode, the first import makes it, and pip need not.
    pip += [] if os.environ.get("PYTHONDONTWRITEBYTECODE") else ["--no-compile"]
    progress = Progress(len(_PIN.findall(lock.read_text())))
    code = run([*pip, "--require-hashes", "-r", str(lock)], progress, sys.stdout, 0.5 if sys.stdout.isatty() else 10)
    if code:
        print("\n".join(progress.lines[-_TAIL:]), file=sys.stderr)
        print(f"pip ended with {code}. Is the package index reachable, and the disk not full?", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

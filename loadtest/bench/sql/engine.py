"""ClickHouse's engine in a process of its own: statements one at a time, each with what it took."""

import subprocess
import sys
from pathlib import Path
from typing import IO, Final, cast

import msgspec

MEMORY_BYTES: Final = 4 << 30
"""Of one statement."""


class Cost(msgspec.Struct, frozen=True):
    """What one statement took in the engine's process."""

    cpu_s: float
    wall_s: float
    peak_mb: float
    """Greatest resident memory while it ran."""
    read_mb: float = 0
    """Read from tables, uncompressed."""


class Engine:
    """chDB in a process of its own, one statement at a time."""

    def __init__(self, folder: Path) -> None:
        argv = [sys.executable, "-m", "loadtest.bench.sql.process", str(folder), str(MEMORY_BYTES)]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._to = cast("IO[bytes]", self._process.stdin)
        self._from = cast("IO[bytes]", self._process.stdout)

    def run(self, sql: str) -> Cost:
        """Run a statement and throw its rows away.

        Raises:
            RuntimeError: ClickHouse refused it; the message is ClickHouse's.
        """
        self._to.write(msgspec.json.encode(sql) + b"\n")
        self._to.flush()
        answer = msgspec.json.decode(self._from.readline(), type=Cost | str)
        if isinstance(answer, Cost):
            return answer
        raise RuntimeError(answer[:2000])

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=60)

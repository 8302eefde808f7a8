"""The process in which `loadtest.bench.sql.engine` measures: a folder and a memory limit, statements on standard input.

Each line of input is a statement as a JSON string; each line of output is its Cost, or ClickHouse's error as a string.
"""

import sys
import time
from pathlib import Path
from typing import Any

import chdb
import msgspec

from loadtest.bench.sql.engine import Cost

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def _peak_mb() -> float:
    for line in _STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def main(folder: str, memory_bytes: str) -> int:
    """Answer until the input ends."""
    # Another form of EXPLAIN writes each nested expression out, and of attribution takes all memory.
    opened: Any = chdb.connect(f"{folder}?explain_query_plan_default=legacy")  # type: ignore[no-untyped-call]
    opened.query(f"SET max_memory_usage = {int(memory_bytes)}")
    opened.query("SET max_bytes_before_external_group_by = 1200000000")  # as an analyst has it: sink/users.sql
    for line in sys.stdin.buffer:
        _CLEAR.write_text("5")
        began, spent = time.monotonic(), time.process_time()
        answer: Cost | str
        try:
            done = opened.query(msgspec.json.decode(line, type=str))
            spent, began = time.process_time() - spent, time.monotonic() - began
            answer = Cost(spent, began, _peak_mb(), done.storage_bytes_read() / 1e6)
        except RuntimeError as error:
            answer = str(error)
        sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
        sys.stdout.buffer.flush()
    opened.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

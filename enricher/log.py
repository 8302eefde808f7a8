"""One JSON line an occurrence, on stderr: never anything personal."""

import sys
from datetime import UTC, datetime
from typing import Literal

import orjson

Level = Literal["info", "warning", "error"]


def log(level: Level, msg: str, **fields: str | int | float | bool) -> None:
    """Write one line: when, which stage, how bad, what, and the numbers that belong to it."""
    line = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "stage": "enricher", "level": level, "msg": msg}
    sys.stderr.write(orjson.dumps(line | fields).decode() + "\n")
    sys.stderr.flush()

"""Log lines of the collector: one JSON object a line on standard error, without personal data."""

import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Literal

import orjson


def where(problem: BaseException) -> list[str]:
    """Return the places a traceback names, outermost first: file, line and function, no values."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(problem.__traceback__)]


class _Lines(logging.Handler):
    """Puts what libraries log into our form; a traceback becomes its places.

    A library may write what a client sent, its address or its cookie, into a message or an error: only the message's
    form and the error's type go on.
    """

    def emit(self, record: logging.LogRecord) -> None:
        problem = record.exc_info[1] if record.exc_info else None
        if 400 <= getattr(problem, "code", 500) < 500:
            return  # aiohttp's word for a request that is none: the client's fault, and answered
        places = {"problem": type(problem).__name__, "where": where(problem)} if problem else {}
        line("error" if record.levelno >= logging.ERROR else "warning", str(record.msg), by=record.name, **places)


def take_over_libraries() -> None:
    """Have libraries' warnings come as our lines. Those of the Kafka client are left out: forward.py says it once."""
    logging.basicConfig(handlers=[_Lines()], level=logging.WARNING, force=True)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def line(level: Literal["info", "warning", "error"], msg: str, **fields: object) -> None:
    """Write one event. `fields` must hold no address, cookie, URL or user agent."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    record = {"at": at, "stage": "collector", "level": level, "msg": msg, **fields}
    sys.stderr.buffer.write(orjson.dumps(record, default=str) + b"\n")
    sys.stderr.buffer.flush()

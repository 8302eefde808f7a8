"""Log lines: one line per event on standard error, as JSON or text, without personal data, and never a flood.

At most MOST lines of one message are written within WINDOW_S seconds. The next line of that message has the number of
suppressed lines in `left_out`.
"""

import json
import logging
import sys
import time
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, Literal

import orjson

MOST: Final = 20
WINDOW_S: Final = 60.0
KINDS: Final = 200
"""Messages with a count of their own. A library that makes a new message each time fills them up; the rest share one
count."""

Form = Literal["auto", "json", "text"]
"""`auto`: text where standard error is a terminal, else JSON."""


class Limiter:
    """Decides which lines are written. `now` is in seconds, of any steady clock."""

    def __init__(self) -> None:
        self._kinds: dict[str, tuple[float, int]] = {}
        """Kind -> (start of its window, lines in the window)."""

    def admit(self, kind: str, now: float) -> int | None:
        """Return the number of suppressed lines of this kind before this one, or None if this one is suppressed too."""
        if kind not in self._kinds and len(self._kinds) >= KINDS:
            self._kinds = {each: held for each, held in self._kinds.items() if held[0] + WINDOW_S > now}
            if len(self._kinds) >= KINDS:
                kind = ""
        began, lines = self._kinds.get(kind, (now, 0))
        if now >= began + WINDOW_S:
            self._kinds[kind] = (now, 1)
            return max(0, lines - MOST)
        self._kinds[kind] = (began, lines + 1)
        return 0 if lines < MOST else None

    def owed(self, now: float) -> Iterator[tuple[str, int]]:
        """Yield (kind, suppressed lines) for each kind whose window is over, and forget the kind."""
        for kind, (began, lines) in list(self._kinds.items()):
            if now >= began + WINDOW_S:
                del self._kinds[kind]
                if lines > MOST:
                    yield kind, lines - MOST


def as_json(record: dict[str, object]) -> bytes:
    """Return the line as a JSON object."""
    try:
        return orjson.dumps(record, default=str)
    except TypeError:  # a lone surrogate, which a file name can contain
        return json.dumps(record, default=str).encode()


def as_text(record: dict[str, object]) -> bytes:
    """Return the line as text: time, level, stage, message, then name=value; values with spaces are quoted."""
    rest = dict(record)
    words = [f"{rest.pop('at')} {str(rest.pop('level')).upper():7} {rest.pop('stage')}: {_plain(str(rest.pop('msg')))}"]
    for name, value in rest.items():
        text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
        plain = text.isprintable() and text and not set(text) & set(' "=')
        words.append(f"{name}={text if plain else json.dumps(text)}")
    return " ".join(words).encode("utf-8", "replace")


def _plain(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


_limiter = Limiter()
_stage = "pharos"
_form = as_json


def start(stage: str, form: Form) -> None:
    """Name the stage in every line from now on, and write in this form."""
    global _stage, _form
    _stage = stage
    _form = as_text if form == "text" or (form == "auto" and sys.stderr.isatty()) else as_json


def line(level: Literal["info", "warning", "error"], msg: str, **fields: object) -> None:
    """Write one event, unless MOST like it were written just now. `fields` must contain no visitor's data."""
    now = time.monotonic()
    left_out = _limiter.admit(msg, now)
    if left_out is not None:
        _write_owed(now)
        _write(level, msg, fields | ({"left_out": left_out} if left_out else {}))


def settle() -> None:
    """At exit: write the counts of suppressed lines that no line has reported yet."""
    _write_owed(float("inf"))


def _write_owed(now: float) -> None:
    for msg, count in _limiter.owed(now):
        _write("warning", "lines were left out", {"like": msg, "left_out": count})


def _write(level: str, msg: str, fields: dict[str, object]) -> None:
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    record: dict[str, object] = {"at": at, "stage": _stage, "level": level, "msg": msg, **fields}
    sys.stderr.buffer.write(_form(record) + b"\n")
    sys.stderr.buffer.flush()


def where(problem: BaseException) -> list[str]:
    """Return the places in a traceback, outermost first: file, line and function, no values."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(problem.__traceback__)]


class _Lines(logging.Handler):
    """Writes log records of libraries as our lines.

    A library may put a client's request, a row or a cookie into a message or an error. So only the message's format,
    the error's type and the places of its traceback are written.
    """

    def emit(self, record: logging.LogRecord) -> None:
        problem = record.exc_info[1] if record.exc_info else None
        if record.name.startswith("aiohttp.") and 400 <= getattr(problem, "code", 500) < 500:
            return  # a malformed request: the client's fault, and answered
        places = {"problem": type(problem).__name__, "where": where(problem)} if problem else {}
        line("error" if record.levelno >= logging.ERROR else "warning", str(record.msg), by=record.name, **places)


def take_over_libraries() -> None:
    """Write warnings of libraries as our lines, except the Kafka client's: the stages report its errors themselves."""
    logging.basicConfig(handlers=[_Lines()], level=logging.WARNING, force=True)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

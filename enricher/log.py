"""Log lines of the enricher: JSON or text, one an event on standard error, without personal data, and never a flood.

Rule: of one message at most MOST lines leave within WINDOW_S seconds; the next one says in `left_out` how many did not.
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

STAGE: Final = "enricher"
MOST: Final = 20
WINDOW_S: Final = 60.0
KINDS: Final = 200
"""Messages that are counted apart; a library that makes a new one each time fills these up, then shares one count."""

Form = Literal["auto", "json", "text"]
"""`auto`: text where standard error is a terminal, else JSON."""


class Limiter:
    """Which lines may leave. Pure: `now` in seconds of any steady clock comes with each question."""

    def __init__(self) -> None:
        self._kinds: dict[str, tuple[float, int]] = {}
        """Kind -> when its window began, lines in it so far."""

    def admit(self, kind: str, now: float) -> int | None:
        """Return how many of this kind were left out before this line; None: leave this one out, too."""
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
        """Yield and forget (kind, lines left out) of the kinds whose window is over."""
        for kind, (began, lines) in list(self._kinds.items()):
            if now >= began + WINDOW_S:
                del self._kinds[kind]
                if lines > MOST:
                    yield kind, lines - MOST


def as_json(record: dict[str, object]) -> bytes:
    """Return the line as a JSON object."""
    try:
        return orjson.dumps(record, default=str)
    except TypeError:  # half a character, as a file's name may hold
        return json.dumps(record, default=str).encode()


def as_text(record: dict[str, object]) -> bytes:
    """Return the line for people: time, level, stage, message, then name=value; odd values are quoted."""
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
_form = as_json


def use(form: Form) -> None:
    """Write in this form from now on."""
    global _form
    _form = as_text if form == "text" or (form == "auto" and sys.stderr.isatty()) else as_json


def line(level: Literal["info", "warning", "error"], msg: str, **fields: object) -> None:
    """Write one event, unless many like it were written just now. `fields` must hold nothing of a visitor."""
    now = time.monotonic()
    left_out = _limiter.admit(msg, now)
    if left_out is not None:
        _tell_owed(now)
        _write(level, msg, fields | ({"left_out": left_out} if left_out else {}))


def settle() -> None:
    """At the end: say what was left out and not told yet."""
    _tell_owed(float("inf"))


def _tell_owed(now: float) -> None:
    for msg, count in _limiter.owed(now):
        _write("warning", "lines were left out", {"like": msg, "left_out": count})


def _write(level: str, msg: str, fields: dict[str, object]) -> None:
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    record: dict[str, object] = {"at": at, "stage": STAGE, "level": level, "msg": msg, **fields}
    sys.stderr.buffer.write(_form(record) + b"\n")
    sys.stderr.buffer.flush()


def where(problem: BaseException) -> list[str]:
    """Return the places a traceback names, outermost first: file, line and function, no values."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(problem.__traceback__)]


class _Lines(logging.Handler):
    """Puts what libraries log into our form; a traceback becomes its places.

    A library may write a row or a hit into a message or an error: only the message's form and the error's type go on.
    """

    def emit(self, record: logging.LogRecord) -> None:
        problem = record.exc_info[1] if record.exc_info else None
        places = {"problem": type(problem).__name__, "where": where(problem)} if problem else {}
        line("error" if record.levelno >= logging.ERROR else "warning", str(record.msg), by=record.name, **places)


def take_over_libraries() -> None:
    """Have libraries' warnings come as our lines. Those of the Kafka client are left out: stream.py says it once."""
    logging.basicConfig(handlers=[_Lines()], level=logging.WARNING, force=True)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

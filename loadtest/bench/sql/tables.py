"""The tables that are asked: made when a contestant needs one, closed as the sink closes them, kept if asked for."""

import hashlib
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from loadtest.bench.frame import Unavailable
from loadtest.bench.sql import events
from loadtest.bench.sql.engine import Engine
from loadtest.check.closed_days import Closed, close_days, create

DAYS: Final = 60
"""Of a table of two months."""
EVERY_S: Final = 5.0
"""At least this long between two lines of progress."""
_MADE: Final = "made.json"
"""In a table's folder, when it is whole."""


class Part(msgspec.Struct, frozen=True):
    """Events of some days."""

    rows: int
    days: int = DAYS
    months_before: int = 0
    """How far they are moved back."""


class _Made(msgspec.Struct, frozen=True):
    """What a whole table was made from, and what closing its days took."""

    parts: tuple[Part, ...]
    events: str
    """A hash of the statement that makes them."""
    closing_cpu_s: float


class Progress:
    """Lines on standard error: how much of something is done, and how long the rest takes at this speed."""

    def __init__(self, what: str, total: int, unit: str, show: Callable[[str], None] | None = None) -> None:
        self._what = what
        self._total = total
        self._unit = unit
        self._show = show or (lambda line: print(line, file=sys.stderr, flush=True))
        self._began = self._shown_at = time.monotonic()

    def at(self, done: int) -> None:
        """Show a line, unless the last one is just there."""
        now = time.monotonic()
        if done and (now - self._shown_at >= EVERY_S or done >= self._total):
            self._shown_at = now
            left_s = round((now - self._began) / done * max(0, self._total - done))
            self._show(
                f"{self._what}: {done:,} of {self._total:,} {self._unit} in {now - self._began:.0f} s, {left_s} s left"
            )


class Table:
    """One table in a folder of its own, with an engine of its own."""

    def __init__(self, folder: Path, parts: Sequence[Part]) -> None:
        """Nothing is made yet; of the parts, no two may have the same days."""
        self._folder = folder
        self._wanted = _Made(tuple(parts), hashlib.sha256(events.FILL.encode()).hexdigest(), 0)
        self._engine: Engine | None = None
        self.rows = sum(part.rows for part in parts)
        self.closed = Closed(0, 0, 0)
        """What closing its days took, once it is made."""

    @property
    def engine(self) -> Engine:
        """Its engine. Raises RuntimeError if the table is not made."""
        if self._engine is None:
            raise RuntimeError(f"{self._folder.name}: not made")
        return self._engine

    def make(self) -> None:
        """Fill it and close its days, unless the folder has it; then open it.

        Raises:
            Unavailable: the folder has something else.
        """
        data, made = self._folder / "data", self._folder / _MADE
        kept = msgspec.json.decode(made.read_bytes(), type=_Made) if made.exists() else None
        if kept is None and self._folder.exists():
            raise Unavailable(f"{self._folder} has a table that was not finished: delete it")
        if kept and msgspec.structs.replace(kept, closing_cpu_s=0) != self._wanted:
            raise Unavailable(f"{self._folder} has a table of other events: delete it, or name another folder")
        self._folder.mkdir(parents=True, exist_ok=True)
        create(data)
        if not kept:
            self._fill(data)
        progress: list[Progress] = []

        def on_day(done: int, total: int) -> None:
            if not progress:
                progress.append(Progress(f"closing {self._folder.name}", total, "days"))
            progress[0].at(done)

        closed = close_days(data, on_day)
        if kept:  # of a kept table little is left to close, unless a migration opened its days
            closed = msgspec.structs.replace(closed, cpu_s=max(closed.cpu_s, kept.closing_cpu_s))
        made.write_bytes(msgspec.json.encode(msgspec.structs.replace(self._wanted, closing_cpu_s=closed.cpu_s)))
        self.closed = closed
        self._engine = Engine(data)
        self._engine.run("SYSTEM STOP MERGES")

    def _fill(self, data: Path) -> None:
        progress, done = Progress(f"filling {self._folder.name}", self.rows, "rows"), 0

        def on_chunk(rows: int) -> None:
            nonlocal done
            done += rows
            progress.at(done)

        engine = Engine(data)
        try:
            for part in self._wanted.parts:
                events.fill(engine, part.rows, part.days, part.months_before, on_chunk)
        finally:
            engine.close()

    def close(self) -> None:
        """End the engine, if there is one."""
        if self._engine:
            self._engine.close()

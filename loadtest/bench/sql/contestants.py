"""Who takes part: floors and questions at two sizes of the table, closed days, and the same month with more history."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from loadtest.bench import frame
from loadtest.bench.frame import Bench, Bound, Contestant, Figures, Options
from loadtest.bench.sql import questions
from loadtest.bench.sql.events import MONTH_DAYS
from loadtest.bench.sql.questions import FLOORS, Question
from loadtest.bench.sql.tables import Part, Table

EVENTS: Final = 20_000_000
HISTORY_EVENTS: Final = 400_000
MINIATURE_EVENTS: Final = 20_000
SMALL: Final = 20
"""The small table has a twentieth of the large one."""
HISTORIES: Final = (1, 6, 12)
"""Months of the same number of events each, the last of which the questions are about."""
QUICK_S: Final = 0.5
"""A question that takes less is asked again, first unrecorded and then for that long: the median counts."""
_STORAGE: Final = (Bound("closed_to_event_log", 0.25, 0.12, of_ratio=False),)
_MEMORY: Final = (Bound("peak_mb", 2048, 1024, of_ratio=False),)


def _asked(table: Table, sql: str, quick_s: float, peaks: list[float] | None = None) -> Figures:
    """Ask a question, again if it takes less than `quick_s`; its greatest memory is added to `peaks`."""
    statement = f"{sql} FORMAT Null"
    costs = [table.engine.run(statement)]
    if costs[0].wall_s < quick_s:
        left_s = quick_s
        costs = []
        while left_s > 0:
            costs.append(table.engine.run(statement))
            left_s -= costs[-1].wall_s
    if peaks is not None:
        peaks.append(max(cost.peak_mb for cost in costs))
    return {
        "cpu_s": median(cost.cpu_s for cost in costs),
        "wall_s": median(cost.wall_s for cost in costs),
        "peak_mb": max(cost.peak_mb for cost in costs),
        "read_mb": costs[-1].read_mb,
    }


Placed = tuple[Table, Contestant]
"""A contestant and the table that it asks."""


def _of_size(table: Table, asked: dict[str, Question], quick_s: float) -> Iterator[Placed]:
    """Yield floors, questions, and what the days and all answers took, of a table of two months."""
    size = f"{table.rows / 1_000_000:g} M rows"
    peaks: list[float] = []
    for floor in dict.fromkeys(question.floor for question in asked.values() if question.floor):
        yield table, Contestant(f"{floor}, {size}", partial(_asked, table, FLOORS[floor], quick_s))
    for name, question in asked.items():
        against = f"{question.floor}, {size}" if question.floor else ""
        one = partial(_asked, table, question.sql, quick_s, peaks)
        yield table, Contestant(f"{name}, {size}", one, against, question.bounds, once=not question.bounds)

    def greatest() -> Figures:
        return {"peak_mb": max(peaks, default=0.0)}

    def closed() -> Figures:
        return {
            "cpu_us_per_row": table.closed.cpu_s / table.rows * 1_000_000,
            "closed_to_event_log": table.closed.share,
            "copies_to_event_log": table.closed.copies,
        }

    yield table, Contestant(f"any answer, {size}", greatest, bounds=_MEMORY)
    yield table, Contestant(f"closed days, {size}", closed, bounds=_STORAGE)


def _with_histories(tables: dict[int, Table], rows: int, quick_s: float) -> Iterator[Placed]:
    """Yield each question with every history, one after the other; one month is the floor of the others."""
    for name, question in questions.of_last_month(rows).items():
        floor = ""
        for months, table in tables.items():
            one = f"{name}, one month of {months}"
            ask = partial(_asked, table, question.sql, quick_s)
            yield table, Contestant(one, ask, floor, question.bounds if floor else ())
            floor = floor or one


def _all(folder: Path, options: Options) -> Iterator[Placed]:
    quick_s = options.scaled(QUICK_S, 0.0)
    large = options.events or options.scaled(EVENTS, MINIATURE_EVENTS)
    for rows in (large,) if options.miniature else (max(1, large // SMALL), large):
        asked = questions.of_two_months(rows)
        if rows < large:
            asked = {name: question for name, question in asked.items() if question.bounds}
        if options.miniature:
            asked = {name: asked[name] for name in questions.MINIATURE}
        yield from _of_size(Table(folder / f"{rows}-events", (Part(rows),)), asked, quick_s)
    month = options.history_events or options.scaled(HISTORY_EVENTS, MINIATURE_EVENTS)
    histories = {
        months: Table(
            folder / f"{months}-months-of-{month}", [Part(month, MONTH_DAYS, before) for before in range(months)]
        )
        for months in HISTORIES[: options.scaled(len(HISTORIES), 1)]
    }
    yield from _with_histories(histories, month, quick_s)


@contextmanager
def prepare(options: Options) -> Iterator[Bench]:
    """Make the tables that the chosen contestants ask, yield all, end the engines; a folder that was named is kept."""
    with tempfile.TemporaryDirectory() as new, ExitStack() as stack:
        placed = list(_all(Path(options.folder or new), options))
        bench = Bench(
            title="The analysts' views, each against its columns scanned and grouped by visitor",
            contestants=[contestant for _, contestant in placed],
            facts={"memory limit of a query": "4 GiB", "rows written twice": "1 %", "visitors": "rows / 10"},
            warms_up=True,
        )
        chosen = {contestant.name for contestant in frame.chosen("sql", bench, options.only)}
        for table in dict.fromkeys(table for table, contestant in placed if contestant.name in chosen):
            stack.callback(table.close)
            table.make()
        yield bench

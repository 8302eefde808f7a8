"""What the report costs ClickHouse: `python -m tests.report.cost [--events N]` prints each question's CPU time.

The table is the one of `python -m loadtest.bench sql`, of sixty days, all closed as the sink closes them. The page
shows the last thirty and compares them with the thirty before. A question runs once, as the page sends it; its rows
are thrown away. Then it is only analysed (EXPLAIN): what that costs does not grow with the events. The first block is
there when the list of sites and the visits are. Opening asks what a screen shows, and the rest is asked when a reader
scrolls: `deploy/report/questions.py` has both lists, and tests/report/test_opening.py compares them with the page.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from deploy.report import questions
from loadtest.bench.sql.contestants import EVENTS
from loadtest.bench.sql.engine import Cost
from loadtest.bench.sql.tables import Part, Table

ASKED: Final = {
    "site": "shop",
    "before": "2026-09-05",
    "since": "2026-10-05",
    "until": "2026-11-04",
    "tz": "UTC",
    "conversion": "purchase",
    "model": "last_non_direct",
    "steps": "pageview,signup,purchase",
}
FIRST: Final = questions.OPENING[:2]
WHOLE: Final = questions.OPENING + questions.SCROLLED
MOST_CPU_S: Final = 3.0
MOST_FIRST_S: Final = 1.0


class Asked(msgspec.Struct, frozen=True):
    """What a question took: as it was asked, and its analysis alone."""

    whole: Cost
    analysis: Cost


def measured(folder: Path, events: int, names: tuple[str, ...] = WHOLE) -> dict[str, Asked]:
    """Return the cost of each question on a table of that number of events; one that the folder has is used again."""
    table = Table(folder / f"{events}-events", (Part(events),))
    table.make()
    engine = table.engine
    try:
        engine.run("SELECT 1")
        found = {}
        for name in names:
            text = questions.filled(name, ASKED)
            whole = engine.run(f"{text} FORMAT Null")
            found[name] = Asked(whole, engine.run(f"EXPLAIN {text} FORMAT Null"))
        return found
    finally:
        table.close()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.report.cost", description="Measure what the report asks.")
    parser.add_argument("--events", type=int, default=EVENTS, help="events in the table (default %(default)s)")
    parser.add_argument(
        "--folder", type=Path, help="keep the table there, or use the one that is there (default: neither)"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        costs = measured(given.folder or Path(folder), given.events)
    print(f"{given.events:,} events          CPU s  analysis  wall s  MB read  peak MB")
    for name, cost in costs.items():
        one = cost.whole
        print(f"{name:24}{one.cpu_s:8.2f} {cost.analysis.cpu_s:9.2f} {one.wall_s:7.2f}", end="")
        print(f" {one.read_mb:8.0f} {one.peak_mb:8.0f}")
    opening, page = (sum(costs[name].whole.cpu_s for name in names) for names in (questions.OPENING, WHOLE))
    first = sum(costs[name].whole.wall_s for name in FIRST)
    print(f"opening {opening:.2f} of at most {MOST_CPU_S:g} CPU seconds; the whole page, scrolled, {page:.2f}")
    print(f"first block after {first:.2f} of at most {MOST_FIRST_S:g} seconds")


if __name__ == "__main__":
    main()

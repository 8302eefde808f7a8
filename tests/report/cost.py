"""What opening the report costs ClickHouse: `python -m tests.report.cost [--events N]` prints each question's CPU time.

The table is the one of `python -m loadtest.bench sql`, of sixty days. The page shows the last thirty and compares them
with the thirty before. A question runs once, as the page sends it; its rows are thrown away.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Final

from deploy.report import questions
from loadtest.bench import sql

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
HEAD: Final = ("sites", "visits", "credits", "costs")
REST: Final = ("letters", "visitors", "funnel", "cohorts", "health", "tagging")
MOST_CPU_S: Final = 3.0


def measured(events: int, names: tuple[str, ...] = HEAD + REST) -> dict[str, sql.Cost]:
    """Return the cost of each question on a table of so large a number of events."""
    with tempfile.TemporaryDirectory() as folder:
        engine = sql.Engine(Path(folder) / "data")
        try:
            sql.create(engine)
            sql.fill(engine, events)
            return {name: engine.run(f"{questions.filled(name, ASKED)} FORMAT Null") for name in names}
        finally:
            engine.close()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.report.cost", description="Measure what the report asks.")
    parser.add_argument("--events", type=int, default=sql.ROWS, help="events in the table (default %(default)s)")
    given = parser.parse_args()
    costs = measured(given.events)
    print(f"{given.events:,} events          CPU s   wall s  peak MB")
    for name, cost in costs.items():
        print(f"{name:24}{cost.cpu_s:8.2f} {cost.wall_s:8.2f} {cost.peak_mb:8.0f}")
    head, whole = (sum(costs[name].cpu_s for name in names) for names in (HEAD, HEAD + REST))
    print(f"head {head:.2f}, whole page {whole:.2f} of at most {MOST_CPU_S:g} CPU seconds")


if __name__ == "__main__":
    main()

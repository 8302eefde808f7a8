"""`python -m tests.growth`: print how the cost of each text step of a hit grows with its text, and its milliseconds."""

import sys

from rich.console import Console
from rich.table import Table

from tests.growth.steps import LONG, MOST_GROWTH, growths, steps


def main() -> int:
    """Print the table; return 1 if a step grows faster than linear work."""
    table = Table("step", "steepest", "growth", "slowest", f"ms for {LONG:,} characters")
    worst = 0.0
    for step in steps():
        measured = growths(step)
        steepest = max(measured, key=lambda each: each.factor)
        slowest = max(measured, key=lambda each: each.long_s)
        worst = max(worst, steepest.factor)
        table.add_row(
            step, repr(steepest.filler), f"{steepest.factor:.1f}", repr(slowest.filler), f"{slowest.long_s * 1e3:.2f}"
        )
    Console(width=120).print(table)
    return 0 if worst <= MOST_GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())

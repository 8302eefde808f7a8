"""`python -m loadtest.bench PART... [--json] [--rounds N] [--miniature]`: run benchmarks, print tables or JSON."""

import argparse
import sys
from collections.abc import Sequence
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from loadtest.bench import frame
from stage import version

LEAST: Final = 1_000
"""Events of the smallest table with each kind of event."""


def show(report: frame.Report, console: Console) -> None:
    """Print a report for people: a table a contestant, next to its floor. Each fits 80 columns."""
    console.print(report.title, style="bold", highlight=False)
    by_name = {row.name: row for row in report.rows}
    floors = {row.floor for row in report.rows}
    for row in report.rows:
        if row.floor:
            floor = by_name[row.floor]
            table = Table("", row.name, row.floor, "ratio")
            for figure in row.median:
                ratio = f"{row.ratio[figure]:.2f}" if figure in row.ratio else ""
                table.add_row(figure, _number(row.median[figure]), _number(floor.median.get(figure)), ratio)
        elif row.name in floors:
            continue
        else:
            table = Table("", row.name)
            for figure in row.median:
                table.add_row(figure, _number(row.median[figure]))
        for column in table.columns[1:]:
            column.justify = "right"
        console.print(table)
    _show_bounds(report, console)
    console.print(f"Medians of {max(1, report.options.rounds)} rounds in turn")
    for name, reason in report.skipped.items():
        console.print(f"  skipped: {name}: {reason}", style="yellow", highlight=False)
    for name, value in {**report.facts, **report.machine}.items():
        console.print(f"  {name}: {value}", style="dim", highlight=False)


def _number(value: float | None) -> str:
    """Return a figure for people; a dash if it was not measured."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:,.4g}"


def _show_bounds(report: frame.Report, console: Console) -> None:
    """Print what is bounded: measured, bound and aim."""
    table = Table("bounded", "measured", "bound", "aim", "", title_justify="left")
    for row in report.rows:
        for bound in row.bounds:
            if (value := row.measured(bound)) is not None:
                against = f" to {row.floor}" if bound.of_ratio else ""
                verdict = "aim reached" if value <= bound.aim else "met" if value <= bound.most else "NOT met"
                name = f"{row.name}: {bound.figure}{against}"
                table.add_row(name, f"{value:.3g}", f"{bound.most:g}", f"{bound.aim:g}", verdict)
    if table.row_count:
        console.print(table)


def main(argv: Sequence[str]) -> int:
    """Return the exit code: 0, or 2 when a part is unknown or something it needs is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.bench",
        description="Run benchmarks against a reference, and print the medians and ratios.",
    )
    version.add_option(parser)
    parser.add_argument("part", nargs="+", choices=(*frame.PARTS, "all"), help="what to measure")
    parser.add_argument("--json", action="store_true", help="print one JSON object per part, one per line")
    parser.add_argument(
        "--rounds", type=int, default=5, help="measured rounds of each contestant (default %(default)s)"
    )
    parser.add_argument(
        "--miniature", action="store_true", help="a very short run that only tests the benchmark itself"
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="run this contestant and its floor; may be repeated (default: all)",
    )
    of_sql = parser.add_argument_group("the part sql")
    of_sql.add_argument(
        "--events",
        type=int,
        default=0,
        metavar="N",
        help="events in its large table, at least 1,000 (default 20 million)",
    )
    of_sql.add_argument(
        "--history-events",
        type=int,
        default=0,
        metavar="N",
        help="events of each month with history, at least 1,000 (default 400,000)",
    )
    of_sql.add_argument(
        "--folder",
        default="",
        metavar="F",
        help="keep its tables there, and use them again (default: deleted at the end)",
    )
    given = parser.parse_args(argv)
    if any(0 < size < LEAST or size < 0 for size in (given.events, given.history_events)):
        parser.error(f"--events, --history-events: at least {LEAST:,}")
    options = frame.Options(
        rounds=0 if given.miniature else max(0, given.rounds),
        miniature=given.miniature,
        only=tuple(given.only),
        events=given.events,
        history_events=given.history_events,
        folder=given.folder,
    )
    news = Console(stderr=True)
    for part in frame.PARTS if "all" in given.part else given.part:
        try:
            with news.status(part):

                def tell(number: int, name: str, part: str = part) -> None:
                    news.log(f"{part}: {'warm-up' if number == 0 else f'round {number}'}: {name}", highlight=False)

                report = frame.run(part, options, tell)
        except (frame.Unavailable, frame.Unknown, ModuleNotFoundError) as problem:
            news.print(f"{part}: {problem}", style="red")
            return 2
        if given.json:
            sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
        else:
            show(report, Console())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

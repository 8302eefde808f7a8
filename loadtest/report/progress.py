"""A run for the eyes: a bar with live rate, errors and p99; then the verdict as a table."""

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from loadtest.check.freshness import Monitor
from loadtest.drive.measurements import Measurements
from loadtest.report.result import Result


class Observer:
    """Who follows a run; every method may be left as it is."""

    def driving(self, measured: Measurements, monitor: Monitor) -> None:
        """Ten times a second while it drives."""

    def settling(self, visible: int, accepted: int) -> None:
        """Whenever more events have become visible after the last answer."""


class Screen(Observer):
    """Shows a run on a console."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self.task: TaskID | None = None

    def driving(self, measured: Measurements, monitor: Monitor) -> None:
        """Move the bar and tell the last whole second."""
        seconds = measured.schedule.duration_s()
        if self.task is None:
            self.progress.start()
            self.task = self.progress.add_task("driving", total=seconds, state="")
        whole = measured.seconds[:-1] or measured.seconds
        failed = sum(second.failed for second in measured.seconds)
        state = ""
        if whole:
            now = whole[-1]
            state = f"{now.answered:,}/s  p99 {now.p99_ms:.1f} ms  {failed:,} failed  {now.waiting:,} waiting"
        if monitor.samples:
            lag = {k: v for k, v in monitor.samples[-1].values.items() if "lag" in k}
            state += "".join(f"  {name} {value:,.0f}" for name, value in lag.items())
        self.progress.update(self.task, completed=min(seconds, monitor.elapsed()), state=state)

    def settling(self, visible: int, accepted: int) -> None:
        """Show how much of what was accepted is visible."""
        if self.task is not None:
            self.progress.update(
                self.task,
                description="settling",
                total=max(1, accepted),
                completed=min(visible, accepted),
                state=f"{visible:,} of {accepted:,} visible",
            )

    def close(self) -> None:
        """Take the bar away."""
        self.progress.stop()


def show(result: Result, console: Console) -> None:
    """Print what a run came to."""
    table = Table(title=result.title, title_justify="left", title_style="bold", show_header=False)
    table.add_column(style="dim")
    table.add_column()
    rate = f"{result.requests:,} requests ({result.hits:,} hits), {result.answers_per_s:,.0f} answers/s"
    table.add_row("sent", rate + (", stopped by hand" if result.stopped_early else ""))
    for name, times in (("latency", result.latency), ("from sending", result.service)):
        shown = ("50", "90", "99", "99.9", "100")
        table.add_row(name, "  ".join(f"p{p} {times.percentiles_ms[p]:.2f}" for p in shown) + "  ms")
    table.add_row("driver", f"late p99 {result.driver_late.at(99):.2f} ms, {result.driver_cpu:.0%} of a core")
    if result.waited:
        table.add_row("waited", f"{result.waited:,} requests for one of {result.connections:,} connections")
    if result.failed or result.never_sent:
        table.add_row("failed", f"{result.failed:,} hits, {result.never_sent:,} requests never sent", style="yellow")
    for text, count in list(result.errors.items())[:6]:
        table.add_row("", f"{count:,} x {text}", style="yellow")
    if result.freshness_s:
        fresh = "  ".join(f"{name} {value:.2f}" for name, value in result.freshness_s.items())
        followed = len(result.fresh) + result.never_fresh
        table.add_row("freshness", f"{fresh}  s, of {followed:,} hits followed")
        told = f"{result.late:,} of them later than {result.late_after_s:g} s, {result.never_fresh:,} never visible"
        table.add_row("late", told, style="yellow" if result.late else "")
    for at, text in result.faults:
        table.add_row("fault", f"{at:.1f} s: {text}")
    if audit := result.audit:
        table.add_row("accepted", f"{audit.accepted:,} hits: {audit.stored:,} stored, {audit.missing:,} missing")
        others = f"{audit.doubled:,} doubled, {audit.refused:,} refused as expected, {audit.unanswered:,} unanswered"
        table.add_row(
            "", f"{others} ({audit.unanswered_stored:,} of these stored), {audit.repeats:,} repeats merged away"
        )
        for example in audit.examples[:5]:
            table.add_row("", example, style="red")
    else:
        table.add_row("audit", "none: no --clickhouse was given", style="yellow")
    for note in result.notes[:5]:
        table.add_row("note", note)
    console.print(table)
    for reason in result.broken[1:]:
        console.print(f"also: {reason}", style="red", highlight=False)

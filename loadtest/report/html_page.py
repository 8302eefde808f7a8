"""The HTML report: one file that needs nothing else. The verdict first, then what a reader asks next. Pure.

Every text that came from outside goes through `html.escape`.
"""

import html
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from loadtest.check.freshness import STAGES
from loadtest.report.conclusion import conclusion
from loadtest.report.plot import WIDE, Series, legend, plot
from loadtest.report.result import BOTTLENECK, BROKEN, Result, Times
from stage.version import VERSION


def page(result: Result) -> str:
    """Return the whole page."""
    reasons = [*result.broken, result.bottleneck]
    return frame(result.title, verdict(result), about(result), reasons, details(result), conclusion([result])[0])


def about(result: Result) -> str:
    """Return what was run, when, in a line."""
    started = datetime.fromtimestamp(result.started_at, UTC)
    by_hand = ", stopped by hand" if result.stopped_early else ""
    what = f"{result.url}, profile {result.profile}, {result.schedule}"
    return f"{what}, {started:%Y-%m-%d %H:%M} UTC, run {result.run}{by_hand}"


def details(result: Result) -> str:
    """Return tiles, plots and tables of a run, as HTML."""
    tiles = list(_tiles(result))
    # Where one row is not enough, two of one length.
    columns = len(tiles) if len(tiles) <= 8 else math.ceil(len(tiles) / 2)
    return (
        f'<div class="tiles" style="--columns:{columns}">{"".join(tiles)}</div>'
        f'<div class="plots">{"".join(_plots(result))}{"".join(_tables(result))}</div>'
    )


def frame(title: str, verdict: tuple[str, str], about: str, reasons: Iterable[str], body: str, conclusion: str) -> str:
    """Return a page around `body`, which is HTML; everything else is text. The verdict is a word and its tone.

    The page ends with the conclusion, what it all means in a sentence, as the terminal does.
    """
    word, tone = verdict
    told = "".join(f"<p>{html.escape(reason)}</p>" for reason in reasons if reason)
    why = f'<div class="why {tone}">{told}</div>' if told else ""
    css = (Path(__file__).parent / "report.css").read_text()
    title, about = html.escape(title), html.escape(about)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}: {word}</title><style>{css}</style></head><body><main>"
        f'<header><h1>{title}</h1><span class="verdict {tone}">{word}</span><p>{about}</p></header>{why}'
        f'{body}<p class="end">{html.escape(conclusion)}</p>'
        "<footer>Open loop: every latency counts from the moment its request was due, not from when it could be sent. "
        f"Made by <code>python -m loadtest</code>, Pharos {VERSION}.</footer></main></body></html>\n"
    )


def verdict(result: Result) -> tuple[str, str]:
    """Return the verdict in a word, and its tone: good, warn, bad."""
    if result.exit_code == BROKEN:
        return "BROKEN", "bad"
    if result.exit_code == BOTTLENECK:
        return "BOTTLENECK: THE DRIVER", "warn"
    return ("CLEAN", "good") if result.audit else ("NOT AUDITED", "warn")


def ms(value: float) -> str:
    """Return milliseconds with three figures that mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def tile(value: str, unit: str, name: str, tone: str = "") -> str:
    """Return a figure with its unit and its name."""
    return f'<div class="tile {tone}"><b>{value} <small>{unit}</small></b><span>{name}</span></div>'


def _tiles(result: Result) -> Iterable[str]:
    yield tile(f"{result.answers_per_s:,.0f}", "/s", "answers")
    yield tile(ms(result.latency.at(50)), "ms", "median latency")
    yield tile(ms(result.latency.at(99)), "ms", "99th percentile")
    yield tile(ms(result.latency.at(99.9)), "ms", "99.9th percentile")
    yield tile(f"{result.failed:,}", "", "hits failed", "bad" if result.failed else "")
    if result.never_sent:
        yield tile(f"{result.never_sent:,}", "", "never sent", "bad")
    if audit := result.audit:
        yield tile(f"{audit.accepted:,}", "", "hits accepted")
        yield tile(f"{audit.missing:,}", "", "of them missing", "bad" if audit.missing else "good")
        yield tile(f"{audit.doubled:,}", "", "doubled", "bad" if audit.doubled else "good")
    if result.freshness_s:
        yield tile(f"{result.freshness_s['p99']:.1f}", "s", "visible, 99 %")
        yield tile(f"{result.late:,}", "", f"later than {result.late_after_s:g} s", "bad" if result.late else "good")


def section(name: str, text: str, series: Sequence[Series], svg: str, wide: bool = False) -> str:
    """Return a plot with its heading, a sentence and its legend."""
    classes = ' class="wide"' if wide else ""
    return f'<section{classes}><h2>{name}</h2><p>{text}</p>{legend(series)}<div class="scroll">{svg}</div></section>'


def _plots(result: Result) -> Iterable[str]:
    end = max([result.duration_s, *(float(second.at + 1) for second in result.seconds)])
    marks = result.faults
    # Names of faults once, on the widest plot; elsewhere the lines are enough.
    bare = [(at, "") for at, _ in marks]
    busy = [second for second in result.seconds if second.max_ms]
    latency = [
        Series("max", [(s.at + 0.5, s.max_ms) for s in busy], 6),
        Series("99 %", [(s.at + 0.5, s.p99_ms) for s in busy], 3),
        Series("90 %", [(s.at + 0.5, s.p90_ms) for s in busy], 2),
        Series("median", [(s.at + 0.5, s.p50_ms) for s in busy], 1),
    ]
    svg = plot(latency, unit="ms, logarithmic", width=WIDE, x_high=end, log=True, marks=marks)
    text = "From the scheduled moment to the whole answer; where none came, until the request was given up."
    yield section("Latency over time", text, latency, svg, wide=True)

    rates = [
        Series("answered", [(s.at + 0.5, s.answered) for s in result.seconds], 1, filled=True),
        Series("scheduled", [(s.at + 0.5, s.due) for s in result.seconds if s.due], 6),
        Series("failed", [(s.at + 0.5, s.failed) for s in result.seconds], 3),
    ]
    yield section("Rate", "Requests a second.", rates, plot(rates, unit="/s", x_high=end, marks=bare))
    yield _percentiles(result)

    for names, title, text, unit in (
        (("enricher lag", "sink lag"), "Lag", "Records in Kafka that a stage has not taken yet.", "records"),
        (("spool bytes",), "Spool", "What the collector holds on disk that Kafka has not acknowledged.", "bytes"),
        (tuple(f"{stage} bytes" for stage in STAGES), "Memory", "Resident, of all processes of a stage.", "bytes"),
    ):
        lines = [
            Series(name, [(s.at, s.values[name]) for s in result.samples if name in s.values], colour)
            for name, colour in zip(names, (5, 2, 1), strict=False)
        ]
        if any(line.points for line in lines):
            far = max(end, *(s.at for s in result.samples))
            yield section(title, text, lines, plot(lines, unit=unit, x_high=far, marks=bare, floor=10))
    if result.fresh:
        dots = [Series("a hit that was followed", [(f.at, f.after_s) for f in result.fresh], 4, dots=True)]
        text = "Seconds from the scheduled moment until <code>pharos.events</code> shows the hit."
        yield section("Freshness", text, dots, plot(dots, unit="s", x_high=end, marks=bare))
    driver = [
        Series("busiest process", [(s.at + 0.5, 100 * s.driver_cpu) for s in result.seconds if s.driver_cpu], 5),
        Series("ready, but without a core", [(s.at + 0.5, 100 * s.driver_starved) for s in result.seconds], 3),
    ]
    text = "Share of a core. Near 100 % together, the driver is what was measured."
    yield section("The driver itself", text, driver, plot(driver, unit="%", x_high=end, marks=bare, floor=100))


def _percentiles(result: Result) -> str:
    def line(name: str, times: Times, colour: int) -> Series:
        points = [
            (-math.log10(1 - min(float(p), 99.9995) / 100), value)
            for p, value in times.percentiles_ms.items()
            if float(p) >= 10
        ]
        return Series(name, points, colour)

    lines = [line("from the scheduled moment", result.latency, 1), line("from sending", result.service, 6)]
    places = [(-math.log10(1 - p / 100), f"{p:g} %") for p in (50, 90, 99, 99.9, 99.99, 99.999)]
    svg = plot(lines, unit="ms, logarithmic", x_high=5.4, log=True, x_ticks=places)
    text = "The dashed line is what a tool would report that waits for answers before it sends."
    return section("Percentiles", text, lines, svg)


def _table(name: str, rows: Sequence[tuple[str, str, bool]]) -> str:
    lines = "".join(
        f"<tr{' class=bad' if bad else ''}><th>{html.escape(key)}</th><td>{html.escape(value)}</td></tr>"
        for key, value, bad in rows
    )
    return f"<section><h2>{name}</h2><table>{lines}</table></section>"


def _tables(result: Result) -> Iterable[str]:
    if audit := result.audit:
        yield _table(
            "Audit, hits",
            [
                ("sent", f"{audit.sent:,}", False),
                ("accepted", f"{audit.accepted:,}", False),
                ("stored", f"{audit.stored:,}", False),
                ("accepted but missing", f"{audit.missing:,}", audit.missing > 0),
                ("doubled", f"{audit.doubled:,}", audit.doubled > 0),
                ("refused, as expected", f"{audit.refused:,}", False),
                ("wrongly refused", f"{audit.wrongly_refused:,}", audit.wrongly_refused > 0),
                ("wrongly accepted", f"{audit.wrongly_accepted:,}", audit.wrongly_accepted > 0),
                ("refused but stored", f"{audit.refused_but_stored:,}", audit.refused_but_stored > 0),
                ("answered 5xx", f"{audit.failed:,}", False),
                ("unanswered", f"{audit.unanswered:,}, of these stored {audit.unanswered_stored:,}", False),
                ("repeats merged away", f"{audit.repeats:,}", False),
                ("followed until visible", f"{len(result.fresh):,}; never visible {result.never_fresh:,}", False),
                (f"later than {result.late_after_s:g} s", f"{result.late:,} of the followed", result.late > 0),
                ("last event came", f"{audit.settled_s:.1f} s after the last answer", False),
                *(("", example, True) for example in audit.examples),
            ],
        )
    shown = ("50", "75", "90", "95", "99", "99.9", "99.99", "100")
    yield _table(
        "Latency, ms",
        [
            (
                "maximum" if p == "100" else f"{p} %",
                f"{ms(result.latency.percentiles_ms[p])}   (from sending {ms(result.service.percentiles_ms[p])})",
                False,
            )
            for p in shown
        ]
        + [("driver late, 99 %", ms(result.driver_late.at(99)), False)],
    )
    if result.errors or result.never_sent or result.notes:
        rows = [(f"{count:,} x", text, False) for text, count in result.errors.items()]
        if result.never_sent:
            rows.append((f"{result.never_sent:,} x", "never sent: no connection came free within the timeout", False))
        yield _table("Errors and notes", rows + [("note", note, False) for note in result.notes])
    if result.faults:
        yield _table("Injected faults", [(f"{at:.1f} s", text, False) for at, text in result.faults])
    facts = {
        "requests": f"{result.requests:,} ({result.hits:,} hits)",
        "driver": f"{result.senders} process(es) with {result.connections:,} connections",
        "driver, busiest process": f"{result.driver_cpu:.0%} of a core",
        "waited for a connection": f"{result.waited:,} requests",
        "seed": str(result.seed),
        **result.machine,
    }
    yield _table("Run and machine", [(name, value, False) for name, value in facts.items()])

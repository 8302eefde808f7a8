"""The HTML report of many runs: a search's steps over rates, a soak's windows over time; then one's details. Pure."""

import html
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from statistics import fmean

from loadtest.check.freshness import STAGES
from loadtest.report import html_page
from loadtest.report.conclusion import conclusion
from loadtest.report.plot import NARROW, WIDE, Series, number, plot, ticks
from loadtest.report.result import BOTTLENECK, BROKEN, CLEAN, Result, worst_exit_code
from loadtest.report.search import SearchResult

Column = tuple[str, Callable[[int, Result], str]]
"""A heading, and the text below it for the n-th run."""


def of_search(title: str, found: SearchResult) -> str:
    """Return the page of `find-limit`: the steps, then the highest rate that held."""
    knee = found.knee
    ordered = sorted(zip(found.rates, found.steps, strict=True), key=lambda pair: pair[0])
    highest = max(found.rates)
    marks = [(knee.holds, f"holds {knee.holds:,.0f}/s")] if knee.holds else []
    if knee.breaks < float("inf"):
        marks.append((knee.breaks, f"breaks {knee.breaks:,.0f}/s"))
    if knee.gave_out < float("inf"):
        marks.append((knee.gave_out, f"driver gives out {knee.gave_out:,.0f}/s"))
    along = [(tick, f"{number(tick)}/s") for tick in ticks(0, highest * 1.05, 8)]
    times = _latencies(ordered)
    loss = [
        _line("failed or never sent", [(rate, _failed_percent(step)) for rate, step in ordered], 3),
        _line("missing or doubled", [(rate, _lost_percent(step)) for rate, step in ordered if step.audit], 5),
    ]
    draw = partial(plot, width=WIDE, x_high=highest * 1.05, x_ticks=along)
    plots = html_page.section(
        "Latency over rate",
        "Of each step, from the scheduled moment; where no answer came, until the request was given up.",
        times,
        draw(times, unit="ms, logarithmic", log=True, marks=marks),
        wide=True,
    ) + html_page.section(
        "Loss over rate",
        "Share of the hits that were due.",
        loss,
        draw(loss, unit="%", floor=1, marks=[(at, "") for at, _ in marks]),
        wide=True,
    )
    columns: list[Column] = [
        ("rate", lambda n, step: f"{found.rates[n]:,.0f}/s"),
        ("", lambda n, step: found.outcomes[n]),
        *_FIGURES,
    ]
    return _page(
        title, found.steps, str(knee), plots, _table("Steps, as they came", columns, found.steps), found.best()
    )


def of_windows(title: str, windows: Sequence[Result]) -> str:
    """Return the page of `soak`: the windows over time, then the last one."""
    starts = [window.started_at - windows[0].started_at for window in windows]
    middles = [start + window.duration_s / 2 for start, window in zip(starts, windows, strict=True)]
    end = starts[-1] + windows[-1].duration_s
    over = list(zip(middles, windows, strict=True))
    times = _latencies(over)
    rates = [
        _line("answered", [(at, window.answers_per_s) for at, window in over], 1),
        _line("failed or never sent", [(at, _failed(window) / window.duration_s) for at, window in over], 3),
    ]
    plots = [
        html_page.section(
            "Latency over the windows",
            "Of each window, from the scheduled moment. What climbs here does not bear the load for long.",
            times,
            plot(times, unit="ms, logarithmic", width=WIDE, x_high=end, log=True),
            wide=True,
        ),
        html_page.section("Rate", "Means of each window.", rates, plot(rates, unit="/s", x_high=end)),
    ]
    memory = [
        Series(
            stage,
            [
                (start + sample.at, sample.values[f"{stage} bytes"] / 1e6)
                for start, window in zip(starts, windows, strict=True)
                for sample in window.samples
                if f"{stage} bytes" in sample.values
            ],
            colour,
        )
        for stage, colour in zip(STAGES, (5, 2, 1), strict=True)
    ]
    memory = [line for line in memory if line.points]
    if memory:
        svg = plot(memory, unit="MB", x_high=max(end, *(x for line in memory for x, _ in line.points)))
        plots.append(html_page.section("Memory", "Resident, of all processes of a stage.", memory, svg))
    fresh = [_line("99 %", [(at, one.freshness_s["p99"]) for at, one in over if one.freshness_s], 4)]
    if fresh[0].points:
        text = "Seconds from the scheduled moment until <code>pharos.events</code> shows a hit."
        # Next to the rate; across the page if memory is already there.
        svg = plot(fresh, unit="s", width=WIDE if memory else NARROW, x_high=end)
        plots.append(html_page.section("Freshness", text, fresh, svg, wide=bool(memory)))
    columns: list[Column] = [
        ("from", lambda n, window: f"{starts[n]:,.0f} s"),
        ("", lambda n, window: html_page.verdict(window)[0].lower()),
        *_FIGURES,
        ("memory", lambda n, window: _memory(window)),
    ]
    told = f"p99 went from {html_page.ms(windows[0].latency.at(99))} to {html_page.ms(windows[-1].latency.at(99))} ms"
    table = _table("Windows", columns, windows)
    return _page(title, windows, f"{told} over {len(windows)} windows", "".join(plots), table, windows[-1])


def _line(name: str, points: list[tuple[float, float]], colour: int) -> Series:
    return Series(name, points, colour, dotted=True)


def _latencies(over: Sequence[tuple[float, Result]]) -> list[Series]:
    """Return the lines of some percentiles, each run's at its place."""
    return [
        _line(name, [(at, one.latency.at(percentile)) for at, one in over], colour)
        for percentile, name, colour in ((99.9, "99.9 %", 3), (99.0, "99 %", 2), (50.0, "median", 1))
    ]


def _failed(one: Result) -> int:
    return one.failed + one.never_sent


def _failed_percent(one: Result) -> float:
    return 100 * _failed(one) / max(1, one.hits + one.never_sent)


def _lost_percent(one: Result) -> float:
    return 100 * (one.audit.missing + one.audit.doubled) / max(1, one.hits) if one.audit else 0.0


def _memory(one: Result) -> str:
    """Return the mean of all stages' memory together."""
    names = [f"{stage} bytes" for stage in STAGES]
    sums = [sum(sample.values.get(name, 0.0) for name in names) for sample in one.samples]
    return f"{fmean(sums) / 1e6:,.0f} MB" if any(sums) else ""


def _audited(one: Result) -> str:
    if one.audit is None:
        return "not audited"
    return f"{one.audit.missing:,} missing, {one.audit.doubled:,} doubled"


_FIGURES: list[Column] = [
    ("answers/s", lambda n, one: f"{one.answers_per_s:,.0f}"),
    ("median, ms", lambda n, one: html_page.ms(one.latency.at(50))),
    ("99 %, ms", lambda n, one: html_page.ms(one.latency.at(99))),
    ("99.9 %, ms", lambda n, one: html_page.ms(one.latency.at(99.9))),
    ("failed", lambda n, one: f"{_failed(one):,}"),
    ("audit", lambda n, one: _audited(one)),
    ("visible, 99 %", lambda n, one: f"{one.freshness_s['p99']:.1f} s" if one.freshness_s else ""),
]


def _table(name: str, columns: Sequence[Column], results: Sequence[Result]) -> str:
    head = "".join(f"<th>{html.escape(title)}</th>" for title, _ in columns)
    rows = "".join(
        f"<tr{' class=bad' if one.exit_code == BROKEN else ''}>"
        + "".join(f"<td>{html.escape(told(n, one))}</td>" for _, told in columns)
        + "</tr>"
        for n, one in enumerate(results)
    )
    return (
        f'<section class="wide"><h2>{name}</h2><div class="scroll"><table class="many">'
        f"<tr>{head}</tr>{rows}</table></div></section>"
    )


def _page(title: str, results: Sequence[Result], told: str, plots: str, table: str, one: Result) -> str:
    code = worst_exit_code(results)
    word = {BROKEN: ("BROKEN", "bad"), BOTTLENECK: ("BOTTLENECK: THE DRIVER", "warn")}.get(code, ("CLEAN", "good"))
    if code == CLEAN and not all(each.audit for each in results):
        word = ("NOT AUDITED", "warn")
    about = f"{one.url}, profile {one.profile}, {len(results)} runs, {told}"
    return html_page.frame(
        title,
        word,
        about,
        _reasons(results),
        f'<div class="plots">{plots}{table}</div>'
        f"<h2 class=part>{html.escape(one.title)}</h2><p class=part>{html.escape(html_page.about(one))}</p>"
        f"{html_page.details(one)}",
        conclusion(results)[0],
    )


def _reasons(results: Sequence[Result]) -> Iterable[str]:
    """Yield why the whole is not clean: of each run that has failed it, in its words."""
    for one in results:
        if one.exit_code == BROKEN:
            yield f"{one.title}: {'; '.join(one.broken)}"
        elif one.exit_code == BOTTLENECK:
            yield f"{one.title}: {one.bottleneck}"

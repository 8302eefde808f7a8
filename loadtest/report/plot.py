"""Line plots as inline SVG: no script, no font, no address outside the page. Pure."""

import html
import math
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

WIDE: Final = 1100
NARROW: Final = 540
"""About as many pixels as the page gives, so that text keeps its size."""
HEIGHT: Final = 240
LEFT: Final = 52
RIGHT: Final = 16
TOP: Final = 20
BOTTOM: Final = 26


class Series(msgspec.Struct, frozen=True):
    """One line, or (`dots`) one cloud."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: int
    """Number of the palette's colour, 1-6."""
    dots: bool = False
    filled: bool = False
    """The area below is tinted."""
    dotted: bool = False
    """Each point of the line is marked: few points, each a measurement of its own."""


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return round numbers from `low` to `high`, steps of 1, 2 or 5 times a power of ten."""
    span = max(high - low, 1e-9)
    raw = span / about
    power = 10 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Return the powers of ten in [low, high], with 2 and 5 times them where there are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    tens = [10.0**power for power in powers]
    if len(tens) <= 4:
        tens = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    return [tick for tick in tens if low * 0.999 <= tick <= high * 1.001]


def number(value: float) -> str:
    """Return a number for a label: 0.5, 12, 1.5k, 20M."""
    size = abs(value)
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= limit:
            return f"{value / limit:.3g}{suffix}"
    return f"{value:.3g}" if size < 1 else f"{value:,.4g}"


def _decimated(points: Sequence[tuple[float, float]], most: int = 700) -> list[tuple[float, float]]:
    """Return at most about `most` points; of each stretch the highest, so that no peak gets lost."""
    if len(points) <= most:
        return list(points)
    size = math.ceil(len(points) / most)
    return [max(points[start : start + size], key=lambda point: point[1]) for start in range(0, len(points), size)]


def plot(
    series: Sequence[Series],
    *,
    unit: str,
    width: int = NARROW,
    x_high: float,
    log: bool = False,
    marks: Sequence[tuple[float, str]] = (),
    floor: float = 0.0,
    x_ticks: Sequence[tuple[float, str]] | None = None,
) -> str:
    """Return an SVG of the series over [0, x_high]; `marks` are vertical lines with a label.

    Values are in `unit`; with `log` the axis is logarithmic, and values below its low end lie on it.
    """
    values = [y for one in series for _, y in one.points if math.isfinite(y)]
    high = max([*values, floor, 1e-9])
    low = 0.0
    if log:
        positive = [value for value in values if value > 1e-6] or [1.0]
        low = 10 ** math.floor(math.log10(min(positive)))
        high = max(high * 1.1, low * 10)
    else:
        high *= 1.08
    inner_width, inner_height = width - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    x_high = max(x_high, 1e-9)

    def x_of(x: float) -> float:
        return LEFT + inner_width * min(max(x / x_high, 0), 1)

    scale: Callable[[float], float] = (lambda y: math.log10(max(y, low))) if log else (lambda y: y)
    bottom, span = scale(low), max(scale(high) - scale(low), 1e-9)

    def y_of(y: float) -> float:
        return TOP + inner_height * (1 - (scale(y) - bottom) / span)

    out = [f'<svg viewBox="0 0 {width} {HEIGHT}" role="img" preserveAspectRatio="xMidYMid meet">']
    for tick in log_ticks(low, high) if log else ticks(low, high):
        y = y_of(tick)
        out.append(f'<line class="grid" x1="{LEFT}" x2="{width - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        out.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{number(tick)}</text>')
    along = [(t, f"{number(t)} s") for t in ticks(0, x_high, width // 100)] if x_ticks is None else x_ticks
    for tick, label in along:
        x = x_of(tick)
        label = html.escape(label)
        out.append(f'<text class="tick" x="{x:.1f}" y="{HEIGHT - 6}" text-anchor="middle">{label}</text>')
    out.append(f'<text class="unit" x="{LEFT}" y="{TOP - 9}" text-anchor="start">{html.escape(unit)}</text>')
    labels: list[str] = []  # drawn last, so that no line crosses them
    for row, (at, label) in enumerate(marks):
        x = x_of(at)
        out.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        anchor = "end" if x > width - 160 else "start"
        shift = -4 if anchor == "end" else 4
        y = TOP + 9 + row % 6 * 12
        labels.append(
            f'<text class="mark" x="{x + shift:.1f}" y="{y}" text-anchor="{anchor}">{html.escape(label)}</text>'
        )
    for one in series:
        points = [(x_of(x), y_of(y)) for x, y in _decimated(one.points) if math.isfinite(y)]
        if not points:
            continue
        if one.dots or one.dotted or len(points) == 1:  # a line of one point has no extent: nothing would be seen
            size = 2 if one.dots else 3
            out.extend(f'<circle class="c{one.colour}" cx="{x:.1f}" cy="{y:.1f}" r="{size}"/>' for x, y in points)
        if one.dots:
            continue
        path = "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in points)
        if one.filled:
            base = HEIGHT - BOTTOM
            out.append(
                f'<path class="f{one.colour}" d="{path}L{points[-1][0]:.1f},{base}L{points[0][0]:.1f},{base}Z"/>'
            )
        out.append(f'<path class="l{one.colour}" d="{path}"/>')
    out += [*labels, "</svg>"]
    return "".join(out)


def legend(series: Sequence[Series]) -> str:
    """Return the series' names with their colours, as HTML."""
    return "".join(f'<span class="key k{one.colour}">{html.escape(one.name)}</span>' for one in series)

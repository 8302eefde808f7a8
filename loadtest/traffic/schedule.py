"""When hits are due: an open-loop schedule, as moments in seconds from the start. Pure and seeded.

A schedule is a line of stretches, each with a rate that goes straight from one value to another. Regular arrivals come
where the integral of the rate passes whole numbers; Poisson arrivals where it passes sums of unit exponentials.
"""

import itertools
import math
import random
from collections.abc import Iterator

import msgspec


class Stretch(msgspec.Struct, frozen=True):
    """A part of the schedule."""

    seconds: float
    from_rate: float
    """Requests a second at its start."""
    to_rate: float
    """Requests a second at its end."""


class Schedule(msgspec.Struct, frozen=True):
    """The stretches in order."""

    stretches: tuple[Stretch, ...]
    poisson: bool = False
    """Independent arrivals, as many visitors make them; else evenly spaced."""
    at_most: int = 2**62
    """Hard bound on the number of requests."""

    def duration_s(self) -> float:
        """Return how long it lasts, seconds."""
        return sum(stretch.seconds for stretch in self.stretches)

    def total(self) -> int:
        """Return the expected number of requests."""
        return min(self.at_most, int(sum(s.seconds * (s.from_rate + s.to_rate) / 2 for s in self.stretches)))

    def rate_at(self, moment_s: float) -> float:
        """Return requests a second at a moment; 0 outside."""
        for stretch in self.stretches:
            if 0 <= moment_s < stretch.seconds:
                return stretch.from_rate + (stretch.to_rate - stretch.from_rate) * moment_s / stretch.seconds
            moment_s -= stretch.seconds
        return 0.0


def constant(rate: float, seconds: float) -> tuple[Stretch, ...]:
    """Return one rate throughout."""
    return (Stretch(seconds, rate, rate),)


def ramp(rate: float, seconds: float) -> tuple[Stretch, ...]:
    """Return a rate that climbs from a tenth of `rate` to `rate` in the first two thirds and stays there."""
    return (Stretch(seconds * 2 / 3, rate / 10, rate), Stretch(seconds / 3, rate, rate))


def spike(rate: float, seconds: float) -> tuple[Stretch, ...]:
    """Return a fifth of `rate`, in the middle third `rate` at once, then a fifth again: a mailing goes out."""
    third = seconds / 3
    return (Stretch(third, rate / 5, rate / 5), Stretch(third, rate, rate), Stretch(third, rate / 5, rate / 5))


SHAPES = {"constant": constant, "ramp": ramp, "spike": spike}
"""By the name that the command line uses."""


def arrivals(schedule: Schedule, seed: int, sender: int = 0, senders: int = 1) -> Iterator[float]:
    """Yield this sender's moments in order: of `senders` that share the schedule, together they are the whole of it."""
    share = schedule.at_most // senders + (sender < schedule.at_most % senders)
    rng = random.Random(f"arrivals {seed} {sender}")
    # Where on the integral of the whole schedule's rate this sender's hits lie.
    marks: Iterator[float]
    if schedule.poisson:
        marks = itertools.accumulate(rng.expovariate(1 / senders) for _ in itertools.count())
    else:
        marks = (float(mark) for mark in itertools.count(sender, senders))
    start = passed = 0.0
    mark = next(marks)
    for stretch in schedule.stretches:
        area = stretch.seconds * (stretch.from_rate + stretch.to_rate) / 2
        slope = (stretch.to_rate - stretch.from_rate) / stretch.seconds if stretch.seconds else 0.0
        while mark < passed + area:
            if share == 0:
                return
            share -= 1
            inside = mark - passed
            # from_rate * t + slope * t^2 / 2 = inside, solved in the form that loses nothing where the slope is small.
            root = math.sqrt(max(0.0, stretch.from_rate**2 + 2 * slope * inside))
            yield start + (2 * inside / (stretch.from_rate + root) if inside else 0.0)
            mark = next(marks)
        start += stretch.seconds
        passed += area

"""The one frame of every benchmark: contestants take turns, medians count, floors are measured in the same run.

A part is a module `loadtest/bench/NAME.py` with one function; PARTS has its name:

    @contextmanager
    def prepare(options: Options) -> Iterator[Bench]:
        with tempfile.TemporaryDirectory() as folder, started([...], folder=Path(folder), ready=...) as nginx:
            yield Bench(
                title="A pixel, nginx against the collector",
                contestants=(
                    Contestant("nginx empty_gif", lambda: round_against(nginx)),
                    Contestant("collector", lambda: round_against(collector), floor="nginx empty_gif"),
                ),
                facts={"nginx": "1.26.3"},
            )

- `prepare` starts what is needed (`loadtest.check.processes`: started, answers, free_port, pinned, cpu_s,
  rss_peak_bytes), yields the Bench, and stops everything after the rounds. It raises Unavailable where a program is
  not installed.
- A contestant's `round` does one round and returns its Figures: numbers by name, the unit in the name
  ("cpu_us_per_hit", "hits_per_s", "rss_peak_mb"). Each round returns the same names.
- The frame runs one unrecorded warm-up of each, unless `Bench.warms_up`: then each round does that itself. Then ours,
  floor, ours, floor, ... for `options.rounds` rounds, so that noise of the machine meets all alike. Each figure gets
  its median, and its ratio to the same figure of the contestant named in `floor`: the median of the rounds' ratios.
- `options.only` names the contestants that run; their floors run too.
- A contestant with `once` takes part in the first round only.
- A contestant's `bounds` are printed next to what was measured. No bound ends a run: a benchmark measures.
- CPU time comes from the operating system (`Program.cpu_s` before and after), never from a wall clock.
- `options.miniature` asks for the smallest round that still shows the form (well under two seconds for the part):
  the tests run it, so that a benchmark cannot rot. `options.scaled(full, small)` chooses.
- Benchmarks start the programs as subprocesses; they never import a stage (tests/test_arrows.py).
"""

import importlib
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final, Protocol, TypeVar, cast

import msgspec

from loadtest.report import machine

PARTS: Final = ("collector", "enricher", "sink", "sql", "driver", "pipeline", "host", "peers")
"""Every part, in the order in which `make bench` runs them."""

Figures = Mapping[str, float]
"""Numbers by name, the unit in the name."""

Number = TypeVar("Number", int, float)


class Unavailable(RuntimeError):
    """A program that the part needs is missing; the message names it and how to get it."""


class Unknown(ValueError):
    """No contestant has the name that was asked for."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asked for."""

    rounds: int = 5
    """Recorded rounds of each contestant; 0, in miniature, records the warm-up."""
    miniature: bool = False
    """The smallest run that still has the form."""
    only: tuple[str, ...] = ()
    """Names of the contestants that run, with their floors; empty: all."""
    events: int = 0
    """Of the part `sql`: events in the large table; 0: as many as it says."""
    history_events: int = 0
    """Of the part `sql`: events of each month with history; 0: as many as it says."""
    folder: str = ""
    """Of the part `sql`: where its tables are kept, and used again; empty: nowhere."""

    def scaled(self, full: Number, small: Number) -> Number:
        """Return `small` in miniature, else `full`."""
        return small if self.miniature else full


class Bound(msgspec.Struct, frozen=True):
    """What a figure should be at most."""

    figure: str
    most: float
    aim: float
    """What it should rather be."""
    of_ratio: bool = True
    """The bound is on the ratio to the floor; False: on the figure itself."""


class Contestant(msgspec.Struct, frozen=True):
    """One of those who take turns."""

    name: str
    round: Callable[[], Figures]
    """Does one round; the same names every time."""
    floor: str = ""
    """Name of the contestant it is compared with; empty: it is a floor itself."""
    bounds: tuple[Bound, ...] = ()
    once: bool = False
    """Takes part in the first recorded round only: nothing is bounded that more rounds would make surer."""


class Bench(msgspec.Struct, frozen=True):
    """What a part's `prepare` yields."""

    title: str
    contestants: Sequence[Contestant]
    facts: Mapping[str, str] = {}
    """What else the reader must know: versions of programs, sizes, settings."""
    skipped: Mapping[str, str] = {}
    """Contestants that cannot take part here, each with the reason."""
    warms_up: bool = False
    """Each round warms its own contestant up: no round is left unrecorded."""


class Part(Protocol):
    """The form of a part's module."""

    def prepare(self, options: Options) -> AbstractContextManager[Bench]:
        """Start what is needed, yield the contestants, stop everything."""


class Row(msgspec.Struct, frozen=True):
    """One contestant's outcome."""

    name: str
    floor: str
    median: dict[str, float]
    ratio: dict[str, float]
    """Of this contestant to its floor, each figure: the median of the rounds' ratios; empty without a floor."""
    rounds: list[dict[str, float]]
    bounds: tuple[Bound, ...] = ()

    def measured(self, bound: Bound) -> float | None:
        """Return what a bound is compared with; None if it was not measured."""
        return (self.ratio if bound.of_ratio else self.median).get(bound.figure)


class Report(msgspec.Struct, frozen=True):
    """One part's outcome, as `--json` prints it."""

    part: str
    title: str
    machine: dict[str, str]
    facts: dict[str, str]
    options: Options
    rows: list[Row]
    skipped: dict[str, str] = {}


def ratios(ours: Sequence[Figures], floor: Sequence[Figures]) -> dict[str, float]:
    """Return each shared figure's ratio, ours to floor, as the median of the rounds; a floor of 0 is left out."""
    shared = [name for name in ours[0] if name in floor[0] and all(figures[name] for figures in floor)]
    return {
        name: statistics.median(mine[name] / base[name] for mine, base in zip(ours, floor, strict=False))
        for name in shared
    }


def chosen(part: str, bench: Bench, only: Sequence[str]) -> list[Contestant]:
    """Return the contestants that `only` names, with their floors, in the bench's order; all if it names none.

    Raises:
        ValueError: two contestants of one name, or an unknown floor.
        Unknown: no contestant has a name in `only`.
    """
    by_name = {contestant.name: contestant for contestant in bench.contestants}
    if len(by_name) != len(bench.contestants):
        raise ValueError(f"{part}: two contestants have one name: {[c.name for c in bench.contestants]}")
    if unknown := [c.floor for c in bench.contestants if c.floor and c.floor not in by_name]:
        raise ValueError(f"{part}: unknown floor: {unknown}")
    if unknown := [name for name in only if name not in by_name]:
        raise Unknown(f"{part}: no contestant called {', '.join(unknown)}; there are: {', '.join(by_name)}")
    waiting, taken = list(only or by_name), set()
    while waiting:
        name = waiting.pop()
        taken.add(name)
        if (floor := by_name[name].floor) and floor not in taken:
            waiting.append(floor)
    return [contestant for contestant in bench.contestants if contestant.name in taken]


def take_turns(part: str, bench: Bench, options: Options, on_round: Callable[[int, str], None]) -> Report:
    """Run the rounds and return the report; `on_round` is called before each (0 is the warm-up).

    Raises:
        ValueError: as `chosen`, or figures that change their names.
    """
    contestants = chosen(part, bench, options.only)
    seen: dict[str, list[dict[str, float]]] = {contestant.name: [] for contestant in contestants}
    for number in range(1 if bench.warms_up and options.rounds else 0, options.rounds + 1):
        for contestant in contestants:
            if contestant.once and seen[contestant.name]:
                continue
            on_round(number, contestant.name)
            figures = dict(contestant.round())
            rounds = seen[contestant.name]
            if rounds and rounds[0].keys() != figures.keys():
                raise ValueError(f"{part}: {contestant.name} changed its figures: {sorted(figures)}")
            if number == 0 and options.rounds:
                continue
            rounds.append(figures)
    rows = [
        Row(
            name=c.name,
            floor=c.floor,
            median={figure: statistics.median(r[figure] for r in seen[c.name]) for figure in seen[c.name][0]},
            ratio=ratios(seen[c.name], seen[c.floor]) if c.floor else {},
            rounds=seen[c.name],
            bounds=c.bounds,
        )
        for c in contestants
    ]
    return Report(part, bench.title, machine.facts(), dict(bench.facts), options, rows, dict(bench.skipped))


def load(part: str) -> Part:
    """Import a part.

    Raises:
        ValueError: no such part.
    """
    if part not in PARTS:
        raise ValueError(f"no part called {part!r}; there are: {', '.join(PARTS)}")
    return cast(Part, importlib.import_module(f"loadtest.bench.{part}"))


def run(part: str, options: Options, on_round: Callable[[int, str], None] = lambda number, name: None) -> Report:
    """Run one part from start to stop.

    Raises:
        ValueError: no such part, or it breaks the form.
        Unavailable: a program it needs is not installed.
    """
    with load(part).prepare(options) as bench:
        return take_turns(part, bench, options, on_round)

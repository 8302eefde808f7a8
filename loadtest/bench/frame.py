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
- The frame runs one unrecorded warm-up of each, then ours, floor, ours, floor, ... for `options.rounds` rounds, so that
  noise of the machine meets all alike. Each figure gets its median, and its ratio to the same figure of the contestant
  named in `floor`, as the median of the ratios round by round.
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

PARTS: Final = ("collector", "enricher", "sink", "sql", "driver", "pipeline", "peers")
"""Every part, in the order in which `make bench` runs them."""

Figures = Mapping[str, float]
"""Numbers by name, the unit in the name."""

Number = TypeVar("Number", int, float)


class Unavailable(RuntimeError):
    """A program that the part needs is missing; the message names it and how to get it."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asked for."""

    rounds: int = 5
    """Recorded rounds of each contestant; 0, in miniature, records the warm-up."""
    miniature: bool = False
    """The smallest run that still has the form."""

    def scaled(self, full: Number, small: Number) -> Number:
        """Return `small` in miniature, else `full`."""
        return small if self.miniature else full


class Contestant(msgspec.Struct, frozen=True):
    """One of those who take turns."""

    name: str
    round: Callable[[], Figures]
    """Does one round; the same names every time."""
    floor: str = ""
    """Name of the contestant it is compared with; empty: it is a floor itself."""


class Bench(msgspec.Struct, frozen=True):
    """What a part's `prepare` yields."""

    title: str
    contestants: Sequence[Contestant]
    facts: Mapping[str, str] = {}
    """What else the reader must know: versions of programs, sizes, settings."""
    skipped: Mapping[str, str] = {}
    """Contestants that cannot take part here, each with the reason."""


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
    """Return each shared figure's ratio, ours to floor, as the median over the rounds; a floor of 0 is left out."""
    shared = [name for name in ours[0] if name in floor[0] and all(figures[name] for figures in floor)]
    return {
        name: statistics.median(mine[name] / base[name] for mine, base in zip(ours, floor, strict=True))
        for name in shared
    }


def take_turns(part: str, bench: Bench, options: Options, on_round: Callable[[int, str], None]) -> Report:
    """Run the rounds and return the report; `on_round` is called before each (0 is the warm-up).

    Raises:
        ValueError: two contestants of one name, an unknown floor, or figures that change their names.
    """
    names = [contestant.name for contestant in bench.contestants]
    if len(set(names)) != len(names):
        raise ValueError(f"{part}: two contestants have one name: {names}")
    if unknown := [c.floor for c in bench.contestants if c.floor and c.floor not in names]:
        raise ValueError(f"{part}: unknown floor: {unknown}")
    seen: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in range(options.rounds + 1):
        for contestant in bench.contestants:
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
        )
        for c in bench.contestants
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

"""What goes to a lane's process, and what comes back at its end."""

import msgspec

from loadtest.lane import Target
from loadtest.schedule import Schedule
from loadtest.traffic import Surface


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """All that a run needs to know."""

    target: Target
    surface: Surface
    schedule: Schedule
    profile: str = "shop"
    seed: int = 1
    run: str
    """8 hex digits, new for every run: part of every id."""
    lanes: int = 1
    drain_s: float = 12.0
    """How long answers are awaited after the last moment."""
    probes_per_s: float = 20.0
    """Hits a second that are followed until they are visible."""
    pool: int = 20_000
    """Shots of a lane, at most, sent round and round with new ids."""


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """What a lane hands in at its end."""

    outcomes: bytes
    """One byte a hit, by its number: lane.NOT_SENT ... lane.FAILED."""
    errors: dict[str, int]
    requests: int
    answers: int
    waited: int
    gave_up: int
    cpu_s: float
    """CPU time of the process between start and end."""

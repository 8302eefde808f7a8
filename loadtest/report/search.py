"""What a search for the limit found: its steps, what became of each, and the knee between them."""

from typing import Literal

import msgspec

from loadtest.report import result

StepOutcome = Literal["holds", "breaks", "driver gave out", "stopped"]
"""What became of a step. "stopped": by hand, by a bound on time or count, or because the target is gone."""


class Knee(msgspec.Struct, frozen=True):
    """What was found, requests/s."""

    holds: float
    """The highest rate that held; 0 when not even the first did."""
    breaks: float
    """The lowest rate that broke; infinite when none did."""
    gave_out: float = float("inf")
    """The rate at which the driver, not the target, gave out: between it and `holds` nothing is known."""

    def __str__(self) -> str:
        text = f"holds {self.holds:,.0f}/s"
        if self.breaks < float("inf"):
            text += f", breaks at {self.breaks:,.0f}/s"
        if self.gave_out < float("inf"):
            text += f"; at {self.gave_out:,.0f}/s the driver gave out: not the target's knee, but the driver's"
        elif self.breaks == float("inf"):
            text += "; where it breaks was not reached"
        return text


class SearchResult(msgspec.Struct, frozen=True):
    """The search, as it went."""

    steps: list[result.Result]
    rates: list[float]
    """Of each step, requests/s."""
    outcomes: list[StepOutcome]
    knee: Knee

    def best(self) -> result.Result:
        """Return the step with the highest rate that held; where none did, the last."""
        held = [n for n, outcome in enumerate(self.outcomes) if outcome == "holds"]
        return self.steps[max(held, key=lambda n: self.rates[n], default=-1)]

"""Stops a destination that refuses most of what it gets, before all becomes dead letters. Pure."""

from collections import deque
from typing import Final

WINDOW: Final = 100
"""Results that are looked at."""
LEAST: Final = 20
"""Results before the brake can be pulled, so that a few bad events at the begin do not stop a destination."""
RATIO: Final = 0.5


class Brake:
    """Counts the latest results of a destination."""

    def __init__(self) -> None:
        self._refused: deque[bool] = deque(maxlen=WINDOW)

    def count(self, *, refused: bool) -> None:
        """Note the result of one event."""
        self._refused.append(refused)

    @property
    def pulled(self) -> bool:
        """Return whether more than RATIO of the latest results are refusals."""
        return len(self._refused) >= LEAST and sum(self._refused) > RATIO * len(self._refused)

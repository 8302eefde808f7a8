"""Since when the oldest record that is not delivered has waited: told while the stage stands still, and grows then.

Rule: the age is an upper bound, and no look at Kafka is needed to tell it. What was in the topic before a moment that
is known here has been delivered; whether something came later is known for a while after each look at the topic's end.
"""

from collections.abc import Iterable
from typing import Final

KNOWN_FOR_S: Final = 15.0
"""After so long without a look (Kafka is away, the look hangs) nobody knows any more that nothing waits."""


class Backlog:
    """By partition; moments are in epoch seconds."""

    def __init__(self, now: float) -> None:
        self._since: dict[int, float] = {-1: now}  # until partitions are assigned: since the start
        self._empty_at: dict[int, float] = {}

    def own(self, partitions: Iterable[int], now: float) -> None:
        """Answer for these from now on; what waits in one that we had before has gone on waiting."""
        self._since = {each: self._since.get(each, now) for each in partitions}
        self._empty_at = {}

    def waits_since(self, partition: int, moment: float) -> None:
        """Hear of the oldest record in hand, or of the last that was delivered; a moment of 0 or less is none."""
        if partition in self._since and moment > 0:
            self._since[partition] = moment
            self._empty_at.pop(partition, None)

    def looked(self, partition: int, now: float, *, empty: bool) -> None:
        """Hear whether everything in the partition has been delivered."""
        if partition not in self._since:
            return
        if empty:
            self._since[partition] = self._empty_at[partition] = now
        else:
            self._empty_at.pop(partition, None)

    def seconds(self, now: float) -> float:
        """Return the age of the oldest record that waits; 0 where nothing does."""
        return max(
            (
                max(0.0, now - since)
                for partition, since in self._since.items()
                if now - self._empty_at.get(partition, 0.0) > KNOWN_FOR_S
            ),
            default=0.0,
        )

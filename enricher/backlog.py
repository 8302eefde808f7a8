"""The age of the oldest record that is not delivered. It also grows while the stage hangs or Kafka is away.

The age is an upper bound and needs no request to Kafka. Every record older than the known moment has been delivered;
whether newer ones wait is known for KNOWN_FOR_S after each look at the topic's end.
"""

from collections.abc import Iterable
from typing import Final

KNOWN_FOR_S: Final = 15.0
"""An empty partition counts as empty for this long after the last look; then something may wait."""


class Backlog:
    """By partition; moments are in epoch seconds."""

    def __init__(self, now: float) -> None:
        self._since: dict[int, float] = {-1: now}  # until partitions are assigned: since the start
        self._empty_at: dict[int, float] = {}

    def own(self, partitions: Iterable[int], now: float) -> None:
        """Count these partitions from now on; one that was counted before keeps its moment."""
        self._since = {each: self._since.get(each, now) for each in partitions}
        self._empty_at = {}

    def waits_since(self, partition: int, moment: float) -> None:
        """Note the moment of the oldest record in hand, or of the last one delivered; 0 or less is ignored."""
        if partition in self._since and moment > 0:
            self._since[partition] = moment
            self._empty_at.pop(partition, None)

    def looked(self, partition: int, now: float, *, empty: bool) -> None:
        """Note whether everything in the partition has been delivered."""
        if partition not in self._since:
            return
        if empty:
            self._since[partition] = self._empty_at[partition] = now
        else:
            self._empty_at.pop(partition, None)

    def seconds(self, now: float) -> float:
        """Return the age of the oldest record that waits; 0 if none does."""
        return max(
            (
                max(0.0, now - since)
                for partition, since in self._since.items()
                if now - self._empty_at.get(partition, 0.0) > KNOWN_FOR_S
            ),
            default=0.0,
        )

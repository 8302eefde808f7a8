"""Whose turn it is to insert: so many at once, no more small batches a second than ClickHouse likes, the oldest first.

Rule: the pace follows the number of partitions, so that no batch waits longer for its turn than the operator said.
"""

import asyncio
from collections.abc import Callable, Hashable


class Pace:
    """How many inserts age may start: `per_s`, and up to `burst` saved up while there was nothing to do."""

    def __init__(self, per_s: float, now: float) -> None:
        self.per_s = per_s
        self.saved = float("inf")  # cut to `burst` at the first question
        self.at = now

    def wait_s(self, now: float, burst: int, ahead: int = 0) -> float:
        """Return the seconds until the next insert may start, with so many `ahead` of it; 0 takes it."""
        self._save(now, burst)
        if self.saved >= 1.0 + ahead:
            self.saved -= 1.0
            return 0.0
        return (1.0 + ahead - self.saved) / self.per_s

    def spend(self, now: float, burst: int) -> None:
        """Count an insert that did not have to wait: full batches leave less for those that age starts."""
        self._save(now, burst)
        self.saved = max(0.0, self.saved - 1.0)

    def _save(self, now: float, burst: int) -> None:
        self.saved = min(float(max(1, burst)), self.saved + (now - self.at) * self.per_s)
        self.at = now


class Turns:
    """Who may insert now: at most `slots` at once, and no more small batches a second than the pace allows."""

    def __init__(self, slots: int, pace: Pace, clock: Callable[[], float], most_wait_s: float = float("inf")) -> None:
        self.slots = slots
        self.free = slots
        self.pace = pace
        self.clock = clock
        self.most_wait_s = most_wait_s
        self.burst = 1
        self.stopping = False
        self._least_per_s = pace.per_s
        self._waiting: dict[Hashable, float] = {}
        """Who was told to wait, and since when its rows do."""
        self._given_back = asyncio.Event()

    def share(self, partitions: int) -> None:
        """Have so many partitions take turns from now on."""
        self.burst = partitions
        self.pace.per_s = max(self._least_per_s, partitions / self.most_wait_s)

    def take(self, *, full: bool, of: Hashable = None, since: float = 0.0) -> float:
        """Take a turn and return 0, or return the seconds after which to ask again.

        `of` asks for a batch whose first row has waited since `since`: those that have waited longer go first.
        """
        if full or self.stopping:
            if not self.free:
                return 0.05
            self.pace.spend(self.clock(), self.burst)
        else:
            self._waiting[of] = since
            if not self.free:
                return 0.05
            ahead = sum(1 for other in self._waiting.values() if other < since)
            if wait_s := self.pace.wait_s(self.clock(), self.burst, ahead):
                return wait_s
        self._waiting.pop(of, None)
        self.free -= 1
        return 0.0

    def give_back(self) -> None:
        """End a turn."""
        self.free += 1
        self._given_back.set()

    def all_back(self) -> None:
        """End every turn: nobody is left who could have one, or wait for it."""
        self.free = self.slots
        self._waiting.clear()

    async def given_back(self, wait_s: float) -> None:
        """Return when a turn ends, or after so many seconds."""
        self._given_back.clear()
        try:
            async with asyncio.timeout(wait_s):
                await self._given_back.wait()
        except TimeoutError:
            return

"""Slots for inserts: a bounded number at once, a bounded rate of small batches, the oldest batch first.

The rate follows the number of partitions, so that no batch waits longer for a slot than the operator's setting.
"""

import asyncio
from collections.abc import Callable, Hashable


class Pace:
    """Rate limit of inserts that age makes due: `per_s` a second, up to `burst` saved while idle."""

    def __init__(self, per_s: float, now: float) -> None:
        self.per_s = per_s
        self.saved = float("inf")  # cut to `burst` at the first call
        self.at = now

    def wait_s(self, now: float, burst: int, ahead: int = 0) -> float:
        """Return the seconds until the next insert may start, behind `ahead` others; 0 means it may, and is counted."""
        self._save(now, burst)
        if self.saved >= 1.0 + ahead:
            self.saved -= 1.0
            return 0.0
        return (1.0 + ahead - self.saved) / self.per_s

    def spend(self, now: float, burst: int) -> None:
        """Count an insert that did not wait: full batches leave less for those that age makes due."""
        self._save(now, burst)
        self.saved = max(0.0, self.saved - 1.0)

    def _save(self, now: float, burst: int) -> None:
        self.saved = min(float(max(1, burst)), self.saved + (now - self.at) * self.per_s)
        self.at = now


class InsertSlots:
    """Decides who may insert now: at most `slots` at once, small batches no faster than the pace."""

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
        """Who waits for a slot, and since when its first row waits."""
        self._released = asyncio.Event()

    def share(self, partitions: int) -> None:
        """Set the number of partitions that share the slots."""
        self.burst = partitions
        self.pace.per_s = max(self._least_per_s, partitions / self.most_wait_s)

    def acquire(self, *, full: bool, of: Hashable = None, since: float = 0.0) -> float:
        """Take a slot and return 0, or return the seconds after which to ask again.

        `of` names the caller, whose first row has waited since `since`: longer waits go first.
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

    def release(self) -> None:
        """Release a slot."""
        self.free += 1
        self._released.set()

    def release_all(self) -> None:
        """Release every slot and forget who waits: no worker is left."""
        self.free = self.slots
        self._waiting.clear()

    async def released(self, wait_s: float) -> None:
        """Return when a slot is released, or after `wait_s` seconds."""
        self._released.clear()
        try:
            async with asyncio.timeout(wait_s):
                await self._released.wait()
        except TimeoutError:
            return

"""Whose turn it is to insert: so many at once, and no more small batches a second than ClickHouse likes."""

import asyncio
from collections.abc import Callable


class Pace:
    """How many inserts age may start: `per_s`, and up to `burst` saved up while there was nothing to do."""

    def __init__(self, per_s: float, now: float) -> None:
        self.per_s = per_s
        self.saved = float("inf")  # cut to `burst` at the first question
        self.at = now

    def wait_s(self, now: float, burst: int) -> float:
        """Return the seconds until the next insert may start; 0 takes it."""
        self._save(now, burst)
        if self.saved >= 1.0:
            self.saved -= 1.0
            return 0.0
        return (1.0 - self.saved) / self.per_s

    def spend(self, now: float, burst: int) -> None:
        """Count an insert that did not have to wait: full batches leave less for those that age starts."""
        self._save(now, burst)
        self.saved = max(0.0, self.saved - 1.0)

    def _save(self, now: float, burst: int) -> None:
        self.saved = min(float(max(1, burst)), self.saved + (now - self.at) * self.per_s)
        self.at = now


class Turns:
    """Who may insert now: at most `slots` at once, and no more small batches a second than the pace allows."""

    def __init__(self, slots: int, pace: Pace, clock: Callable[[], float]) -> None:
        self.slots = slots
        self.free = slots
        self.pace = pace
        self.clock = clock
        self.burst = 1
        self.stopping = False
        self._given_back = asyncio.Event()

    def take(self, *, full: bool) -> float:
        """Take a turn and return 0, or return the seconds after which to ask again."""
        if not self.free:
            return 0.05
        if full or self.stopping:
            self.pace.spend(self.clock(), self.burst)
        elif wait_s := self.pace.wait_s(self.clock(), self.burst):
            return wait_s
        self.free -= 1
        return 0.0

    def give_back(self) -> None:
        """End a turn."""
        self.free += 1
        self._given_back.set()

    def all_back(self) -> None:
        """End every turn: nobody is left who could have one."""
        self.free = self.slots

    async def given_back(self, wait_s: float) -> None:
        """Return when a turn ends, or after so many seconds."""
        self._given_back.clear()
        try:
            async with asyncio.timeout(wait_s):
                await self._given_back.wait()
        except TimeoutError:
            return

"""The brake: above a share of dead hits the stage stops, so that it does not move a whole topic into `hits.dead`.

It is asked before anything of a chunk is written, so that a stage that starts again stops again.
"""

from collections import deque


class Brake:
    """The share of dead hits among the last `window` hits or more."""

    def __init__(self, *, ratio: float, window: int) -> None:
        self._ratio = ratio
        self._window = window
        self._chunks: deque[tuple[int, int]] = deque()
        self._hits = 0
        self._dead = 0

    def add(self, hits: int, dead: int) -> str:
        """Count a chunk; return the reason to stop, or "" to go on. Fewer hits than the window never stop the stage."""
        self._chunks.append((hits, dead))
        self._hits += hits
        self._dead += dead
        while self._hits - self._chunks[0][0] >= self._window:
            gone, gone_dead = self._chunks.popleft()
            self._hits -= gone
            self._dead -= gone_dead
        if self._hits >= self._window and self._dead > self._ratio * self._hits:
            return f"{self._dead} of the last {self._hits} hits are dead, more than {self._ratio:.0%}"
        return ""

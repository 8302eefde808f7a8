"""Which events wait to be sent, and how far each partition is done. The caller gives the time.

An event is done when it was sent, held back or refused for good. A partition's offset moves past a record only when
its event and all before it are done, so that a crash repeats and never loses.
"""

from collections import OrderedDict
from typing import Final, NamedTuple

import msgspec

Position = tuple[str, int, int]
"""Topic, partition, offset."""

REMEMBERED: Final = 100_000
"""Events whose late copies are recognised. A copy that comes later is sent again, with the same id."""


class Key(NamedTuple):
    """An event."""

    site: str
    event_id: str


class Waiting(msgspec.Struct):
    """An event that waits."""

    key: Key
    occurred_ms: int
    """Of its first copy."""
    since: float
    """When the first copy was read, in seconds of the caller's clock."""
    due: float
    positions: dict[tuple[str, int], int]
    """The offset of its first copy in each partition: it holds the commit back. Later copies need no place."""
    missed_since: float | None = None
    """When it was first asked for and not found."""


class Pending:
    """The events of one destination."""

    def __init__(self, hold_s: float) -> None:
        self._hold_s = hold_s
        self._waiting: OrderedDict[Key, Waiting] = OrderedDict()
        self._done: OrderedDict[Key, None] = OrderedDict()
        self._open: dict[tuple[str, int], set[int]] = {}
        self._next: dict[tuple[str, int], int] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, key: Key) -> bool:
        """Return whether an event waits."""
        return key in self._waiting

    def skip(self, position: Position) -> None:
        """Note a record that is not for this destination."""
        topic, partition, offset = position
        self._next[topic, partition] = offset + 1

    def add(self, key: Key, occurred_ms: int, position: Position, now: float, *, refund: bool = False) -> bool:
        """Note a copy of an event; return whether it is the first, and the event not done.

        A refund waits twice as long, so that its order is stored before.
        """
        self.skip(position)
        if key in self._done:
            return False
        topic, partition, offset = position
        waiting = self._waiting.get(key)
        if waiting is None or (topic, partition) not in waiting.positions:
            self._open.setdefault((topic, partition), set()).add(offset)
        if waiting is not None:
            waiting.positions.setdefault((topic, partition), offset)
            return False
        due = now + self._hold_s * (2 if refund else 1)
        self._waiting[key] = Waiting(key, occurred_ms, now, due, {(topic, partition): offset})
        return True

    def due(self, now: float, most: int) -> list[Waiting]:

        found: list[Waiting] = []
        for waiting in self._waiting.values():
            if waiting.due <= now:
                found.append(waiting)
                if len(found) == most:
                    break
        return sorted(found, key=lambda each: each.occurred_ms)

    def later(self, key: Key, due: float) -> None:
        """Ask again at another time, unless the event's partition is another's by now."""
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.due = due

    def missed_s(self, key: Key, now: float) -> float:
        """Return for how long an event is missed, counted from the first call for it."""
        waiting = self._waiting.get(key)
        if waiting is None:
            return 0.0
        if waiting.missed_since is None:
            waiting.missed_since = now
        return now - waiting.missed_since

    def done(self, key: Key) -> None:
        """Note that nothing remains to be done about an event."""
        waiting = self._waiting.pop(key, None)
        if waiting is None:
            return
        for at, offset in waiting.positions.items():
            self._open.get(at, set()).discard(offset)
        self._done[key] = None
        while len(self._done) > REMEMBERED:
            self._done.popitem(last=False)

    def offsets(self) -> dict[tuple[str, int], int]:
        """Return the offset of each partition from which a new start must read."""
        return {at: min(self._open.get(at) or (end,)) for at, end in self._next.items()}

    def forget(self, partitions: set[tuple[str, int]]) -> None:
        """Drop what was read of partitions that are another's now."""
        for at in partitions:
            self._next.pop(at, None)
            self._open.pop(at, None)
        for key, waiting in list(self._waiting.items()):
            waiting.positions = {at: offset for at, offset in waiting.positions.items() if at not in partitions}
            if not waiting.positions:
                del self._waiting[key]

    def oldest_s(self, now: float) -> float:
        """Return for how long the oldest event waits beyond its hold time."""
        return max((now - each.since - self._hold_s for each in self._waiting.values()), default=0.0)

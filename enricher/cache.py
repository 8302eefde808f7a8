"""A bounded memory of pure results: a dict that computes what it lacks, and forgets by generations.

Rule: a hit costs no more than a dict look-up. Entries go into the young generation; once that is full, by count or by
bytes, it becomes the old one, and the old one is forgotten. What is asked for again moves back to the young one.
"""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, cast

Key = TypeVar("Key")
Value = TypeVar("Value")

_ENTRY_BYTES = 600
"""What an entry takes beside its key: the result's objects and two dict slots, measured generously."""


class Cache(dict[Key, Value], Generic[Key, Value]):
    """Results of `compute` by key: `cache[key]` always answers.

    Holds at most `entries` keys and about `max_bytes` bytes; a key above `max_key_bytes` is computed each time.
    """

    def __init__(
        self,
        compute: Callable[[Key], Value],
        *,
        entries: int,
        max_bytes: int,
        size: Callable[[Key], int],
        max_key_bytes: int = 4096,
    ) -> None:
        super().__init__()
        self._compute = compute
        self._size = size
        self._max_key_bytes = max_key_bytes
        self._half_entries = max(1, entries // 2)
        self._half_bytes = max(1, max_bytes // 2)
        self._bytes = 0
        self._old: dict[Key, Value] = {}
        self.misses = 0
        """Results computed so far."""

    def __missing__(self, key: Key) -> Value:
        try:
            value = self._old[key]
        except KeyError:
            value = self._compute(key)
            self.misses += 1
        self._keep(key, value)
        return value

    def all_of(self, keys: Sequence[Key], compute_all: Callable[[Sequence[Key]], Sequence[Value]]) -> list[Value]:
        """Answer many; what nothing is remembered of is computed together, each once."""
        found = list(map(self.get, keys))
        if None not in found:
            return cast(list[Value], found)
        new: dict[Key, list[int]] = {}
        for place, value in enumerate(found):
            if value is None:
                key = keys[place]
                value = self._old.get(key)
                if value is None:
                    new.setdefault(key, []).append(place)
                else:
                    found[place] = value
                    self._keep(key, value)
        if new:
            for (key, places), value in zip(new.items(), compute_all(list(new)), strict=True):
                self.misses += 1
                self._keep(key, value)
                for place in places:
                    found[place] = value
        return cast(list[Value], found)

    def _keep(self, key: Key, value: Value) -> None:
        size = self._size(key)
        if size > self._max_key_bytes or key in self:
            return
        if len(self) >= self._half_entries or self._bytes >= self._half_bytes:
            self._old = dict(self)
            self.clear()
            self._bytes = 0
        self._bytes += size + _ENTRY_BYTES
        self[key] = value

    @property
    def held(self) -> int:
        """Entries in both generations."""
        return len(self) + len(self._old)

    def remember_nothing(self) -> None:
        """From now on, compute each answer anew."""
        self.forget()
        self._max_key_bytes = -1

    def forget(self) -> None:
        """Drop everything: what `compute` reads has changed."""
        self._old = {}
        self.clear()
        self._bytes = 0


def remember_texts(compute: Callable[[str], Value], mib: int) -> Cache[str, Value]:
    """Return a Cache by text, of about `mib` mebibytes."""
    return Cache(compute, entries=100_000, max_bytes=mib << 20, size=len)

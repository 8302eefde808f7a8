"""A bounded cache of pure results in two generations.

A cached result costs one dict look-up. Entries go into the young generation. When that is full, by count or by bytes,
it becomes the old generation and the former old one is dropped. An entry of the old one moves back when it is used.
"""

from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar, cast

Key = TypeVar("Key")
Value = TypeVar("Value")

_CAME_PLACES: Final = 1 << 16
"""About this many of the latest keys are recognised when they come a second time."""
_ENTRY_BYTES = 600
"""Bytes of an entry without its key: the result's objects and two dict slots, estimated high."""


class Memory(Generic[Key, Value]):
    """Results by key: `recall` returns what is cached, `keep` stores a new result.

    Holds at most `entries` keys and about `max_bytes` bytes, and no key longer than `max_key_bytes`. With `recurs`
    a key is kept when it comes for the second time: most keys come only once and would cost more than they save.
    """

    def __init__(
        self,
        *,
        entries: int,
        max_bytes: int,
        size: Callable[[Key], int],
        max_key_bytes: int = 4096,
        recurs: bool = False,
    ) -> None:
        self._size = size
        self._came = bytearray(_CAME_PLACES if recurs else 0)
        """One byte of the hash of each recent key, at a place given by the rest; a later key replaces it."""
        self._max_key_bytes = max_key_bytes
        self._half_entries = max(1, entries // 2)
        self._half_bytes = max(1, max_bytes // 2)
        self._bytes = 0
        self._young: dict[Key, Value] = {}
        self._old: dict[Key, Value] = {}
        self.misses = 0
        """Results computed so far."""

    def recall(self, key: Key) -> Value | None:
        """Return what is held by `key`."""
        value = self._young.get(key)
        return value if value is not None else self._recall_old(key)

    def _recall_old(self, key: Key) -> Value | None:
        value = self._old.get(key)
        if value is not None:
            self.hold(key, value)
        return value

    def keep(self, key: Key, value: Value) -> None:
        """Count what `recall` did not find, and hold it where it is worth it."""
        if self.wants(key):
            self.hold(key, value)

    def wants(self, key: Key) -> bool:
        """Count what `recall` did not find; tell whether it is worth holding: short enough, and one that recurs."""
        self.misses += 1
        if self._came:
            number = hash(key)
            place, mark = number & (_CAME_PLACES - 1), number >> 20 & 255
            if self._came[place] != mark:
                self._came[place] = mark
                return False
        return self._size(key) <= self._max_key_bytes

    def hold(self, key: Key, value: Value) -> None:
        """Hold what is wanted."""
        if key in self._young:
            return
        if len(self._young) >= self._half_entries or self._bytes >= self._half_bytes:
            self._old = self._young
            self._young = {}
            self._bytes = 0
        self._bytes += self._size(key) + _ENTRY_BYTES
        self._young[key] = value

    @property
    def held(self) -> int:
        """Entries in both generations."""
        return len(self._young) + len(self._old)

    def remember_nothing(self) -> None:
        """Cache nothing from now on."""
        self.forget()
        self._max_key_bytes = -1

    def forget(self) -> None:
        """Drop everything, because the data behind the results has changed."""
        self._young = {}
        self._old = {}
        self._bytes = 0


class Cache(Memory[Key, Value], Generic[Key, Value]):
    """Results of `compute` by key, bounded as Memory is: `cache[key]` computes what is not cached."""

    def __init__(
        self,
        compute: Callable[[Key], Value],
        *,
        entries: int,
        max_bytes: int,
        size: Callable[[Key], int],
        max_key_bytes: int = 4096,
        recurs: bool = False,
    ) -> None:
        super().__init__(entries=entries, max_bytes=max_bytes, size=size, max_key_bytes=max_key_bytes, recurs=recurs)
        self._compute = compute

    def __getitem__(self, key: Key) -> Value:
        value = self._young.get(key)
        return value if value is not None else self._answer(key)

    def _answer(self, key: Key) -> Value:
        """Return the result of a key that is not in the young generation."""
        value = self._recall_old(key)
        if value is None:
            value = self._compute(key)
            self.keep(key, value)
        return value

    def all_of(self, keys: Sequence[Key], compute_all: Callable[[Sequence[Key]], Sequence[Value]]) -> list[Value]:
        """Return the results of many keys. Those that are not cached are computed together, each once."""
        found = [self.recall(key) for key in keys]
        new: dict[Key, list[int]] = {}
        for place, value in enumerate(found):
            if value is None:
                new.setdefault(keys[place], []).append(place)
        if new:
            for (key, places), value in zip(new.items(), compute_all(list(new)), strict=True):
                self.keep(key, value)
                for place in places:
                    found[place] = value
        return cast(list[Value], found)


def remember_texts(compute: Callable[[str], Value], mib: int, *, recurs: bool = False) -> Cache[str, Value]:
    """Return a Cache by text, of about `mib` mebibytes."""
    return Cache(compute, entries=100_000, max_bytes=mib << 20, size=len, recurs=recurs)

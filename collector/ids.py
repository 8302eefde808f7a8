"""Fresh ids: UUIDv7 for hits, 128 random bits for visitors, from a pool of the system's randomness."""

from collections.abc import Callable
from typing import Final

_POOL_BYTES: Final = 4096
_VARIANT: Final = "89ab"


class Ids:
    """Makes ids of 32 lower-case hex digits; no two from one pool share a random digit."""

    def __init__(self, randomness: Callable[[int], bytes]) -> None:
        """`randomness(n)` returns n random bytes (os.urandom)."""
        self._randomness: Final = randomness
        self._pool = ""
        self._at = 0
        self._ms = -1
        self._prefix = ""

    def _digits(self, count: int) -> str:
        at = self._at
        if at + count > len(self._pool):
            self._pool = self._randomness(_POOL_BYTES).hex()
            at = 0
        self._at = at + count
        return self._pool[at : at + count]

    def hit(self, ms: int) -> str:
        """Return a UUID version 7 (RFC 9562) for the given epoch milliseconds."""
        if ms != self._ms:
            self._ms = ms
            self._prefix = f"{ms:012x}7"
        digits = self._digits(19)
        return f"{self._prefix}{digits[:3]}{_VARIANT[int(digits[3], 16) & 3]}{digits[4:]}"

    def visitor(self) -> str:
        """Return 128 random bits in hex."""
        return self._digits(32)

"""Fresh ids: UUIDv7 for hits, 128 random bits for visitors, from pools of the system's randomness."""

from collections.abc import Callable
from typing import Final

_TAIL: Final = 19
"""Hex digits of a UUIDv7 after its time and version: three random ones, the variant, fifteen random ones."""
_TAILS: Final = 256
_VISITOR: Final = 32
_VISITORS: Final = 128
_VARIANT: Final = bytes.maketrans(b"0123456789abcdef", b"89ab" * 4)


class Ids:
    """Makes ids of 32 lower-case hex digits. No random digit is used twice."""

    def __init__(self, randomness: Callable[[int], bytes]) -> None:
        """`randomness(n)` returns n random bytes (os.urandom)."""
        self._randomness: Final = randomness
        self._tails = self._visitors = b""
        self._tail_at = self._visitor_at = 0

    def tail(self) -> bytes:
        """Return the part of a hit's id after the time and version."""
        at = self._tail_at
        if at == len(self._tails):
            digits = bytearray(self._randomness(_TAILS * _TAIL // 2).hex().encode())
            digits[3::_TAIL] = digits[3::_TAIL].translate(_VARIANT)
            self._tails = bytes(digits)
            at = 0
        self._tail_at = end = at + _TAIL
        return self._tails[at:end]

    def hit(self, ms: int) -> str:
        """Return a UUID version 7 (RFC 9562) for the given epoch milliseconds."""
        return f"{ms:012x}7{self.tail().decode()}"

    def visitor_digits(self) -> bytes:
        """Return 128 random bits in hex."""
        at = self._visitor_at
        if at == len(self._visitors):
            self._visitors = self._randomness(_VISITORS * _VISITOR // 2).hex().encode()
            at = 0
        self._visitor_at = end = at + _VISITOR
        return self._visitors[at:end]

    def visitor(self) -> str:
        """Return the same as text."""
        return self.visitor_digits().decode()

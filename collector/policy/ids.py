"""Ids: UUIDv7 for hits, 128 random bits for visitors, from pools of the system's randomness; and the linker, which
takes a visitor's id to another domain of the same site.

A linker is sealed with the operator's link key, and bound to site, host and browser: it names no visitor to a page, a
log or a referrer, and is of no use after LINKER_MS or in another browser.
"""

import binascii
import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable
from typing import Final

LINKER: Final = "_plk"
"""Name of the parameter that carries a linker."""
LINKER_MS: Final = 120_000
"""Life of a linker."""
_LINKER: Final = re.compile(r"[?&]_plk=([A-Za-z0-9_-]*)(?=[&#]|\Z)")
_HEAD: Final = 13
"""Bytes before the sealed id: the time of issue in 6, then 7 random ones."""
_SEALED: Final = 16
_LINKER_BYTES: Final = _HEAD + _SEALED + 16

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


def linker(visitor: str, site: str, host: str, user_agent: str, now_ms: int, random: str, key: bytes) -> str:
    """Return a linker: 60 characters that need no escape in a URL.

    `visitor` is an id of 32 hex digits, `host` that of the page to which it leads; `random` has at least 14 hex digits.
    """
    head = now_ms.to_bytes(6, "big") + bytes.fromhex(random[:14])
    sealed = _xor(bytes.fromhex(visitor), hmac.digest(key, b"linker id\n" + head, "sha256"))
    made = head + sealed + _mark(head + sealed, site, host, user_agent, key)
    return urlsafe_b64encode(made).rstrip(b"=").decode()


def visitor_of(text: str, site: str, host: str, user_agent: str, now_ms: int, keys: Iterable[bytes]) -> str:
    """Return the visitor's id in a linker, or an empty string if it is too old, altered, or not for this place."""
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return ""
    if len(raw) != _LINKER_BYTES:
        return ""
    head, sealed, mark = raw[:_HEAD], raw[_HEAD : _HEAD + _SEALED], raw[_HEAD + _SEALED :]
    if not 0 <= now_ms - int.from_bytes(head[:6], "big") <= LINKER_MS:
        return ""
    for key in keys:
        if hmac.compare_digest(mark, _mark(head + sealed, site, host, user_agent, key)):
            return _xor(sealed, hmac.digest(key, b"linker id\n" + head, "sha256")).hex()
    return ""


def without_linker(url: str) -> tuple[str, str]:
    """Return a URL without its linkers, and the last of these; empty if there is none."""
    found = _LINKER.findall(url)
    if not found:
        return url, ""
    at = url.find("?")
    bare = _LINKER.sub("", url)
    if bare[at : at + 1] == "&":  # the query began with it
        bare = f"{bare[:at]}?{bare[at + 1 :]}"
    return bare, found[-1]


def _mark(sealed: bytes, site: str, host: str, user_agent: str, key: bytes) -> bytes:
    parts = f"{site}\n{host}\n{user_agent}".encode("utf-8", "surrogatepass")
    return hmac.digest(key, b"linker\n" + sealed + parts, "sha256")[:16]


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=False))

"""Which event a hit tells of, and which of several rows of one event stands.

Rule: both are made of the hit alone, so that a repeat, a replay and the copy that a server sends meet in one event.
"""

import uuid
from hashlib import sha1
from typing import Final

from collector.contract import Kind

NAMESPACE: Final = uuid.UUID("6f1c1d0e-7a55-5b0e-9d0c-6d3f1f0f7f4a")
"""Namespace of the ids made of a sender's own id. Never changes: an event's id would."""

RULES: Final = 2
"""Version of the enrichment's rules: raised with every change of what they give. It becomes `enriched_by`."""

_SEPARATOR: Final = "\x1f"
"""Stands in no site key and no event name, so that no two triples make one text."""

_RANK: Final[dict[Kind, int]] = {"server": 1, "pixel": 2, "open": 2, "tag": 2, "click": 2}
"""The browser's copy of an event stands before the server's: it has the page, the referrer and the visitor."""

_RANK_SHIFT: Final = 60
_RULES_SHIFT: Final = 44
_LAST_MS: Final = (1 << _RULES_SHIFT) - 1
"""Greatest receipt time that a version can hold: the year 2527."""

_BASE: Final[dict[Kind, int]] = {kind: rank << _RANK_SHIFT | _LAST_MS for kind, rank in _RANK.items()}
_TODAY: Final[dict[Kind, int]] = {kind: base + (RULES << _RULES_SHIFT) for kind, base in _BASE.items()}

_hashing: Final = sha1(NAMESPACE.bytes, usedforsecurity=False).copy
_to_bytes: Final = bytes.fromhex
_VARIANT: Final = {digit: f"{int(digit, 16) & 3 | 8:x}" for digit in "0123456789abcdef"}
"""Of a digest's digit, the one that says the variant."""


def event_id(hit_id: str, site: str, event: str, client_event_id: str) -> str:
    """Return the event's UUID with dashes.

    Without `client_event_id`: the hit's own id (32 hex digits). With it: UUID version 5 (RFC 9562) of site, event and
    id, whoever sent it.
    """
    if not client_event_id:
        return f"{hit_id[:8]}-{hit_id[8:12]}-{hit_id[12:16]}-{hit_id[16:20]}-{hit_id[20:]}"
    name = f"{site}{_SEPARATOR}{event}{_SEPARATOR}{client_event_id}"
    hashing = _hashing()
    try:
        hashing.update(name.encode())
    except UnicodeEncodeError:
        hashing.update(name.encode("utf-8", "surrogatepass"))
    digits: str = hashing.hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{_VARIANT[digits[16]]}{digits[17:20]}-{digits[20:32]}"


def is_hit_id(text: str) -> bool:
    """Tell whether `text` is 32 lower-case hex digits."""
    try:
        return len(text) == 32 and _to_bytes(text).hex() == text
    except ValueError:
        return False


def version(kind: Kind, received_ms: int, rules: int = RULES) -> int:
    """Return a number of 63 bits that orders the rows of one event: the greatest stands.

    First the browser's copy over the server's, then the later rules, then the earliest receipt: 4 bits of rank, 16 of
    rules, 44 of inverted milliseconds (0 <= `received_ms` < 2^44).
    """
    return (_TODAY[kind] if rules == RULES else _BASE[kind] + (rules << _RULES_SHIFT)) - received_ms

"""Which event a hit tells of, and which of several rows of one event stands.

Rule: both are made of the hit alone, so that a repeat, a replay and the copy that a server sends meet in one event.
"""

import uuid
from collections.abc import Sequence
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

_HEX: Final = b"0123456789abcdef"
_DIGITS_AT: Final = (*range(8), *range(9, 13), *range(14, 18), *range(19, 23), *range(24, 36))
_namespace_bytes: Final = NAMESPACE.bytes


def event_id(hit_id: str, site: str, event: str, client_event_id: str) -> str:
    """Return the event's UUID with dashes.

    Without `client_event_id`: the hit's own id (32 hex digits). With it: UUID version 5 (RFC 9562) of site, event and
    id, whoever sent it.
    """
    digits = hit_id
    if client_event_id:
        name = f"{site}{_SEPARATOR}{event}{_SEPARATOR}{client_event_id}"
        made = bytearray(
            sha1(_namespace_bytes + name.encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()[:16]
        )
        made[6] = made[6] & 0x0F | 0x50
        made[8] = made[8] & 0x3F | 0x80
        digits = made.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def event_ids(
    hit_ids: Sequence[str], sites: Sequence[str], events: Sequence[str], client_event_ids: Sequence[str]
) -> list[str]:
    """Return the `event_id` of each."""
    made = _dashed(hit_ids)
    if any(client_event_ids):
        for number, client_event_id in enumerate(client_event_ids):
            if client_event_id:
                made[number] = event_id(hit_ids[number], sites[number], events[number], client_event_id)
    return made


def are_hit_ids(texts: Sequence[str]) -> bool:
    """Tell whether every one of `texts` is 32 lower-case hex digits."""
    return {*map(len, texts)} <= {32} and not "".join(texts).encode("utf-8", "replace").translate(None, _HEX)


def _dashed(hit_ids: Sequence[str]) -> list[str]:
    """Return each as a UUID with dashes. One digit after another, of all ids at once: half the price of slices."""
    digits = "".join(hit_ids).encode()
    dashed = bytearray(b"-") * (36 * len(hit_ids))
    for number, place in enumerate(_DIGITS_AT):
        dashed[place::36] = digits[number::32]
    text = dashed.decode()
    return [text[start : start + 36] for start in range(0, len(text), 36)]


def versions(kinds: Sequence[Kind], received_ms: Sequence[int]) -> list[int]:
    """Return the `version` of each, under today's rules."""
    return [_TODAY[kind] - received for kind, received in zip(kinds, received_ms, strict=True)]


def version(kind: Kind, received_ms: int, rules: int = RULES) -> int:
    """Return a number of 63 bits that orders the rows of one event: the greatest stands.

    First the browser's copy over the server's, then the later rules, then the earliest receipt: 4 bits of rank, 16 of
    rules, 44 of inverted milliseconds (0 <= `received_ms` < 2^44).
    """
    return _BASE[kind] + (rules << _RULES_SHIFT) - received_ms

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

_DIGITS_AT: Final = (*range(8), *range(9, 13), *range(14, 18), *range(19, 23), *range(24, 36))
_of_namespace: Final = sha1(NAMESPACE.bytes, usedforsecurity=False)
_VERSION_5: Final = bytes(byte & 0x0F | 0x50 for byte in range(256))
_VARIANT: Final = bytes(byte & 0x3F | 0x80 for byte in range(256))


def event_id(hit_id: str, site: str, event: str, client_event_id: str) -> str:
    """Return the event's UUID with dashes.

    Without `client_event_id`: the hit's own id (32 hex digits). With it: UUID version 5 (RFC 9562) of site, event and
    id, whoever sent it.
    """
    return event_ids([hit_id], [site], [event], [client_event_id])[0]


def event_ids(
    hit_ids: Sequence[str], sites: Sequence[str], events: Sequence[str], client_event_ids: Sequence[str]
) -> list[str]:
    """Return the `event_id` of each."""
    made = _dashed("".join(hit_ids))
    if any(client_event_ids):
        named = [number for number, each in enumerate(client_event_ids) if each]
        names = [
            f"{sites[number]}{_SEPARATOR}{events[number]}{_SEPARATOR}{client_event_ids[number]}" for number in named
        ]
        for number, each in zip(named, _uuids_5(names), strict=True):
            made[number] = each
    return made


def _uuids_5(names: Sequence[str]) -> list[str]:
    """Return the UUID version 5 of each name, in NAMESPACE."""
    found = []
    for name in names:
        hashing = _of_namespace.copy()
        hashing.update(name.encode("utf-8", "surrogatepass"))
        found.append(hashing.digest()[:16])
    digests = bytearray(b"".join(found))
    digests[6::16] = digests[6::16].translate(_VERSION_5)
    digests[8::16] = digests[8::16].translate(_VARIANT)
    return _dashed(digests.hex())


def are_hit_ids(texts: Sequence[str]) -> bool:
    """Tell whether every one of `texts` is 32 lower-case hex digits."""
    if {*map(len, texts)} - {32}:
        return False
    digits = "".join(texts)
    try:
        return bytes.fromhex(digits).hex() == digits
    except ValueError:
        return False


def _dashed(digits: str) -> list[str]:
    """Return UUIDs with dashes, of 32 digits each. A digit of all at once, then the next: half the price of slices."""
    digit = digits.encode()
    count = len(digit) // 32
    dashed = bytearray(b"-") * (36 * count)
    for number, place in enumerate(_DIGITS_AT):
        dashed[place::36] = digit[number::32]
    text = dashed.decode()
    return [text[start : start + 36] for start in range(0, 36 * count, 36)]


def versions(kinds: Sequence[Kind], received_ms: Sequence[int]) -> list[int]:
    """Return the `version` of each, under today's rules."""
    return [_TODAY[kind] - received for kind, received in zip(kinds, received_ms, strict=True)]


def version(kind: Kind, received_ms: int, rules: int = RULES) -> int:
    """Return a number of 63 bits that orders the rows of one event: the greatest stands.

    First the browser's copy over the server's, then the later rules, then the earliest receipt: 4 bits of rank, 16 of
    rules, 44 of inverted milliseconds (0 <= `received_ms` < 2^44).
    """
    return _BASE[kind] + (rules << _RULES_SHIFT) - received_ms

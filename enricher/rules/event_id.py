"""The id of the event that a hit reports, and the version that decides between several rows of one event.

Both depend on the hit alone, so that a repeat, a replay and the copy that a server sends have the same event id.
"""

import re
import uuid
from datetime import UTC, datetime
from hashlib import sha1
from typing import Final

from collector.contract import Kind

NAMESPACE: Final = uuid.UUID("6f1c1d0e-7a55-5b0e-9d0c-6d3f1f0f7f4a")
"""Namespace of the ids that are made of a sender's own id. Never changes: it would change the ids of events."""

RULES: Final = 4
"""Version of the enrichment's rules: raised with every change of a result. It becomes `enriched_by`."""

_SEPARATOR: Final = "\x1f"
"""Occurs in no site key and no event name, so that no two triples make one text."""

_UUID_7: Final = re.compile(
    r"([0-9a-fA-F]{8})-([0-9a-fA-F]{4})-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
    r"|([0-9a-fA-F]{8})([0-9a-fA-F]{4})7[0-9a-fA-F]{3}[89abAB][0-9a-fA-F]{15}"
)
"""A UUID of version 7, with dashes or as 32 hex digits; the groups are its time, 32 bits and 16."""
_EARLIEST: Final = f"{int(datetime(2020, 1, 1, tzinfo=UTC).timestamp() * 1000):012x}"
_LATEST: Final = f"{int(datetime(2100, 1, 1, tzinfo=UTC).timestamp() * 1000):012x}"
"""A time outside of these is not plausible. Both are constants: the event id may not depend on the time of receipt."""

_RANK: Final[dict[Kind, int]] = {"server": 1, "pixel": 2, "open": 2, "tag": 2, "click": 2}
"""The browser's copy of an event wins over the server's: it has the page, the referrer and the visitor."""

_RANK_SHIFT: Final = 60
_RULES_SHIFT: Final = 44
_LAST_MS: Final = (1 << _RULES_SHIFT) - 1
"""Greatest receipt time that a version can hold: the year 2527."""

_BASE: Final[dict[Kind, int]] = {kind: rank << _RANK_SHIFT | _LAST_MS for kind, rank in _RANK.items()}
_TODAY: Final[dict[Kind, int]] = {kind: base + (RULES << _RULES_SHIFT) for kind, base in _BASE.items()}

_hashing: Final = sha1(NAMESPACE.bytes, usedforsecurity=False).copy
_to_bytes: Final = bytes.fromhex
_VARIANT: Final = {digit: f"{int(digit, 16) & 3 | 8:x}" for digit in "0123456789abcdef"}
"""The variant digit of a UUID, by the digest's digit at its place."""


def event_id(hit_id: str, site: str, event: str, client_event_id: str) -> str:
    """Return the event's UUID with dashes. Its version says whether it begins with a time: 7 does, 5 does not.

    - Without `client_event_id`: the hit's own id, a UUID of version 7 (32 hex digits).
    - With a `client_event_id` that is itself a UUID of version 7 (with or without dashes, in either case) and whose
      time is between 2020 and 2100: version 7, the first 48 bits are the time of that id (milliseconds since the
      epoch), and the other 74 bits are from the SHA-1 of site, event and id.
    - With any other `client_event_id`, such as an order number: version 5 (RFC 9562) of site, event and id.

    The two last forms depend on site, event and id only, so that all copies of an event have one id.
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
    tail = f"{_VARIANT[digits[16]]}{digits[17:20]}-{digits[20:32]}"
    size = len(client_event_id)
    if size == 36 or size == 32:
        found = _UUID_7.fullmatch(client_event_id)
        if found:
            high, low = (found[1] or found[3]).lower(), (found[2] or found[4]).lower()
            if _EARLIEST <= high + low < _LATEST:
                return f"{high}-{low}-7{digits[13:16]}-{tail}"
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{tail}"


def is_hit_id(text: str) -> bool:
    """Return whether `text` is 32 lower-case hex digits."""
    try:
        return len(text) == 32 and _to_bytes(text).hex() == text
    except ValueError:
        return False


def version(kind: Kind, received_ms: int, rules: int = RULES) -> int:
    """Return a number of 63 bits that orders the rows of one event: the greatest wins.

    First the browser's copy over the server's, then the later rules, then the earliest receipt: 4 bits of rank, 16 of
    rules, 44 of inverted milliseconds (0 <= `received_ms` < 2^44).
    """
    return (_TODAY[kind] if rules == RULES else _BASE[kind] + (rules << _RULES_SHIFT)) - received_ms

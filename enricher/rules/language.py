"""Which language the visitor prefers: the primary tag of `Accept-Language`, by its weight."""

import re
from typing import Final

_RANGE: Final = re.compile(r"\s*([A-Za-z]{2,3})(?:-[A-Za-z0-9-]{1,32})?\s*(?:;\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*)?")
_MOST: Final = 20
"""Ranges that are read; no browser sends as many."""


def primary(accept_language: str) -> str:
    """Return the preferred primary language subtag, in lower case; empty if the header names none.

    Of equal weights the first wins (RFC 9110, 12.5.4). A range with weight 0 is never taken.
    """
    best, best_weight = "", 0.0
    for part in accept_language.split(",", _MOST)[:_MOST]:
        found = _RANGE.fullmatch(part)
        if not found:
            continue
        weight = float(found[2]) if found[2] else 1.0
        if weight > best_weight:
            best, best_weight = found[1].lower(), weight
            if weight >= 1.0:
                break
    return best

"""The last refusals of a worker, for the developer who asks why nothing arrives: docs/privacy.md says what is in them.

Equal refusals are one entry with a count, so that a page that repeats its mistake does not hide the others. What a
visitor refused (`opted_out`, `no_consent`) is never here, and neither is a hit whose only fault is our disk (`spool`).
"""

import re
from typing import Final, NamedTuple

from collector.policy.refusal import Refusal

MOST: Final = 100
"""Entries of one worker; the one that was repeated longest ago goes first."""
ROUTES: Final = ("", "pixel", "tag", "server", "link")
"""By the number of a route, as in `outcome`."""
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_ORIGIN: Final = re.compile(r"https?://(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:]{2,39}\])(?::[0-9]{1,5})?(?=[/?#]|\Z)")
_LONGEST_ORIGIN: Final = 300


class RefusedHit(NamedTuple):
    """Refused hits that are alike, and when; no part of them tells who sent them."""

    route: str
    """One of ROUTES."""
    reason: str
    """A value of Refusal."""
    name: str
    """The site's key, or the link's code, as sent; `(none)` if missing, `(unreadable)` if it has another form."""
    origin: str
    """Scheme, host and port of the page; empty if not sent."""
    hits: int
    first_ms: int
    """Epoch milliseconds, as `last_ms`."""
    last_ms: int


class RefusedHits:
    """Refusals that are alike, with their number; bounded."""

    def __init__(self) -> None:
        self._held: dict[tuple[int, str, str, str], list[int]] = {}
        """(route, reason, name, origin) to [hits, first, last], in the order of the last."""

    def note(self, now_ms: int, route: int, refusal: Refusal, name: str, page: str) -> None:
        """Note one refused hit. `name`: the site's key or the link's code as sent; `page`: its origin or address."""
        key = (route, refusal.value, _name(name), origin_of(page))
        seen = self._held.pop(key, None)
        if seen is None:
            seen = [0, now_ms, now_ms]
            if len(self._held) >= MOST:
                del self._held[next(iter(self._held))]
        seen[0] += 1
        seen[2] = now_ms
        self._held[key] = seen

    def all(self) -> list[RefusedHit]:
        """Return what is held, oldest first."""
        return [
            RefusedHit(ROUTES[route], reason, name, origin, seen[0], seen[1], seen[2])
            for (route, reason, name, origin), seen in self._held.items()
        ]


def _name(text: str) -> str:
    if not text:
        return "(none)"
    return text if len(text) <= 64 and _NAME.fullmatch(text) else "(unreadable)"


def origin_of(page: str) -> str:
    """Return scheme, host and port of an address, without user and path; empty if it has no such form."""
    found = _ORIGIN.match(page[:_LONGEST_ORIGIN])
    return found[0].lower() if found else ""

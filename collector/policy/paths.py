"""The operator's own names for the public paths: `PHAROS_COLLECTOR_PATHS`."""

import re
from collections.abc import Mapping
from typing import Final

RENAMED: Final = ("t.js", "x.js", "e", "p.gif", "o.gif", "c", "linker")
"""What may have a second name: the tag, its opt-ins, its events, the pixels, the links, the linker."""
_TAKEN: Final = frozenset((*RENAMED, "v1", "opt-out", "opt-in", "robots.txt", "doctor"))
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
_MOST_CHARS: Final = 64


class BadPaths(ValueError):
    """Why own names are not taken: one line."""


def parse(text: str) -> Mapping[str, str]:
    """Read `t.js=shop.js, e=save`; returns the own name by the standard one. Empty text gives no names.

    Raises:
        BadPaths: a part is not STANDARD=OWN, a standard name is unknown or repeated, or an own name is unusable, taken
            or repeated.
    """
    found: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        standard, sign, own = (side.strip().removeprefix("/") for side in part.partition("="))
        if not sign:
            raise BadPaths(f"{part!r} is not STANDARD=OWN, such as t.js=shop.js")
        if standard not in RENAMED:
            raise BadPaths(f"{standard!r} cannot be renamed; these can: {', '.join(RENAMED)}")
        if standard in found:
            raise BadPaths(f"{standard!r} is renamed twice")
        if len(own) > _MOST_CHARS or not _NAME.fullmatch(own):
            raise BadPaths(f"{own!r} is not a name of 1-64 letters, digits, '-', '_' and single dots")
        if own in _TAKEN or own in found.values():
            raise BadPaths(f"{own!r} is taken")
        found[standard] = own
    return found


def standard_by_own(own: Mapping[str, str]) -> dict[bytes, bytes]:
    """Return the standard name by the own one, both as in a request's target."""
    return {name.encode(): standard.encode() for standard, name in own.items()}

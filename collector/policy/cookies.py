"""Our own cookies in a `Cookie` header: `_pid` the visitor's id, `_pcs` the consent, `_pno` the opt-out.

Other cookies, such as the site's session, are never looked at.
"""

import re
from typing import Final

OPTED_OUT: Final = 1
"""`_pno` is 1."""
HAS_ID: Final = 2
"""`_pid` is an id of ours."""
SENT_ID: Final = 4
"""`_pid` has a value, of any form."""
REFUSED: Final = 8
"""`_pcs` is 0."""
GIVEN: Final = 16
"""`_pcs` is 1."""
SENT_CONSENT: Final = 32
"""`_pcs` has a value, of any form."""
STATES: Final = 64
"""Every sum of the bits above is less than this."""


class Cookies:
    """What our cookies say."""

    __slots__ = ("state", "visitor")

    def __init__(self, visitor: bytes, state: int) -> None:
        self.visitor: Final = visitor
        """32 lower-case hex digits; empty without HAS_ID."""
        self.state: Final = state
        """The sum of the bits that apply."""


NONE: Final = Cookies(b"", 0)

_ID_VALUE: Final = re.compile(r"[0-9a-f]{32}(?![^; \t])")
_VALUE: Final = re.compile(r"[^; \t]*")


def read(header: str) -> Cookies:
    """Read a `Cookie` header as received. Any text gives an answer; of several cookies of one name the first counts."""
    if "_p" not in header:
        return NONE
    state = OPTED_OUT if _value(header, "_pno=") == "1" else 0
    visitor = ""
    start = _start(header, "_pid=")
    if start >= 0:
        found = _ID_VALUE.match(header, start)
        if found is not None:
            visitor = found.group()
            state |= HAS_ID | SENT_ID
        elif _value(header, "_pid="):
            state |= SENT_ID
    consent = _value(header, "_pcs=")
    if consent:
        state |= SENT_CONSENT | (GIVEN if consent == "1" else REFUSED if consent == "0" else 0)
    return Cookies(visitor.encode("ascii"), state)


def _value(header: str, name: str) -> str:
    start = _start(header, name)
    found = _VALUE.match(header, start) if start >= 0 else None
    return found.group() if found else ""


def _start(header: str, name: str) -> int:
    """Return where the value of the first cookie `name` (which ends in "=") begins, or -1."""
    at = header.find(name)
    while at > 0 and header[at - 1] not in "; \t":
        at = header.find(name, at + 1)
    return at if at < 0 else at + len(name)

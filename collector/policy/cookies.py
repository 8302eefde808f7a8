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
TWO_IDS: Final = 64
"""More than one `_pid` was sent: one of the host only next to one of its domain, or a stranger's."""
STATES: Final = 128
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

_OURS: Final = re.compile(r"(?:^|[; \t])(_pid|_pcs|_pno)=([^; \t]*)")
_ID: Final = re.compile(r"[0-9a-f]{32}")


def read(header: str) -> Cookies:
    """Read a `Cookie` header as received. Any text gives an answer.

    A browser sends several cookies of one name: of the host and of its domain, in an order that says nothing. Of
    several `_pno` a 1 wins, of several `_pcs` a 0, of several `_pid` the first that has the form of ours.
    """
    if "_p" not in header:
        return NONE
    state = 0
    visitor = ""
    for name, value in _OURS.findall(header):
        if name == "_pid":
            if state & SENT_ID:
                state |= TWO_IDS
            if value:
                state |= SENT_ID
            if not visitor and _ID.fullmatch(value):
                visitor = value
                state |= HAS_ID
        elif name == "_pno":
            if value == "1":
                state |= OPTED_OUT
        elif value:
            state |= SENT_CONSENT | (GIVEN if value == "1" else REFUSED if value == "0" else 0)
    if state & REFUSED:
        state &= ~GIVEN
    return Cookies(visitor.encode("ascii"), state)

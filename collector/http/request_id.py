"""A request's id ties an answer that went wrong to its log line: the edge's own, where it is believed, else made here.

Rule: only a trusted proxy's word is taken, and only in the form of an id: what a browser sends by itself never reaches
the log.
"""

import re
import secrets
from typing import Final

HEADER: Final = "X-Request-Id"
"""Of our answers; what the edge calls it on the way in stands in client_ip.PRESETS."""

_FORM: Final = re.compile(r"[A-Za-z0-9._+/=-]{1,128}")


def fresh() -> str:
    """Return a new id: 64 random bits as hex digits."""
    return secrets.token_hex(8)


def chosen(sent: str, *, believed: bool) -> str:
    """Return the id that was sent, if its sender is believed and its form is that of an id; else a new one."""
    return sent if believed and _FORM.fullmatch(sent) else fresh()

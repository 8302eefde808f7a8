"""A request's id connects a failed answer with its log line: a trusted proxy's id, or a new one.

Only an id of the expected form from a trusted proxy is used: what a browser sends never reaches the log.
"""

import re
import secrets
from typing import Final

HEADER: Final = "X-Request-Id"
"""The header of our answers; `client_address.PRESETS` names the header that each edge sends."""

_FORM: Final = re.compile(r"[A-Za-z0-9._+/=-]{1,128}")


def fresh() -> str:
    """Return a new id: 64 random bits as hex digits."""
    return secrets.token_hex(8)


def chosen(sent: str, *, believed: bool) -> str:
    """Return the id that was sent, if its sender is believed and its form is that of an id; else a new one."""
    return sent if believed and _FORM.fullmatch(sent) else fresh()

"""Rewrites a request's target to its plain form, before either path reads it.

Bytes that are not ASCII, as a mailer's unfilled placeholder or an old library sends them, become their percent-escapes.
Slashes that were doubled or added at the end of the path, as by a setting of a proxy or a snippet, are removed.
"""

import re
from typing import Final

_TARGET: Final = re.compile(rb"([A-Z]+ )([^ \r\n]+)(?= HTTP/1\.[01]\r\n)")
_ODD: Final = re.compile(rb"[\x80-\xff]|/(?=[/? ]|\Z)")
_NOT_ASCII: Final = re.compile(rb"[\x80-\xff]")
_SLASHES: Final = re.compile(rb"//+")


def plain(head: bytes) -> bytes:
    """Return a head with its target in plain form; the same head where it is so already. `plain(plain(x)) == plain(x)`.

    The query is never unescaped or cut. A target in absolute form keeps its slashes.
    """
    found = _TARGET.match(head)
    if found is None:
        return head
    target = found[2]
    if _ODD.search(target) is None:
        return head
    path, mark, query = target.partition(b"?")
    if path.startswith(b"/"):
        path = _SLASHES.sub(b"/", path).rstrip(b"/") or b"/"
    made = _NOT_ASCII.sub(_escape, path + mark + query)
    return head if made == target else b"".join((found[1], made, head[found.end() :]))


def _escape(found: re.Match[bytes]) -> bytes:
    return b"%%%02X" % found[0][0]

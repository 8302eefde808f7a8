"""Rewrites a request's target to its plain form, before either path reads it.

Bytes that are not ASCII, as a mailer's unfilled placeholder or an old library sends them, become their percent-escapes.
Slashes that were doubled or added at the end of the path, as by a setting of a proxy or a snippet, are removed. The
operator's own name for a path becomes the standard one.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_TARGET: Final = re.compile(rb"([A-Z]+ )([^ \r\n]+)(?= HTTP/1\.[01]\r\n)")
_ODD: Final = re.compile(rb"[\x80-\xff]|/(?=[/? ]|\Z)")
_NOT_ASCII: Final = re.compile(rb"[\x80-\xff]")
_SLASHES: Final = re.compile(rb"//+")
_NO_NAMES: Final[Mapping[bytes, bytes]] = MappingProxyType({})


def plain(head: bytes, standard_by_own: Mapping[bytes, bytes] = _NO_NAMES) -> bytes:
    """Return a head with its target in plain form; the same head where it is so already. `plain(plain(x)) == plain(x)`.

    `standard_by_own` has the first segments of paths that are replaced, none of which is a standard one. The query is
    never unescaped or cut. A target in absolute form keeps its slashes and names.
    """
    found = _TARGET.match(head)
    if found is None:
        return head
    target = found[2]
    if not standard_by_own and _ODD.search(target) is None:
        return head
    path, mark, query = target.partition(b"?")
    if path.startswith(b"/"):
        path = _SLASHES.sub(b"/", path).rstrip(b"/") or b"/"
        first, slash, rest = path[1:].partition(b"/")
        path = b"".join((b"/", standard_by_own.get(first, first), slash, rest))
    made = _NOT_ASCII.sub(_escape, path + mark + query)
    return head if made == target else b"".join((found[1], made, head[found.end() :]))


def _escape(found: re.Match[bytes]) -> bytes:
    return b"%%%02X" % found[0][0]

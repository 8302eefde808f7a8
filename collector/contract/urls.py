"""Which text can be stored as a page's or referrer's address: the question that both ends must answer alike.

The collector asks it to tell the sender at once that a field is dropped; the enricher takes the address apart
(enricher/rules/url.py). A test compares the two on generated texts.
"""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

_USUAL: Final = re.compile(r"https?://[A-Za-z0-9.-]{0,200}[A-Za-z0-9-](?::[0-9]{1,4})?(?:[/?#][ -~]*)?")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,40}):")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")
_BAD_HOST: Final = re.compile(r"""[\x00-\x20\x7f"#%/<>?@\\^`{|}\[\]]""")
_IPV6: Final = re.compile(r"\[[0-9A-Fa-f:.]{2,45}\]")
_AUTHORITY: Final = re.compile(r"[^/?#\\]*")
_OPAQUE: Final = frozenset({"about", "data", "blob", "javascript", "mailto", "tel", "intent", "cid", "file"})
"""Schemes without a host: the enricher keeps the scheme alone."""
_VIEW_SOURCE: Final = "view-source:"
_MAX_HOST: Final = 253
_MAX_PORT: Final = 65_535
_LONGEST_PORT: Final = 100
"""Digits; leading zeros are allowed."""


def is_url(text: str) -> bool:
    """Tell whether this is an address with a scheme, or begins with a slash, and its host and port are possible."""
    if _USUAL.fullmatch(text):
        return True
    text = text.strip() if text.isprintable() else _CONTROL.sub("", text).strip()
    at = 0
    while text[at : at + len(_VIEW_SOURCE)].lower() == _VIEW_SOURCE:
        at += len(_VIEW_SOURCE)
    scheme, rest = "", text[at:]
    if rest.startswith("//"):
        scheme = "https"
    elif found := _SCHEME.match(rest):
        scheme, rest = found[1].lower(), rest[found.end() :]
        if scheme in _OPAQUE:
            return True
    elif not rest.startswith("/"):
        return False
    if not rest.startswith("//"):
        return scheme not in ("http", "https")
    authority = _AUTHORITY.match(rest, 2)
    return authority is not None and _has_host(authority[0])


def unescaped(text: str) -> str:
    """Undo percent-encoding once, as the enricher does: bytes that are not UTF-8 are read as Windows-1252."""
    if "%" not in text:
        return text
    raw = unquote_to_bytes(text)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")


def _has_host(authority: str) -> bool:
    authority = authority.rpartition("@")[2]
    if authority.startswith("["):
        found = _IPV6.match(authority)
        if found is None:
            return False
        rest = authority[found.end() :]
        if rest and not rest.startswith(":"):
            return False
        port = rest[1:]
    else:
        host, _, port = authority.partition(":")
        host = host.lower().rstrip(".")
        if not host:
            return False
        if "%" in host:
            host = unescaped(host).lower()
        if len(host) > _MAX_HOST or _BAD_HOST.search(host):
            return False
    return not port or (port.isascii() and port.isdigit() and len(port) <= _LONGEST_PORT and int(port) <= _MAX_PORT)

"""Takes a URL apart and masks personal data in it. Only URLs that passed `clean` are stored.

Broken percent-encodings stay as they are; a URL without a valid host is refused (`BadUrl`).
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

import idna

from enricher.rules.redaction import MASK, mask_email, mask_parameters

MAX_PORT: Final = 65_535
_LONGEST_PORT: Final = 100
"""Digits of a port that are read: Python refuses to read thousands of them as a number."""
_USUAL_AUTHORITY: Final = 260
"""Longest authority, in characters, whose host and port are cached."""

Pairs = tuple[tuple[str, str], ...]
"""Parameters in their order, names and values decoded."""


class BadUrl(ValueError):
    """The text is not a usable URL; the message says why and does not quote it."""


class Url(NamedTuple):
    """A URL taken apart. `text` and `path` are masked; `params` are not, since they may name a campaign."""

    text: str
    """The URL as it is stored. Example: "https://shop.example/p/1?email=***"."""
    scheme: str
    """Lower case. Example: "https"."""
    host: str
    """Lower case, without port and trailing dot. Example: "shop.example"."""
    path: str
    """At least "/" where there is a host. Example: "/p/1"."""
    params: Pairs
    """Of the query, then of the fragment. Example: (("utm_source", "youtube"),)."""


_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,40}):")
_BAD_HOST: Final = re.compile(r"""[\x00-\x20\x7f"#%/<>?@\\^`{|}\[\]]""")
_IPV6: Final = re.compile(r"\[[0-9A-Fa-f:.]{2,45}\]")
_SESSION_IN_PATH: Final = re.compile(r";(jsessionid|phpsessid|sid|sessionid)=[^/;?#]*", re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")
_OPAQUE: Final = frozenset({"about", "data", "blob", "javascript", "mailto", "tel", "intent", "cid", "file"})
"""Schemes that lead to no web page: only the scheme is kept. A path of `file:` has the name of the user."""
_VIEW_SOURCE: Final = "view-source:"
_V: Final = frozenset("vV")


_IN_EVERY_ADDRESS: Final = (("%3A", ":"), ("%2F", "/"), ("%3F", "?"), ("%3D", "="), ("%26", "&"), ("%20", " "))
"""The usual escapes of an address in a query. To decode them first is safe (none of the characters can be part of
another escape), and takes a third of the time if there are no others."""


_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")


def _byte(escape: re.Match[bytes]) -> bytes:
    return bytes.fromhex(escape[1].decode())


def decode(text: str) -> str:
    """Undo percent-encoding, once. Bytes that are not UTF-8 are read as Windows-1252; broken escapes stay."""
    if "%" not in text:
        return text
    for escape, character in _IN_EVERY_ADDRESS:
        text = text.replace(escape, character)
    if "%" not in text:
        return text
    # The standard library takes several times as long for a run of percent signs.
    raw = _ESCAPE.sub(_byte, text.encode()) if "%%" in text else unquote_to_bytes(text)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")


def decode_form(text: str) -> str:
    """Undo percent-encoding, and `+` for a space, as forms do."""
    if "+" in text:
        text = text.replace("+", " ")
    return decode(text) if "%" in text else text


def without_amp(name: str) -> str:
    """Return a parameter's name without a leading "amp;": a mail editor escaped the `&` before it once too often."""
    while name[:4] == "amp;":
        name = name[4:]
    return name


def pairs(query: str) -> Pairs:
    """Take a query string apart at `&` (or at `;` if there is no `&`). Parameters without a name are left out."""
    if not query:
        return ()
    if ";" in query and "&" not in query:
        query = query.replace(";", "&")
    found = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name:
            if name[:4] == "amp;":
                name = without_amp(name)
            found.append((decode_form(name), decode_form(value)))
    return tuple(found)


def _mask_query(query: str) -> str:
    """Return the query with personal values masked and everything else unchanged."""
    return mask_email(mask_parameters(query))


def _mask_path(path: str) -> str:
    if ";" in path:
        path = _SESSION_IN_PATH.sub(lambda found: f";{found[1]}={MASK}", path)
    if "%" in path:
        begin = path.find("%3")
        if begin >= 0:  # an encoded address in the path may have a query
            path = path[:begin] + mask_parameters(path[begin:])
    return mask_email(path)


def _ascii(host: str) -> str:
    """Return a host in its ASCII form ("xn--mnchen-3ya.example"), which browsers send; unchanged if it has none."""
    if len(host) > 253:
        return host
    try:
        return idna.encode(host, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        return host


def _host_and_port(authority: str) -> tuple[str, str]:
    """Return host and port (empty if not given), without user name and password.

    Raises:
        BadUrl: no host, an invalid character in the host, or an invalid port.
    """
    authority = authority.rpartition("@")[2]
    if authority.startswith("["):
        found = _IPV6.match(authority)
        if not found:
            raise BadUrl("broken IPv6 host")
        host, rest = found[0].lower(), authority[found.end() :]
        if rest and not rest.startswith(":"):
            raise BadUrl("broken IPv6 host")
        port = rest[1:]
    else:
        host, _, port = authority.partition(":")
        host = host.lower().rstrip(".")
        if not host:
            raise BadUrl("no host")
        if "%" in host:
            host = decode(host).lower()
        if not host.isascii():
            host = _ascii(host)
        if len(host) > 253:
            raise BadUrl("host longer than 253 characters")
        if _BAD_HOST.search(host):
            raise BadUrl("a character that no host has")
    if not port:
        return host, ""
    if not (port.isascii() and port.isdigit()):
        raise BadUrl("port is not a number")
    if len(port) > _LONGEST_PORT or int(port) > MAX_PORT:
        raise BadUrl("port out of range")
    return host, port


_known_host_and_port: Final = lru_cache(maxsize=1 << 12)(_host_and_port)


def clean(text: str) -> Url:
    """Take a URL apart and mask the personal data in it.

    A protocol-relative URL is read as https; a bare path has no host. Credentials are dropped, default ports too.

    Raises:
        BadUrl: no scheme, no host, or an invalid host or port.
    """
    text = text.strip() if text.isprintable() else _CONTROL.sub("", text).strip()
    while text[:1] in _V and text[:12].lower() == _VIEW_SOURCE:
        text = text[12:]
    scheme, rest = "", text
    if text.startswith("//"):
        scheme, rest = "https", text
    elif text.startswith("https://"):
        scheme, rest = "https", text[6:]
    elif found := _SCHEME.match(text):
        scheme, rest = found[1].lower(), text[found.end() :]
        if scheme in _OPAQUE:
            return Url(f"{scheme}:", scheme, "", "", ())
    elif not text.startswith("/"):
        raise BadUrl("neither a scheme nor a path")

    authority = host = port = ""
    if rest.startswith("//"):
        rest = rest[2:]
        end = len(rest)
        for mark in "/?#\\":
            at = rest.find(mark, 0, end)
            if at >= 0:
                end = at
        authority, rest = rest[:end], rest[end:]
        read = _known_host_and_port if len(authority) <= _USUAL_AUTHORITY else _host_and_port
        host, port = read(authority)
        if port and (scheme, port) in {("https", "443"), ("http", "80")}:
            port = ""
    elif scheme in {"http", "https"}:
        raise BadUrl("no host")

    rest, hash_mark, fragment = rest.partition("#")
    path, question, query = rest.partition("?")
    path = _mask_path(path)
    if not path:
        path = "/"
    params = pairs(query)
    stored_query = f"?{_mask_query(query)}" if query else question
    stored_fragment = ""
    if hash_mark and fragment:
        _, inner_question, inner = fragment.partition("?")
        if inner_question:
            params += pairs(inner)
        elif "=" in fragment:
            params += pairs(fragment)
        stored_fragment = f"#{_mask_query(fragment)}"
    site = f"{scheme}://{host}:{port}" if port else f"{scheme}://{host}" if authority or host or scheme else ""
    return tuple.__new__(Url, (f"{site}{path}{stored_query}{stored_fragment}", scheme, host, path, params))

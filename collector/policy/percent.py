"""Percent-encoding as `urllib.parse` does it, for the usual texts without its cost.

Bytes that are not UTF-8 are read as Windows-1252, as the enricher does.
"""

import re
from typing import Final
from urllib.parse import quote

_SAFE: Final = re.compile(r"[A-Za-z0-9_.~-]*")
_BYTES: Final = {
    (first + second).encode(): bytes([int(first + second, 16)])
    for first in "0123456789abcdefABCDEF"
    for second in "0123456789abcdefABCDEF"
}
_OF_URLS: Final = (("%3A", ":"), ("%2F", "/"), ("%3F", "?"), ("%3D", "="), ("%26", "&"))
"""Escapes of an address in a parameter, mostly the only ones. No character of these makes another escape."""


def decoded(text: str) -> str:
    """Return the value of a form's field: `+` is a space, and percent-escapes are undone."""
    if "+" in text:
        text = text.replace("+", " ")
    if "%" not in text:
        return text
    if text.isascii():
        for escape, character in _OF_URLS:
            text = text.replace(escape, character)
        if "%" not in text:
            return text
    parts = text.encode("utf-8", "replace").split(b"%")
    made = [parts[0]]
    for part in parts[1:]:
        byte = _BYTES.get(part[:2])
        if byte is None:
            made.append(b"%" + part)
        else:
            made.append(byte)
            made.append(part[2:])
    raw = b"".join(made)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")


def encoded(text: str) -> str:
    """Return what `urllib.parse.quote` returns where no character is safe but letters, digits and `_.-~`."""
    if text.isalnum() and text.isascii():
        return text  # as most ids
    return text if _SAFE.fullmatch(text) is not None else quote(text, safe="")


def name_of(name: str) -> str:
    """Return a parameter's name as it was meant: unescaped, and without a leading "amp;".

    Mail editors escape the `&` between two parameters once too often.
    """
    if "%" in name or "+" in name:
        name = decoded(name)
    while name.startswith("amp;"):
        name = name[4:]
    return name

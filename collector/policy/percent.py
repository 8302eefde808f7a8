"""Percent-encoding as `urllib.parse` does it, for the usual texts without its cost."""

import re
from typing import Final
from urllib.parse import quote, unquote

_SAFE: Final = re.compile(r"[A-Za-z0-9_.~-]*")
_BYTES: Final = {
    (first + second).encode(): bytes([int(first + second, 16)])
    for first in "0123456789abcdefABCDEF"
    for second in "0123456789abcdefABCDEF"
}


def decoded(text: str) -> str:
    """Return what `urllib.parse.unquote_plus` returns: the value of a form's field."""
    if "+" in text:
        text = text.replace("+", " ")
    if "%" not in text:
        return text
    if not text.isascii():
        return unquote(text)
    parts = text.encode("ascii").split(b"%")
    made = [parts[0]]
    for part in parts[1:]:
        byte = _BYTES.get(part[:2])
        if byte is None:
            made.append(b"%" + part)
        else:
            made.append(byte)
            made.append(part[2:])
    return b"".join(made).decode("utf-8", "replace")


def encoded(text: str) -> str:
    """Return what `urllib.parse.quote` returns where no character is safe but letters, digits and `_.-~`."""
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

"""User data as platforms want it: normalised, then SHA-256 in hex. What is hashed already stays as it is. Pure.

Sources, read on 2026-11-29: Meta's "Customer Information Parameters", Google's "Format user data" (Data Manager API).
"""

import re
from hashlib import sha256
from typing import Final

_HASHED: Final = re.compile(r"[0-9a-fA-F]{64}")
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_GMAIL: Final = ("gmail.com", "googlemail.com")


def hashed(text: str) -> str:
    """Return the SHA-256 of a text in hex."""
    return sha256(text.encode()).hexdigest()


def email(text: str, *, gmail: bool = False) -> str:
    """Return the hash of an address, in lower case without spaces around; empty if it is no address.

    With `gmail`, as Google wants it: a Gmail address loses its dots, and a plus sign with all after it.
    """
    text = text.strip()
    if _HASHED.fullmatch(text):
        return text.lower()
    text = text.lower()
    if not _EMAIL.fullmatch(text):
        return ""
    name, _, domain = text.rpartition("@")
    if gmail and domain in _GMAIL:
        name = name.partition("+")[0].replace(".", "")
    return hashed(f"{name}@{domain}")


def phone(text: str, *, plus: bool) -> str:
    """Return the hash of a number with its country code: digits, with a plus sign before them if `plus`.

    Empty if there is no country code: neither a plus sign nor two zeros at the begin.
    """
    text = text.strip()
    if _HASHED.fullmatch(text):
        return text.lower()
    digits = re.sub(r"\D", "", text)
    if digits.startswith("00") and not text.startswith("+"):
        digits = digits[2:]
    elif not text.startswith("+"):
        return ""
    digits = digits.lstrip("0")
    if not 7 <= len(digits) <= 15:
        return ""
    return hashed(f"+{digits}" if plus else digits)


def external_id(text: str) -> str:
    """Return the hash of a site's own id of a user."""
    text = text.strip()
    if not text:
        return ""
    return text.lower() if _HASHED.fullmatch(text) else hashed(text)

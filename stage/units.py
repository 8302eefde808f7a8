"""Quantities with a unit, such as 10GB or 5s, for settings whose names end with theirs."""

import re
from fractions import Fraction
from typing import Final

_BYTES: Final = {
    "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
}  # fmt: skip
_MILLISECONDS: Final = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_FIELDS: Final = (
    (re.compile(r"_bytes\Z"), _BYTES, 1, "or with a unit, such as 512MiB or 10GB"),
    (re.compile(r"_ms\Z"), _MILLISECONDS, _MILLISECONDS["ms"], "or with a unit, such as 500ms or 5s"),
    (re.compile(r"(?<!_per)_s\Z"), _MILLISECONDS, _MILLISECONDS["s"], "or with a unit, such as 500ms, 5s or 10min"),
    (re.compile(r"_h\Z"), _MILLISECONDS, _MILLISECONDS["h"], "or with a unit, such as 12h or 3d"),
    (re.compile(r"_days\Z"), _MILLISECONDS, _MILLISECONDS["d"], "or with a unit, such as 90d"),
)
_QUANTITY: Final = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,20})?) ?([A-Za-z]{1,3})")


def in_unit_of(field: str, text: str) -> str:
    """Return a quantity as a number in the unit that ends the field's name.

    Returns `text` unchanged if it has no unit, or not one that fits the field.
    """
    quantity = _QUANTITY.fullmatch(text.strip())
    if quantity is None:
        return text
    for name, units, own, _ in _FIELDS:
        if name.search(field) and (factor := units.get(quantity[2].lower())) is not None:
            amount = Fraction(quantity[1]) * factor / own
            return str(amount.numerator) if amount.denominator == 1 else repr(float(amount))
    return text


def hint(field: str) -> str:
    """Return which units the field takes, to follow a description of its values; "" if it takes none."""
    return next((f", {words}" for name, _, _, words in _FIELDS if name.search(field)), "")

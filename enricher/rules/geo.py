"""Where a hit came from: by the CDN's headers, else by a record of the operator's MMDB file (`enricher/mmdb.py`)."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

_COUNTRY: Final = re.compile(r"[A-Za-z]{2}")
_NO_COUNTRY: Final = frozenset({"XX", "ZZ", "T1", "A1", "A2", "O1"})
"""Codes of CDNs for "unknown", Tor, anonymous proxy, satellite and other, which are not countries."""


class Place(NamedTuple):
    """Empty means "not known"."""

    country: str
    """ISO 3166-1 alpha-2. Example: "AT"."""
    region: str
    """The part of the ISO 3166-2 code after the dash. Example: "9"."""
    city: str
    """Example: "Wien"."""


NOWHERE: Final = Place("", "", "")


def from_headers(country: str, region: str, city: str) -> Place:
    """Read the CDN's headers; NOWHERE if they name no country."""
    if not _COUNTRY.fullmatch(country.strip()):
        return NOWHERE
    code = country.strip().upper()
    if code in _NO_COUNTRY:
        return NOWHERE
    region = region.strip()
    if region[:3].upper() == f"{code}-":
        region = region[3:]
    return Place(code, region[:64], city.strip()[:128])


class Locations(Protocol):
    """A source of places by address; `enricher.mmdb.MmdbFile` does."""

    def find(self, ip: str) -> Place:
        """Return the place of `ip`, or NOWHERE."""
        ...


def from_record(record: Mapping[str, object]) -> Place:
    """Read a record of an MMDB file; NOWHERE if it names no country."""
    country = _text(record, "country", "iso_code") or _text(record, "registered_country", "iso_code")
    return from_headers(country, _first(record, "subdivisions"), _name(record, "city"))


def _text(record: Mapping[str, object], *keys: str) -> str:
    found: object = record
    for key in keys:
        if not isinstance(found, Mapping):
            return ""
        found = found.get(key)
    return found if isinstance(found, str) else ""


def _name(record: Mapping[str, object], key: str) -> str:
    return _text(record, key, "names", "en") or _text(record, key)


def _first(record: Mapping[str, object], key: str) -> str:
    found = record.get(key)
    if isinstance(found, list) and found and isinstance(found[0], dict):
        return _text(found[0], "iso_code")
    return ""

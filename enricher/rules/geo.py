"""Where a hit came from: the CDN's headers, else the operator's own MMDB file.

Rule: no file, no guess. The file is opened anew when it changes, and a broken one never replaces a good one.
"""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Final, NamedTuple

import maxminddb

_COUNTRY: Final = re.compile(r"[A-Za-z]{2}")
_NO_COUNTRY: Final = frozenset({"XX", "ZZ", "T1", "A1", "A2", "O1"})
"""What CDNs send for "unknown", Tor, anonymous proxy, satellite, other: no countries."""


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
    """Read what the CDN said; NOWHERE where it named no country."""
    if not _COUNTRY.fullmatch(country.strip()):
        return NOWHERE
    code = country.strip().upper()
    if code in _NO_COUNTRY:
        return NOWHERE
    region = region.strip()
    if region[:3].upper() == f"{code}-":
        region = region[3:]
    return Place(code, region[:64], city.strip()[:128])


class Locations:
    """An MMDB file's answers."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            OSError: it cannot be read.
            maxminddb.InvalidDatabaseError: it is no MMDB file.
        """
        self._path = path
        self._stamp = self._look()
        self._reader = maxminddb.open_database(path)

    def _look(self) -> tuple[int, int, int]:
        stat = self._path.stat()
        return stat.st_ino, stat.st_mtime_ns, stat.st_size

    def reload(self) -> bool:
        """Open the file anew if it has changed; True if so.

        Raises as the constructor does; the old file's answers then stand, and the next call tries again.
        """
        stamp = self._look()
        if stamp == self._stamp:
            return False
        fresh = maxminddb.open_database(self._path)
        self._reader, self._stamp = fresh, stamp
        return True

    def find(self, ip: str) -> Place:
        """Return the place of `ip`; NOWHERE for what is no address or not in the file."""
        try:
            record = self._reader.get(ip_address(ip))
        except ValueError:
            return NOWHERE
        if not isinstance(record, dict):
            return NOWHERE
        country = _text(record, "country", "iso_code") or _text(record, "registered_country", "iso_code")
        return from_headers(country, _first(record, "subdivisions"), _name(record, "city"))


def _text(record: dict[str, object], *keys: str) -> str:
    found: object = record
    for key in keys:
        if not isinstance(found, dict):
            return ""
        found = found.get(key)
    return found if isinstance(found, str) else ""


def _name(record: dict[str, object], key: str) -> str:
    return _text(record, key, "names", "en") or _text(record, key)


def _first(record: dict[str, object], key: str) -> str:
    found = record.get(key)
    if isinstance(found, list) and found and isinstance(found[0], dict):
        return _text(found[0], "iso_code")
    return ""

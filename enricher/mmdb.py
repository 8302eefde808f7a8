"""The operator's MMDB file: opened once, opened again after a change. The only file read while hits are enriched."""

from ipaddress import ip_address
from pathlib import Path

import maxminddb

from enricher.rules.geo import NOWHERE, Place, from_record


class MmdbFile:
    """Answers of an MMDB file."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            OSError: it cannot be read.
            maxminddb.InvalidDatabaseError: it is not an MMDB file.
        """
        self._path = path
        self._stamp = self._read_stamp()
        self._reader = maxminddb.open_database(path)

    def _read_stamp(self) -> tuple[int, int, int]:
        stat = self._path.stat()
        return stat.st_ino, stat.st_mtime_ns, stat.st_size

    def reload(self) -> bool:
        """Open the file again if it has changed; return whether it had.

        Raises as the constructor does; then the old file stays in use and the next call tries again.
        """
        stamp = self._read_stamp()
        if stamp == self._stamp:
            return False
        reader = maxminddb.open_database(self._path)
        self._reader, self._stamp = reader, stamp
        return True

    def find(self, ip: str) -> Place:
        """Return the place of `ip`; NOWHERE if it is not an address or not in the file."""
        try:
            record = self._reader.get(ip_address(ip))
        except ValueError:
            return NOWHERE
        return from_record(record) if isinstance(record, dict) else NOWHERE

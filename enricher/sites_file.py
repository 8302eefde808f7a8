"""The collector's `sites.toml`, from which the enricher reads each site's own hosts: opened again after a change."""

import tomllib
from pathlib import Path

from enricher.rules.own_hosts import OwnHosts, load


class SitesFile:
    """The own hosts of each site, as the file names them."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            OSError: it cannot be read.
            ValueError: it is not TOML, or a site's hosts are not a list of texts.
        """
        self._path = path
        self._stamp = self._read_stamp()
        self.own_hosts: dict[str, OwnHosts] = load(tomllib.loads(path.read_text()))

    def _read_stamp(self) -> tuple[int, int, int]:
        stat = self._path.stat()
        return stat.st_ino, stat.st_mtime_ns, stat.st_size

    def reload(self) -> bool:
        """Read the file again if it has changed; return whether it had.

        Raises as the constructor does; then the old hosts stay in use and the next call tries again.
        """
        stamp = self._read_stamp()
        if stamp == self._stamp:
            return False
        own_hosts = load(tomllib.loads(self._path.read_text()))
        self.own_hosts, self._stamp = own_hosts, stamp
        return True

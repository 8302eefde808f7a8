"""The files that an operator edits while the collector runs: `sites.toml` and `links.toml`.

A broken new file changes nothing: the last good files apply, the log names line and reason, and the metric
`files_stale` is 1 until the file is fixed. A process that starts while a file is broken begins with the last good
contents, see last_good.py.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from collector.policy import link_file, links, sites
from collector.policy.link_file import Links
from collector.policy.sites import Sites
from collector.process.last_good import LastGood

LOOK_S: Final = 1.0
"""Interval at which the files are checked for changes, in seconds."""


class Rules(NamedTuple):
    """Contents of both files, read together since a link names a site."""

    sites: Sites
    links: Links


class BadFile(ValueError):
    """A file that cannot be used: one line with the setting, the path, the line and the reason."""


class SiteFiles:
    """Reads the files, and notices changes."""

    def __init__(self, sites_path: Path, links_path: Path | None, last_good: LastGood | None = None) -> None:
        """Read nothing yet; `links_path` None: no named links. `last_good`: contents that `read_or_last_good` uses."""
        self._sites_path: Final = sites_path
        self._links_path: Final = links_path
        self._seen: object = None
        self.last_good = last_good

    def read(self) -> Rules:
        """Read both files, and remember them as the last good ones.

        Raises:
            BadFile: one of them cannot be read or is broken.
        """
        self._seen = self._signature()
        name, path = "SITES", self._sites_path
        try:
            sites_text = path.read_bytes()
            known = sites.parse(sites_text)
            links_text = b""
            found: Links = {}
            if self._links_path is not None:
                name, path = "LINKS", self._links_path
                links_text = path.read_bytes()
                found = link_file.parse(links_text, known)
        except (OSError, sites.BadSites, links.BadLinks) as problem:
            raise BadFile(f"PHAROS_COLLECTOR_{name}: {path}: {_reason(problem)}") from problem
        sites_path, links_path = self.paths
        self.last_good = LastGood(
            sites_path=sites_path, links_path=links_path, sites=sites_text.decode(), links=links_text.decode()
        )
        return Rules(known, found)

    @property
    def paths(self) -> tuple[str, str]:
        """The absolute paths of both files; the second is empty without named links."""
        links_path = "" if self._links_path is None else str(self._links_path.absolute())
        return str(self._sites_path.absolute()), links_path

    def read_or_last_good(self) -> tuple[Rules, BadFile | None]:
        """Read both files; if they are broken, return the last good contents and what is wrong with the files.

        Raises:
            BadFile: they are broken, and there are no last good contents that this version can read.
        """
        try:
            return self.read(), None
        except BadFile as problem:
            if self.last_good is None:
                raise
            try:
                known = sites.parse(self.last_good.sites.encode())
                return Rules(known, link_file.parse(self.last_good.links.encode(), known)), problem
            except (sites.BadSites, links.BadLinks):
                raise problem from None

    def changed(self) -> bool:
        """Return whether a file has changed since the last `read`, good or broken."""
        return self._signature() != self._seen

    def _signature(self) -> object:
        return [_stamp(path) for path in (self._sites_path, self._links_path) if path is not None]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        now = path.stat()
    except OSError:
        return None
    return now.st_ino, now.st_size, now.st_mtime_ns


def _reason(problem: OSError | ValueError) -> str:
    return (problem.strerror or str(problem)) if isinstance(problem, OSError) else str(problem)


async def watch(
    files: SiteFiles,
    hangup: asyncio.Event,
    adopt: Callable[[Rules], None],
    complain: Callable[[BadFile], None],
    look_s: float = LOOK_S,
) -> None:
    """Read the files again on a change, or when `hangup` is set. Runs until cancelled."""
    while True:
        try:
            async with asyncio.timeout(look_s):
                await hangup.wait()
        except TimeoutError:
            if not files.changed():
                continue
        hangup.clear()
        try:
            rules = files.read()
        except BadFile as problem:
            complain(problem)
        else:
            adopt(rules)

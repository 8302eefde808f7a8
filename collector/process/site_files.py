"""The files that an operator edits while the collector runs: `sites.toml` and `links.toml`.

A broken new file changes nothing: the last good files apply, the log names line and reason, and the metric
`files_stale` is 1 until the file is fixed.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from collector.policy import links, sites
from collector.policy.links import Links
from collector.policy.sites import Sites

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

    def __init__(self, sites_path: Path, links_path: Path | None) -> None:
        """Read nothing yet; `links_path` None: no named links."""
        self._sites_path: Final = sites_path
        self._links_path: Final = links_path
        self._seen: object = None

    def read(self) -> Rules:
        """Read both files.

        Raises:
            BadFile: one of them cannot be read or is broken.
        """
        self._seen = self._signature()
        found: Links = {}
        try:
            known = sites.parse(self._sites_path.read_bytes())
        except (OSError, sites.BadSites) as problem:
            raise BadFile(f"PHAROS_COLLECTOR_SITES: {self._sites_path}: {_reason(problem)}") from problem
        if self._links_path is not None:
            try:
                found = links.parse(self._links_path.read_bytes(), known)
            except (OSError, links.BadLinks) as problem:
                raise BadFile(f"PHAROS_COLLECTOR_LINKS: {self._links_path}: {_reason(problem)}") from problem
        return Rules(known, found)

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

"""The last good `sites.toml` and `links.toml`: kept by the supervisor for workers, and next to the spool for starts.

A broken file must not take the collector down. A worker that starts while the files are broken gets the last good
contents from the supervisor. A collector that starts while they are broken reads them from SPOOL_DIR/last-good.json.
"""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from collector.settings import Settings

NAME: Final = "last-good.json"


class LastGood(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Contents of both files, which were read together without a fault."""

    sites_path: str
    """Absolute path. The copy does not apply to another path: a typing error in the setting must stop the start."""
    links_path: str
    """Absolute path; empty: no named links."""
    sites: str
    links: str


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor passes to a worker, so that no file or variable that broke since the start can stop it."""

    settings: Settings
    last_good: LastGood


def save(folder: Path, last_good: LastGood) -> None:
    """Write the copy, whole at once. Writes nothing if it is there already.

    Raises:
        OSError: the disk refuses.
    """
    path = folder / NAME
    content = msgspec.json.encode(last_good)
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == content:
            return
    handle, name = tempfile.mkstemp(prefix=f".{NAME}.", dir=folder)
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def load(folder: Path, sites_path: str, links_path: str) -> LastGood | None:
    """Return the copy of these two files; None if there is none, or only one of other paths, or it is damaged."""
    try:
        found = msgspec.json.decode((folder / NAME).read_bytes(), type=LastGood)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found if (found.sites_path, found.links_path) == (sites_path, links_path) else None


def hand_over(handover: Handover) -> int:
    """Return the descriptor of a file in memory that holds the handover; the caller closes it."""
    fd = os.memfd_create("pharos-handover", os.MFD_CLOEXEC)
    with os.fdopen(os.dup(fd), "wb") as file:
        file.write(msgspec.json.encode(handover))
    return fd


def take_over(fd: int) -> Handover:
    """Read a handover, and close the descriptor.

    Raises:
        ValueError: it is not one.
    """
    with os.fdopen(fd, "rb") as file:
        file.seek(0)
        return msgspec.json.decode(file.read(), type=Handover)

"""File system calls of the spool. Failures that the spool survives are returned as values. No state."""

import errno
import fcntl
import os
from pathlib import Path
from typing import Final

from collector.spool.segment import scan

_READ_BYTES: Final = 512 << 10
SECTOR_BYTES: Final = 4096
_PROBE_BYTES: Final = 64 << 10
_SUFFIX: Final = ".seg"


class Busy(Exception):
    """Another process owns the folder."""


def lock(folder: Path) -> int:
    """Lock a spool's folder; return the descriptor that holds the lock.

    Raises:
        Busy: another process owns it.
    """
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise Busy(str(folder)) from None
    return fd


def segments_in(folder: Path) -> dict[int, Path]:
    """Return the segments of a folder by number, in order."""
    found = {int(path.stem): path for path in folder.glob("*" + _SUFFIX) if path.stem.isdecimal()}
    return dict(sorted(found.items()))


def segment_name(number: int) -> str:
    """Return the file name of a segment."""
    return f"{number:012}{_SUFFIX}"


def cut_torn_tail(path: Path) -> int:
    """Cut a segment after its last whole block; return the number of bytes cut.

    Cuts nothing if a sector cannot be read: blocks after it may be whole, and the reader skips the sector.

    Raises:
        OSError: it cannot be opened or cut.
    """
    size = path.stat().st_size
    at = whole_to = 0
    with path.open("rb") as file:
        piece = b""
        while True:
            try:
                more = file.read(_READ_BYTES)
            except OSError as problem:
                if problem.errno != errno.EIO:
                    raise
                return 0
            piece += more
            seen = scan(piece, last=not more)
            if seen.ends:
                whole_to = at + seen.ends[-1]
            at += seen.read_to
            piece = piece[seen.read_to :]
            if not more:
                break
    if whole_to < size:
        os.truncate(path, whole_to)
    return size - whole_to


def name_of(problem: OSError) -> str:
    """Return a failure's short name, "ENOSPC"; "EIO" if it has no errno."""
    return errno.errorcode.get(problem.errno or 0, "EIO")


def synced(fd: int) -> OSError | None:
    """Put a file on the disk; return the failure, or None."""
    try:
        os.fdatasync(fd)
    except OSError as problem:
        return problem
    return None


def synced_file(path: Path) -> OSError | None:
    """Put a file on the disk, if it still exists; return the failure, or None."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None  # deleted meanwhile
    except OSError as problem:
        return problem
    try:
        return synced(fd)
    finally:
        os.close(fd)


def pread(fd: int, length: int, offset: int) -> tuple[bytes, bool]:
    """Read as `os.pread` does, up to a sector that cannot be read; return the bytes, and whether there was one."""
    try:
        return os.pread(fd, length, offset), False
    except OSError as problem:
        if problem.errno != errno.EIO:
            raise
    piece = b""
    while len(piece) < length:
        at = offset + len(piece)
        try:
            more = os.pread(fd, min(length - len(piece), SECTOR_BYTES - at % SECTOR_BYTES), at)
        except OSError as problem:
            if problem.errno != errno.EIO:
                raise
            return piece, True
        if not more:
            break
        piece += more
    return piece, False


def probed(path: Path) -> str:
    """Write, sync and remove a small file; return the failure's name, or "" if the disk works."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        try:
            whole = os.write(fd, bytes(_PROBE_BYTES)) == _PROBE_BYTES
            os.fdatasync(fd)
        finally:
            os.close(fd)
            path.unlink(missing_ok=True)
    except OSError as problem:
        return name_of(problem)
    return "" if whole else "ENOSPC"

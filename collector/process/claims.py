"""What a starting collector claims for itself: the public port, and the spool's folder."""

import asyncio
import errno
import fcntl
import os
import socket
import time
from pathlib import Path
from typing import Final

from collector.settings import Settings

_BACKLOG: Final = 4096
_BUSY_FOR_S: Final = 3.0


class Unusable(Exception):
    """A setting that cannot be used on this host: a busy port, an unwritable folder. One line that names it."""


def listen(host: str, port: int, workers: int) -> list[socket.socket]:
    """Return one listening socket a worker, all on one port (SO_REUSEPORT).

    Raises:
        Unusable: the port is busy, or the address does not belong to this host.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listeners: list[socket.socket] = []
    try:
        with socket.socket(family) as probe:
            # Without SO_REUSEPORT: a second collector on this port would silently take half of the traffic.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            port = probe.getsockname()[1]
        for _ in range(workers):
            listener = socket.socket(family)
            listeners.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind((host, port))
            listener.listen(_BACKLOG)
    except OSError as problem:
        for listener in listeners:
            listener.close()
        raise Unusable(f"PHAROS_COLLECTOR_PORT: cannot listen on {host}:{port}: {problem.strerror}") from problem
    return listeners


async def listen_patiently(settings: Settings) -> list[socket.socket]:
    """Like `listen`, but waits some seconds: workers of a killed collector may still hold the port."""
    deadline = time.monotonic() + _BUSY_FOR_S
    while True:
        try:
            return listen(settings.host, settings.port, settings.workers)
        except Unusable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)


def lock_spool(folder: Path) -> int:
    """Create the spool's folder and lock it against a second collector; return the descriptor.

    Raises:
        Unusable: the folder cannot be written, or another collector has it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fd = _open_lock(folder / "lock")
    except OSError as problem:
        raise Unusable(f"PHAROS_COLLECTOR_SPOOL_DIR: cannot write {folder}: {problem.strerror}") from problem
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise Unusable(f"PHAROS_COLLECTOR_SPOOL_DIR: another collector has {folder}") from None
    return fd


def _open_lock(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as problem:
        if problem.errno != errno.EROFS or not path.exists():
            raise
        # A spool that was in use, on a disk that has become read-only: a fault of the disk, not of a setting. A
        # read-only descriptor can be locked, too, and the workers answer 503 until the disk can be written again.
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

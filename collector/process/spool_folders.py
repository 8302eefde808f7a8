"""The spool folders of a worker: open its own, wait for a former owner or a broken disk, take over abandoned ones."""

import asyncio
import errno
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from collector.http.unavailable import Closed
from collector.settings import Settings
from collector.spool.disk import Busy
from collector.spool.inventory import Limits
from collector.spool.spool import Spool
from stage import log

_OWNED_WITHIN_S: Final = 15.0
_TRY_AGAIN_S: Final = 0.5


def limits_of(settings: Settings) -> Limits:
    """Return one worker's share of the bounds in the settings."""
    return Limits(
        most_bytes=settings.spool_bytes // settings.workers,
        free_bytes=settings.spool_free_bytes,
        segment_bytes=settings.segment_bytes,
        segment_s=settings.segment_s,
        keep_s=settings.spool_keep_s,
        batch_bytes=settings.batch_bytes,
    )


async def open_own(
    folder: Path, limits: Limits, listener: socket.socket, report_trouble: Callable[[str], None]
) -> Spool:
    """Open the spool. Waits for an ending worker that still owns it, and for a disk that fails.

    While the disk fails, every request is answered 503, and `report_trouble` gets the errno's name.

    Raises:
        Busy: the former owner does not end.
    """
    deadline = time.monotonic() + _OWNED_WITHIN_S
    closed: asyncio.Server | None = None
    reported = ""
    try:
        while True:
            try:
                return Spool(folder, limits)
            except Busy:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.05)
            except OSError as problem:
                why = errno.errorcode.get(problem.errno or 0, "EIO")
                if closed is None:
                    closed = await asyncio.get_running_loop().create_server(Closed, sock=listener.dup())
                if why != reported:
                    reported = why
                    report_trouble(why)
                    log.line(
                        "error",
                        "cannot open the spool; every request is answered 503",
                        folder=str(folder),
                        problem=str(problem),
                    )
                await asyncio.sleep(_TRY_AGAIN_S)
    finally:
        if closed is not None:
            closed.close()


def adopt_orphans(spool: Spool, workers: int) -> None:
    """Take over the folders of workers that no longer exist: those numbered `workers` and up."""
    for folder in sorted(spool.folder.parent.iterdir()):
        if folder.is_dir() and folder.name.isdecimal() and int(folder.name) >= workers:
            try:
                taken = spool.adopt(folder)
                log.line(
                    "info", "took over the spool of a worker that no longer exists", folder=folder.name, segments=taken
                )
            except (Busy, OSError) as problem:
                log.line("warning", "cannot take over a spool folder", folder=folder.name, problem=str(problem))

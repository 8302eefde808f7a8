"""The control socket between supervisor and worker.

The worker sends a Report a line, each second and when the supervisor asks: with an empty line, or with REFUSED for a
report that has the last refusals. The supervisor sends RELOAD to have the files read again. When the supervisor's end
closes, the worker ends in good order.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Final

import msgspec

from collector.metrics import Report
from collector.process import parent_death
from stage import log

ASK: Final = b"\n"
RELOAD: Final = b"reload\n"
REFUSED: Final = b"refused\n"


def encode(report: Report) -> bytes:
    """Return a report as a line."""
    return msgspec.json.encode(report) + b"\n"


def decode(line: bytes) -> Report:
    """Return the report of a line.

    Raises:
        ValueError: it is not one.
    """
    return msgspec.json.decode(line, type=Report)


async def report_to_supervisor(
    control: socket.socket, measure: Callable[[bool], Report], hangup: asyncio.Event
) -> None:
    """Send reports until the supervisor's end closes; `measure` is asked for one with or without the last refusals.

    Sets `hangup` on RELOAD.
    """
    reader, writer = await asyncio.open_unix_connection(sock=control)
    parent_death.outlive_parent()
    asked = ASK
    try:
        while True:
            writer.write(encode(measure(asked == REFUSED)))
            await writer.drain()
            asked = ASK
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    asked = await reader.readline()
                if not asked:
                    break
                if asked == RELOAD:
                    hangup.set()
    except OSError as problem:
        log.line("warning", "lost the supervisor", problem=str(problem))

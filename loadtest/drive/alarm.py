"""An alarm clock for an event loop, exact to some ten microseconds: uvloop's own timers go by whole milliseconds.

Linux has `timerfd`, which an event loop watches like a socket; elsewhere the loop's timer has to do.
"""

import asyncio
import ctypes
import os
import sys
import time
from collections.abc import Callable


class _Itimerspec(ctypes.Structure):
    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class Alarm:
    """Calls `ring` in the loop at the moments set; one moment at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop, self._ring = loop, ring
        self._fd = -1
        self._timer: asyncio.TimerHandle | None = None
        if sys.platform == "linux":
            self._libc = ctypes.CDLL(None, use_errno=True)
            # CLOCK_MONOTONIC is what time.perf_counter reads; TFD_NONBLOCK and TFD_CLOEXEC have the values of O_*.
            self._fd = self._libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd >= 0:
            loop.add_reader(self._fd, self._rung)

    def _rung(self) -> None:
        self._set(0, 0)  # setting it clears what made it readable
        self._ring()

    def _set(self, seconds: int, nanoseconds: int) -> None:
        value = _Itimerspec(0, 0, seconds, nanoseconds)
        self._libc.timerfd_settime(self._fd, 1, ctypes.byref(value), None)  # 1: TFD_TIMER_ABSTIME

    def set(self, moment: float) -> None:
        """Ring at `moment` on time.perf_counter's clock; a moment gone by rings at once."""
        if self._fd >= 0:
            self._set(int(moment), max(1, int(moment % 1 * 1e9)))
            return
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_later(max(0.0, moment - time.perf_counter()), self._ring)

    def close(self) -> None:
        """Ring no more."""
        if self._timer:
            self._timer.cancel()
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

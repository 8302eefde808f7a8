"""Start a program that does not outlive us, not even a `kill -9`."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def dies_with_parent(number: signal.Signals = signal.SIGTERM) -> Callable[[], None] | None:
    """Return a `preexec_fn`: the kernel sends the child `number` when the thread that started it is gone.

    Linux alone has this; elsewhere None, and a runner that was killed leaves its programs to be ended by hand.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def in_child() -> None:
        prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # gone before the call
            os.kill(os.getpid(), number)

    return in_child

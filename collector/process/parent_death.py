"""A starting worker dies with its supervisor; a running one sees the control socket close and ends in good order."""

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1


def _set(number: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number)


def die_with_parent() -> None:
    """In the child, before it becomes the worker: be killed when the supervisor is."""
    _set(signal.SIGKILL)


def outlive_parent() -> None:
    """In the worker, once it watches the control socket: be killed no more."""
    _set(0)

"""Take the terminal for ourselves while we run, so that Ctrl-C reaches us and not `make` before us.

`make` answers Ctrl-C with exit code 130, however well its command ended; alone in the foreground, we end with 0.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def foreground() -> Iterator[None]:
    """Be the terminal's foreground group inside; without a terminal, or where a shell made us that, do nothing."""
    before = os.getpgrp()
    if not sys.stdin.isatty() or before == os.getpid() or os.tcgetpgrp(sys.stdin.fileno()) != before:
        yield
        return
    os.setpgid(0, 0)
    # Ctrl-Z would stop us without informing make, and no process would own the terminal.
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.tcsetpgrp(sys.stdin.fileno(), os.getpid())
    try:
        yield
    finally:
        os.tcsetpgrp(sys.stdin.fileno(), before)

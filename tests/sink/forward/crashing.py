"""A forwarder that stops dead at a given step: `python -m tests.sink.forward.crashing STEP COUNT`."""

import os
import sys

import uvloop

from sink.forward.run import serve
from sink.settings import read
from stage import log

CRASHED = 137
STEPS = ("before send", "after send", "done", "before commit", "after commit")


def main(step: str, count: int) -> int:
    """Run the forwarder of the environment until it comes to STEP for the COUNTth time."""
    log.take_over_libraries()
    left = count

    def crash_at(reached: str) -> None:
        nonlocal left
        left -= reached == step
        if left == 0:
            os._exit(CRASHED)

    return uvloop.run(serve(read(os.environ), crash_at))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))

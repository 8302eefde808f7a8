"""A sink that stops dead at a given step: `python -m tests.sink.crashing STEP COUNT`.

The process ends without another word (as by `kill -9`) when the protocol comes to STEP for the COUNTth time; "during
insert" ends it while ClickHouse has the rows and the sink has no answer yet.
"""

import os
import sys
import threading

import uvloop

from sink.run import serve
from sink.settings import read
from stage import log

CRASHED = 137
STEPS = (
    "before intent",
    "after intent",
    "before insert",
    "during insert",
    "after insert",
    "before close",
    "fetched again",
    "after close",
)
"""In this order: "fetched again" needs the intent that "before close" leaves behind for sure."""


def main(step: str, count: int) -> int:
    """Run the sink of the environment until it crashes."""
    log.take_over_libraries()
    left = count

    def crash_at(reached: str) -> None:
        nonlocal left
        if reached != ("before insert" if step == "during insert" else step):
            return
        left -= 1
        if left:
            return
        if step == "during insert":
            threading.Timer(0.02, os._exit, (CRASHED,)).start()
        else:
            os._exit(CRASHED)

    return uvloop.run(serve(read(os.environ), crash_at))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))

"""A driver process: `python -m loadtest.drive.sender_process FD`, started by driver.py with a pipe as descriptor FD.

It receives the plan and its own index, then the moment to start, and perhaps a message that stops it. It sends, in this
order: a text when it is ready ("", or why it could open no connection), an Interval ten times a second, its Totals.
"""

import asyncio
import sys
import time
from multiprocessing.connection import Connection as Pipe
from typing import Final

import uvloop

from loadtest.drive.plan import Interval, Plan, Totals
from loadtest.drive.sender import Sender
from loadtest.traffic import profiles
from loadtest.traffic import schedule as schedules

OPEN_S: Final = 10.0
"""How long all connections together may take to open."""
STOP: Final = "stop"
THERE_S: Final = 3.0
"""How long the first may take; then the target is not there."""


async def serve(pipe: Pipe, plan: Plan, index: int) -> None:
    """Be one sender: open, await the start, tell slices, hand in the totals; end at once when the parent is gone."""
    templates = profiles.pool(plan.profile, plan.seed * 1000 + index, plan.surface, plan.pool)
    moments = schedules.arrivals(plan.schedule, plan.seed, index, plan.senders)
    sender = Sender(
        plan.target,
        templates,
        moments,
        run=plan.run,
        index=index,
        seed=plan.seed,
        probes_per_s=plan.probes_per_s / plan.senders,
    )
    refusal = await sender.open(OPEN_S, THERE_S)
    try:
        pipe.send(refusal)
        start: float = await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
    except (EOFError, OSError):
        return  # there is nothing to load, or the parent is gone

    def tell(cut: Interval) -> None:
        pipe.send(cut)
        if pipe.poll():  # any message from the parent, or its end, means: stop
            sender.stop()

    before = time.process_time()
    try:
        await sender.run(start, tell, plan.drain_s)
        totals = Totals(
            outcomes=sender.outcomes.tobytes(),
            errors=dict(sender.errors),
            requests=sender.requests,
            answers=sender.answers,
            waited=sender.waited,
            never_sent=sender.never_sent,
            cpu_s=time.process_time() - before,
        )
        pipe.send(totals)
    except BrokenPipeError:
        return  # the parent is gone: so are we


def main(fd: int) -> None:
    """Serve one plan of the pipe `fd` after another, until the parent closes it."""
    pipe = Pipe(fd)
    while True:
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            return
        if message != STOP:  # else it came too late for the run that it was meant for
            plan, index = message
            uvloop.run(serve(pipe, plan, index))


if __name__ == "__main__":
    main(int(sys.argv[1]))

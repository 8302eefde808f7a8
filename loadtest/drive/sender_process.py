"""A driver process: `python -m loadtest.drive.sender_process FD`, started by driver.py with a pipe as descriptor FD.

What it says over the pipe, in this order: a text when it is ready ("", or why no connection could be opened), Slices
ten times a second, its Book. What it hears: the plan and its index, the moment to start, and perhaps a word that means
"stop".
"""

import asyncio
import sys
import time
from multiprocessing.connection import Connection as Pipe
from typing import Final

import uvloop

from loadtest.drive.plan import Book, Plan, Slice
from loadtest.drive.sender import Lane
from loadtest.traffic import profiles
from loadtest.traffic import schedule as schedules

OPEN_S: Final = 10.0
"""How long all connections together may take to open."""
THERE_S: Final = 3.0
"""How long the first may take; then the target is not there."""


async def serve(pipe: Pipe, plan: Plan, index: int) -> None:
    """Be one lane: open, await the start, tell slices, hand in the book; end at once when the parent is gone."""
    shots = profiles.pool(plan.profile, plan.seed * 1000 + index, plan.surface, plan.pool)
    moments = schedules.arrivals(plan.schedule, plan.seed, index, plan.lanes)
    lane = Lane(
        plan.target,
        shots,
        moments,
        run=plan.run,
        index=index,
        seed=plan.seed,
        probes_per_s=plan.probes_per_s / plan.lanes,
    )
    refusal = await lane.open(OPEN_S, THERE_S)
    try:
        pipe.send(refusal)
        start: float = await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
    except (EOFError, OSError):
        return  # there is nothing to load, or the parent is gone

    def tell(cut: Slice) -> None:
        pipe.send(cut)
        if pipe.poll():  # any word from the parent, or its end, means: stop
            lane.stop()

    before = time.process_time()
    try:
        await lane.run(start, tell, plan.drain_s)
        book = Book(
            outcomes=lane.outcomes.tobytes(),
            errors=dict(lane.errors),
            requests=lane.requests,
            answers=lane.answers,
            waited=lane.waited,
            gave_up=lane.gave_up,
            cpu_s=time.process_time() - before,
        )
        pipe.send(book)
    except BrokenPipeError:
        return  # the parent is gone: so are we


def main(fd: int) -> None:
    """Serve the pipe `fd` from the plan to the book."""
    pipe = Pipe(fd)
    try:
        plan, index = pipe.recv()
    except (EOFError, OSError):
        return  # stopped before it had begun
    uvloop.run(serve(pipe, plan, index))


if __name__ == "__main__":
    main(int(sys.argv[1]))

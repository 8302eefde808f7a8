"""The processes of one `make run`: started in order, each waited for, watched, and drained from the collector down."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

import aiohttp

from deploy.local import programs, settings, status
from deploy.local.broker import create_topics, group_state, has_topics
from deploy.local.keeper import Keeper
from deploy.local.programs import Place, Program

READY_S: Final = 180
"""How long a program may take to be ready. On a new ClickHouse the sink makes the tables and views first."""
JOIN_S: Final = 15
CATCH_UP_S: Final = 10
"""How long a drain waits for a stage to have nothing left before it stops it."""


class NotReady(Exception):
    """A part that did not come up in time; the text is one line that names it and its log."""


class Unusable(Exception):
    """Something to set right before a start; the text is one line that names it."""


class Runner:
    """All processes of one run."""

    def __init__(self, place: Place, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
        self._place = place
        self._say = say
        self._logs = place.folder / "log"
        self._environ = environ
        self._keepers: list[Keeper] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, http: aiohttp.ClientSession) -> None:
        """Start everything and return when it is ready; raises Unusable or NotReady."""
        await self._group(programs.embedded(self._place), http)
        await self._replaced()
        await self._group(programs.stages(self._place, self._environ), http)
        await self._joined()

    async def _group(self, group: list[Program], http: aiohttp.ClientSession) -> None:
        started = [self._begin(program) for program in group]
        await asyncio.gather(*(self._until_ready(keeper, http) for keeper in started))

    def _begin(self, program: Program) -> Keeper:
        keeper = Keeper(program, self._logs, self._environ, self._say)
        if program.name == "broker":
            keeper.after_death = self._end_consumers
        self._keepers.append(keeper)
        self._tasks.append(asyncio.create_task(keeper.run()))
        return keeper

    async def _joined(self) -> None:
        """Wait until enricher and sink have partitions of the embedded broker, which takes its time over that."""
        port = self._place.ports.get("kafka_port", 0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(JOIN_S):
                for group in programs.groups(self._environ) if port else ():
                    while await group_state(programs.HOST, port, group) != "Stable":  # noqa: ASYNC110  another process
                        await asyncio.sleep(0.1)

    def _end_consumers(self) -> None:
        """Kill the enricher and the sink: the broker returns empty, and they remember offsets from before.

        They would commit such an offset, and pass over as many of the hits that the collector sends again.
        """
        for keeper in self._keepers:
            if keeper.program.name in ("enricher", "sink"):
                keeper.kill()

    async def _replaced(self) -> None:
        """See that the real Kafka, where there is one, answers and has the topics."""
        kafka = self._place.settings.kafka
        if kafka:
            try:
                await create_topics(kafka, self._place.settings.partitions)
            except TimeoutError:
                raise Unusable(f"{settings.variable('kafka')}={kafka}: no broker answered") from None

    async def _until_ready(self, keeper: Keeper, http: aiohttp.ClientSession) -> None:
        program = keeper.program
        why = ""
        try:
            async with asyncio.timeout(READY_S):
                while True:
                    if keeper.refused.is_set():
                        raise Unusable(f"{program.name}: {keeper.last_line()}")
                    if program.ready:
                        why = await status.is_ready(http, program.ready)
                    else:
                        why = await _broker_answers(self._place.kafka)
                    if not why:
                        return
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise NotReady(f"{program.name} is not ready after {READY_S} s: {why}; log: {keeper.log}") from None

    async def watch(self, http: aiohttp.ClientSession, show: Callable[[str], None], pause_s: float) -> None:
        """Show a status line again and again, until cancelled."""
        clock = asyncio.get_running_loop().time
        metrics, clickhouse = self._place.metrics(), _credentials(self._place)
        before, then = status.Status(), clock()
        while True:
            seen, now = await status.look(http, metrics, clickhouse), clock()
            show(status.line(seen, before, now - then))
            before, then = seen, now
            await asyncio.sleep(pause_s)

    async def stop(self, http: aiohttp.ClientSession, *, gently: bool) -> bool:
        """End the stages in the order of a hit, each when its input is empty, then the broker and ClickHouse."""
        stages = [keeper for keeper in self._keepers if keeper.program.lag]
        below = [keeper for keeper in self._keepers if not keeper.program.lag]
        clean = True
        for group in [*([keeper] for keeper in stages), below]:
            if gently and group is not below:
                await self._caught_up(http, group[0].program)
            for keeper, ended in zip(
                group,
                await asyncio.gather(*(keeper.stop(keeper.program.stop_s if gently else 0) for keeper in group)),
                strict=True,
            ):
                if not ended and gently:
                    self._say(f"{keeper.program.name} did not drain; log: {keeper.log}")
                    clean = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return clean

    async def _caught_up(self, http: aiohttp.ClientSession, program: Program) -> None:
        """Wait, not for long, until a stage has nothing before it: the embedded broker forgets what it holds."""
        url = self._place.metrics()[program.name]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP_S):
                while await status.lag(http, url, program.lag):  # noqa: ASYNC110  another process's number
                    await asyncio.sleep(0.1)


async def _broker_answers(bootstrap: str) -> str:
    return "" if await has_topics(bootstrap) else "no answer"


def _credentials(place: Place) -> dict[str, str]:
    parts = urlsplit(place.clickhouse)
    password = place.settings.clickhouse_password if not place.settings.clickhouse else unquote(parts.password or "")
    return {"url": place.clickhouse_bare, "user": unquote(parts.username or "") or "default", "password": password}

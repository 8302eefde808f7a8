"""The sink as a service: wait for ClickHouse and Kafka, consume, report health, stop in order."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from aiokafka.errors import IllegalStateError, KafkaError
from clickhouse_connect.driver.exceptions import ClickHouseError
from prometheus_client import generate_latest

from sink import clickhouse, closed_days, metrics, migrations, time_zones
from sink.assignment import Assignment
from sink.clickhouse import Connection, Retry, Stop
from sink.memory import give_back_large_buffers
from sink.settings import Settings
from stage import admin
from stage.admin import Health
from stage.log import line
from stage.settings import SettingError

Result = TypeVar("Result")

PROBE_EVERY_S: Final = 2.0
PROBE_ANSWER_S: Final = 5.0
CLOSING_BEGINS_S: Final = 60.0
CLOSING_TIMEOUT_S: Final = 3600.0
"""Of one statement that closes days; afterwards the pass ends with an error, and the next begins."""


async def serve(settings: Settings, crash_at: Callable[[str], None] = lambda _: None) -> int:
    """Run until SIGTERM or SIGINT, then drain. `crash_at` is called with the name of each step: tests crash there."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    health = Health()

    async def exposition() -> bytes:
        return generate_latest(metrics.REGISTRY)

    give_back_large_buffers()
    try:
        admin_port = await admin.serve(settings, lambda: health.not_ready, exposition)
    except SettingError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        connection = await until(
            stop, health, f"ClickHouse at {settings.clickhouse.split('@')[-1]}", lambda: prepared(settings)
        )
        if connection is None:
            return 0
        try:
            await consume(settings, connection, stop, health, crash_at)
        finally:
            await connection.close()
        return 0
    finally:
        await admin_port.close()


async def prepared(settings: Settings) -> Connection:
    """Return a connection to a ClickHouse whose schema is up to date.

    Raises:
        Retry: ClickHouse cannot be reached, or went away meanwhile.
        Stop: ClickHouse refuses this user, or migrations are outstanding.
    """
    connection = await clickhouse.connect(settings, migrations.TIMEOUT_S if settings.migrate else None)
    try:
        if settings.migrate:
            await migrations.apply(
                connection, cluster=settings.cluster, tell=lambda name: line("info", "migration applied", name=name)
            )
            if await migrations.keep_for(connection, settings.retention_days, settings.cluster):
                line("info", "retention in days (0: events are never deleted)", days=settings.retention_days)
            if await migrations.without_statistics(connection, settings.cluster):
                line("info", "ClickHouse keeps no statistics of the tables that inserts fill")
        elif todo := migrations.outstanding(migrations.load(), await migrations.applied(connection)):
            raise Stop(f"{len(todo)} migrations are outstanding: run python -m sink migrate")  # noqa: TRY301
    except BaseException as error:
        await connection.close()
        if isinstance(error, ClickHouseError) and getattr(error, "code", None) is None:  # no answer of ClickHouse's
            raise Retry(f"{type(error).__name__}: {error}") from error
        raise
    if not settings.migrate:
        return connection
    await connection.close()
    return await clickhouse.connect(settings)


async def until(
    stop: asyncio.Event, health: Health, what: str, attempt: Callable[[], Awaitable[Result]]
) -> Result | None:
    """Repeat `attempt` until it succeeds or `stop` is set (then None); log what it waits for, once."""
    pause_s = 0.2
    logged = False
    while not stop.is_set():
        try:
            return await attempt()
        except (Retry, KafkaError, OSError) as error:
            if isinstance(error, KafkaError):
                metrics.kafka_error(error)
            health.not_ready = f"waiting for {what}: {error}"
            if not logged:
                line("warning", f"waiting for {what}", why=str(error)[:300])
                logged = True
        try:
            async with asyncio.timeout(pause_s):
                await stop.wait()
        except TimeoutError:
            pause_s = min(5.0, pause_s * 2)
    return None


async def consume(
    settings: Settings, connection: Connection, stop: asyncio.Event, health: Health, crash_at: Callable[[str], None]
) -> None:
    """Consume; after an error of Kafka, with a new consumer."""

    async def attempt() -> bool:
        assignment = Assignment(settings, connection, crash_at=crash_at)
        background = [
            asyncio.create_task(measure(assignment, health)),
            asyncio.create_task(probe(assignment, settings, connection)),
            asyncio.create_task(close_days(assignment, settings)),
            asyncio.create_task(time_zones.keep(settings)),
        ]
        try:
            await assignment.run(stop)
        finally:
            for task in background:
                task.cancel()
        return True

    while not stop.is_set():
        await until(stop, health, f"Kafka at {settings.kafka}", attempt)


async def probe(assignment: Assignment, settings: Settings, connection: Connection) -> None:
    """Check every PROBE_EVERY_S seconds that ClickHouse and Kafka answer: readiness does not wait for a batch."""
    while True:
        away = ""
        try:
            async with asyncio.timeout(PROBE_ANSWER_S):
                away = f"ClickHouse at {settings.clickhouse.split('@')[-1]}"
                await connection.command("SELECT 1")
                away = f"Kafka at {settings.kafka}"
                await assignment.check_kafka()
                away = ""
        except (ClickHouseError, IllegalStateError, KafkaError, OSError, TimeoutError):
            pass  # `away` names the server; no reconnect is needed once it answers again
        assignment.unreachable = away and f"no answer from {away}"
        await asyncio.sleep(PROBE_EVERY_S)


async def measure(assignment: Assignment, health: Health) -> None:
    """Update the gauges and the readiness four times a second."""
    while True:
        health.not_ready = assignment.not_ready()
        # A rebalance may revoke a partition between two lines; an unreachable broker answers nothing.
        with contextlib.suppress(IllegalStateError, KafkaError, TimeoutError):
            async with asyncio.timeout(10):
                await assignment.measure()
        await asyncio.sleep(0.25)


async def close_days(assignment: Assignment, settings: Settings) -> None:
    """Close days, pass by pass, while this sink has partition 0: one sink at a time. Two would do no harm."""
    if not settings.close_every_s:
        return
    began = False
    while True:
        await asyncio.sleep(settings.close_every_s if began else min(CLOSING_BEGINS_S, settings.close_every_s))
        if assignment.has(0):
            if not began:  # the lag counts from here, if the first pass fails
                metrics.CLOSED_AT.set_to_current_time()
            began = True
            try:
                await _close_days(settings)
            except (ClickHouseError, Retry, Stop, OSError, TimeoutError) as error:
                metrics.CLOSING_ERRORS.inc()
                line("warning", "days are not closed: questions about them are slow", why=str(error)[:300])
        else:
            metrics.DAYS_DUE.set(0)


async def _close_days(settings: Settings) -> None:
    # A run may take long, and the connection of the inserts must not wait for it.
    done = await closed_days.close_all(settings, CLOSING_TIMEOUT_S)
    metrics.DAYS_CLOSED.inc(done.closed)
    metrics.DAYS_DUE.set(done.due)
    metrics.CLOSED_AT.set_to_current_time()
    if done.closed:
        line("info", "days closed", days=done.closed, due=done.due)

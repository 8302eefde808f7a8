"""The forwarder as a service: a consumer group for each destination, so that one that is away stops no other.

Long: the groups' starts, ends and restarts belong together.
"""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, OffsetAndMetadata, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError, OffsetOutOfRangeError
from prometheus_client import generate_latest

from sink import clickhouse
from sink.clickhouse import Connection, Retry, Stop
from sink.forward import head, metrics
from sink.forward.config import AnyDestination, ConfigError, read, refusing_sites
from sink.forward.dead import DeadForward, encode
from sink.forward.delivery import Delivery, Stopped
from sink.forward.pending import Key, Pending
from sink.forward.transport import Http
from sink.forward.warehouse import Warehouse
from sink.run import until
from sink.settings import Settings
from stage import admin
from stage.admin import Health
from stage.aiokafka_internals import start_client, stop_client
from stage.gap import lost
from stage.kafka import access
from stage.log import line
from stage.settings import SettingError

MOST_WAITING: Final = 20_000
"""Events that wait; then no more are read until some are done."""
AT_ONCE: Final = 500
"""Events that are looked up together."""
ASK_AGAIN_S: Final = 5.0
"""Until ClickHouse is asked again for an event that the sink has not stored; then after as long as it was missed."""
ASK_AGAIN_MOST_S: Final = 300.0
"""Longest such pause."""
COPIES_S: Final = 600.0
"""After so long an event is looked for under other times too: it may be a late copy."""
FAULT_PAUSES_S: Final = (2.0, 300.0)
"""Pauses after a fault of our own: the first and the longest. They double."""
NOT_STORED_S: Final = 6 * 3_600.0
"""An event that a ClickHouse in service lacks for so long is given up: it was erased, or its row refused."""


def load(settings: Settings) -> Mapping[str, AnyDestination]:
    """Return the destinations of the settings' files.

    Raises:
        SettingError: a file cannot be read or used; one line that names it.
    """
    destinations: Mapping[str, AnyDestination] = _file(settings, "forward_destinations", read)
    respecting: frozenset[str] = _file(settings, "sites", refusing_sites)
    for name, one in destinations.items():
        for site in one.sites:
            if site not in respecting:
                raise SettingError(
                    f"{settings.forward_destinations}: destinations.{name}: site {site!r} is not in "
                    f'{settings.sites}, or has gpc = "ignore": its visitors\' Sec-GPC could not be respected'
                )
    return destinations


def _file(settings: Settings, field: str, parse: Callable[[str], Any]) -> Any:
    path = getattr(settings, field)
    if not path:
        raise SettingError(f"{settings.variable(field)}: must be set: the path of a file")
    try:
        return parse(Path(path).read_text("utf-8"))
    except OSError as error:
        raise SettingError(f"{settings.variable(field)}: cannot read {path!r}: {error.strerror}") from None
    except UnicodeError:
        raise SettingError(f"{settings.variable(field)}: {path!r} is no UTF-8 text file") from None
    except ConfigError as error:
        raise SettingError(f"{path}: {error}") from None


def _where(error: BaseException) -> str:
    """Return an error's type and the place where it was raised."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" at {Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place is not None else ""
    return f"{type(error).__name__}{where}"


class Forwarder(ConsumerRebalanceListener):  # type: ignore[misc]
    """One destination: its consumer, its waiting events, its delivery."""

    def __init__(self, settings: Settings, delivery: Delivery, crash_at: Callable[[str], None]) -> None:
        self._settings = settings
        self._crash_at = crash_at
        self.delivery = delivery
        self._wanted = frozenset((*delivery.one.events, *(("refund",) if delivery.one.refunds else ())))
        self.pending = Pending(delivery.one.hold_s)
        delivery.is_waiting = lambda key: key in self.pending
        self._consumer: AIOKafkaConsumer | None = None
        self._committed: dict[tuple[str, int], int] = {}
        self._sending: asyncio.Task[None] | None = None
        self.not_ready = "starting"

    async def run(self, stop: asyncio.Event) -> None:
        """Forward until `stop` is set; after an error of Kafka, or a fault of our own, with a new consumer.

        A fault stops this destination only, and loses nothing: what was not committed is read again.
        """
        name = self.delivery.name
        least, most = FAULT_PAUSES_S
        pause = least
        while not stop.is_set():
            try:
                await self._consume(stop)
                continue
            except (KafkaError, OSError) as error:
                wait_s = least
                self.not_ready = f"{name}: Kafka: {type(error).__name__}"
                line("warning", "waiting for Kafka", destination=name, why=str(error)[:200])
            except Stop:
                raise
            except Exception as error:  # noqa: BLE001 - the other destinations go on
                wait_s, pause = pause, min(most, 2 * pause)
                self.not_ready = f"{name}: a fault: {type(error).__name__}"
                # The error's own text may quote an event.
                line("error", "forwarding failed and begins again", destination=name, why=_where(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await stop.wait()

    async def _consume(self, stop: asyncio.Event) -> None:
        settings = self._settings
        consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka,
            **access(settings),
            group_id=f"{settings.forward_group}-{self.delivery.name}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=max(1, settings.session_timeout_ms // 4),
        )
        self._consumer = consumer
        consumer.subscribe([settings.topic_enriched], listener=self)
        try:
            await start_client(consumer)
            while not stop.is_set():
                await self._step(consumer)
        finally:
            if self._sending is not None:
                self._sending.cancel()
                await asyncio.gather(self._sending, return_exceptions=True)
                self._sending = None
            with contextlib.suppress(KafkaError, IllegalStateError):
                await self._commit(consumer)
            await stop_client(consumer)
            self.pending = Pending(self.delivery.one.hold_s)
            self._committed = {}

    async def _step(self, consumer: AIOKafkaConsumer) -> None:
        """Read a little, begin to send what is due, commit what is done."""
        assigned = consumer.assignment()
        if len(self.pending) >= MOST_WAITING:
            consumer.pause(*assigned)
        else:
            consumer.resume(*consumer.paused())
        try:
            found = await consumer.getmany(timeout_ms=200, max_records=5_000)
        except OffsetOutOfRangeError as error:
            await self._past_the_gap(consumer, error.args[0])
            return
        now = time.monotonic()
        for partition, records in found.items():
            for record in records:
                self._take(partition, record.offset, record.value, now)
        if self._sending is not None and self._sending.done():
            task, self._sending = self._sending, None
            task.result()
        name = self.delivery.name
        if self._sending is None and not self.delivery.brake.pulled and self.pending.due(now, 1):
            self._sending = asyncio.create_task(self._send(now))
        metrics.WAITING.labels(name).set(len(self.pending))
        metrics.LAG_SECONDS.labels(name).set(max(0.0, self.pending.oldest_s(now)))
        self.not_ready = "" if assigned else f"{name}: no partition is assigned yet"
        await self._commit(consumer)

    def _take(self, partition: TopicPartition, offset: int, value: bytes, now: float) -> None:
        position = (partition.topic, partition.partition, offset)
        try:
            found = head.read(value)
            wanted = found.site in self.delivery.one.sites and found.event in self._wanted
            at_ms = found.occurred_ms() if wanted else 0
        except head.HeadError:  # the sink makes a dead letter of it
            self.pending.skip(position)
            return
        # A negative value makes a refund of any event; its name is then among the destination's own.
        if wanted:
            self.pending.add(found.key, at_ms, position, now, refund=found.event == "refund")
        else:
            self.pending.skip(position)

    async def _send(self, now: float) -> None:
        batch = self.pending.due(now, AT_ONCE)
        pending = self.pending
        occurred = {each.key: each.occurred_ms for each in batch}
        try:
            later = await self.delivery.forward(occurred)
        except Stopped:
            return
        asked = time.monotonic()
        missed = {key: occurred[key] for key in later if pending.missed_s(key, asked) > COPIES_S}
        late: frozenset[Key] = frozenset()
        times: dict[Key, int] = {}
        if missed:
            with contextlib.suppress(Retry):
                late, times = await self.delivery.elsewhere(missed)
        for each in batch:
            if each.key not in later or each.key in late:
                pending.done(each.key)
                continue
            each.occurred_ms = times.get(each.key, each.occurred_ms)
            missed_s = pending.missed_s(each.key, asked)
            if missed_s > NOT_STORED_S + self.delivery.one.hold_s:  # a refund may wait for its order's hold
                await self.delivery.bury(each.key, "not_stored", "")
                pending.done(each.key)
            else:
                pending.later(each.key, asked + min(ASK_AGAIN_MOST_S, max(ASK_AGAIN_S, missed_s)))
        self._crash_at("done")

    async def _commit(self, consumer: AIOKafkaConsumer) -> None:
        offsets = {at: offset for at, offset in self.pending.offsets().items() if self._committed.get(at) != offset}
        if not offsets:
            return
        self._crash_at("before commit")
        try:
            await consumer.commit(
                {TopicPartition(*at): OffsetAndMetadata(offset, "") for at, offset in offsets.items()}
            )
        except (CommitFailedError, IllegalStateError) as error:
            line("warning", "commit refused: another forwarder has the partition", why=str(error)[:200])
            return
        self._committed |= offsets
        self._crash_at("after commit")

    async def _past_the_gap(self, consumer: AIOKafkaConsumer, positions: Mapping[TopicPartition, int]) -> None:
        """Read on where the log begins now, and count what is gone."""
        starts = await consumer.beginning_offsets(list(positions))
        ends = await consumer.end_offsets(list(positions))
        for partition, expected in positions.items():
            gone = lost(expected, starts[partition], ends[partition])
            metrics.LOST_RECORDS.labels(self.delivery.name).inc(gone)
            line("error", "records are gone from Kafka before they were forwarded", destination=self.delivery.name)
            consumer.seek(partition, starts[partition])

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Commit what is done; the next owner reads the rest again."""
        if self._consumer is not None:
            with contextlib.suppress(KafkaError, IllegalStateError):
                await self._commit(self._consumer)
        gone = {(each.topic, each.partition) for each in revoked}
        self.pending.forget(gone)
        for at in gone:
            self._committed.pop(at, None)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Nothing to do: the position is the group's."""


async def serve(settings: Settings, crash_at: Callable[[str], None] = lambda _: None) -> int:
    """Run until SIGTERM or SIGINT. `crash_at` is called with the name of each step: tests crash there."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    health = Health()
    forwarders: list[Forwarder] = []

    def not_ready() -> str:
        return next((each.not_ready for each in forwarders if each.not_ready), "") if forwarders else health.not_ready

    async def exposition() -> bytes:
        return generate_latest(metrics.REGISTRY)

    try:
        destinations = load(settings)
        port = await admin.serve(_own_port(settings), not_ready, exposition)
    except SettingError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        sites = {site for one in destinations.values() for site in one.sites}
        connection = await until(
            stop,
            health,
            f"ClickHouse at {settings.clickhouse.split('@')[-1]}",
            lambda: clickhouse.connect_where_sites_are(settings, sites, timeout_s=60),
        )
        if connection is not None:
            try:
                await _forward(settings, destinations, connection, forwarders, stop, crash_at)
            finally:
                await connection.close()
    finally:
        await port.close()
    return 0


def _own_port(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, admin_port=settings.forward_admin_port)


async def _forward(
    settings: Settings,
    destinations: Mapping[str, AnyDestination],
    connection: Connection,
    forwarders: list[Forwarder],
    stop: asyncio.Event,
    crash_at: Callable[[str], None],
) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka, **access(settings), acks="all", enable_idempotence=False
    )
    health = Health()

    async def started() -> bool:
        await start_client(producer)
        return True

    async def bury(dead: DeadForward) -> None:
        while True:
            try:
                await producer.send_and_wait(
                    settings.topic_forward_dead, encode(dead), key=f"{dead.destination}:{dead.event_id}".encode()
                )
            except KafkaError as error:
                line("warning", "waiting for Kafka to take a dead letter", why=type(error).__name__)
                await asyncio.sleep(1)
            else:
                return

    if await until(stop, health, f"Kafka at {settings.kafka}", started) is None:
        return
    try:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            folder = Path(settings.forward_destinations).parent
            for name, one in destinations.items():
                delivery = Delivery(
                    name,
                    one,
                    folder=folder,
                    warehouse=Warehouse(connection),
                    transport=Http(session),
                    bury=bury,
                    crash_at=crash_at,
                )
                forwarders.append(Forwarder(settings, delivery, crash_at))
                line("info", "forwarding", destination=name, platform=type(one).__name__, sites=",".join(one.sites))
            async with asyncio.TaskGroup() as tasks:
                for each in forwarders:
                    tasks.create_task(each.run(stop))
    except* Stop as group:
        raise group.exceptions[0] from None
    finally:
        await stop_client(producer)

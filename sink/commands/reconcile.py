"""`python -m sink reconcile`: compare consumed records with stored rows, by partition and hour.

It reads the topic again, from T to the group's commit, into a table of its own, and ClickHouse compares:
missing (neither stored nor in hits.dead), doubled (more stored rows than records), refused (in hits.dead).
Rows that an erasure or a TTL has deleted are missing too.
"""

import io
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime
from typing import Final

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from enricher.contract import COLUMNS, ROW_FORMAT, DeadHit, decode_dead
from sink.batch import is_row
from sink.clickhouse import TABLE, Connection, Stop, connect
from sink.settings import Settings
from stage.aiokafka_internals import start_client, stop_client
from stage.kafka import access

KEY: Final = COLUMNS[: COLUMNS.index("received_at") + 1]
"""The first columns of a row: enough to identify the event."""
CHUNK: Final = 20_000


Place = tuple[int, datetime]
"""A partition and an hour."""


class Line(msgspec.Struct, frozen=True, order=True):
    """One partition's records of one hour (UTC, by Kafka's timestamp)."""

    partition: int
    hour: datetime
    consumed: int
    stored: int
    refused: int
    missing: int
    doubled: int


async def command(settings: Settings, since: datetime, say: Callable[[str], None] = print) -> int:
    """Compare and print; 0 when nothing is missing or doubled, else 1."""
    if settings.shards:
        raise Stop(
            "reconcile compares with one server, and the rows lie on several: it cannot run with PHAROS_SINK_SHARDS"
        )
    connection = await connect(settings, timeout_s=3600)
    name = f"pharos.reconcile_{secrets.token_hex(8)}"
    try:
        types = await connection.query(
            "SELECT name, type FROM system.columns WHERE database = 'pharos' AND table = 'event_log'"
        )
        kinds = dict(types.result_rows)
        columns = ", ".join(f"{column} {kinds[column]}" for column in KEY)
        place = "p UInt32, o UInt64, t DateTime64(3, 'UTC')"
        await connection.command(f"CREATE TABLE {name} ({place}, {columns}) ENGINE = MergeTree ORDER BY (p, o)")
        consumed = await _read_again(settings, connection, name, since)
        letters = await _dead_letters(settings, since)
        refused = _refused(letters, settings.topic_enriched, since)
        lines = await _compare(connection, name, consumed, refused)
    finally:
        await connection.command(f"DROP TABLE IF EXISTS {name}")
        await connection.close()
    say(table(lines))
    gone = lost(letters)
    for letter in gone:
        place = f"{letter.topic}, partition {letter.partition}, from offset {letter.offset}"
        say(f"lost: {letter.records:,} records of {place}: {letter.detail}")
    return 1 if gone or any(line.missing or line.doubled for line in lines) else 0


def lost(letters: Iterable[DeadHit]) -> list[DeadHit]:
    """Return the letters about records that were gone from Kafka before they were read, each gap once."""
    found: dict[tuple[str, int, int], DeadHit] = {}
    for letter in letters:
        if letter.reason == "lost_records":
            place = (letter.topic, letter.partition, letter.offset)
            found[place] = max(letter, found.get(place, letter), key=lambda one: one.records)  # one may come twice
    return [found[place] for place in sorted(found)]


def table(lines: Iterable[Line]) -> str:
    """Return the report as text."""
    form = "{:>9}  {:<16}  {:>12} {:>12} {:>9} {:>9} {:>9}"
    lines = sorted(lines)
    text = [form.format("partition", "hour (UTC)", "consumed", "stored", "refused", "missing", "doubled")]
    for one in lines:
        counts = (one.consumed, one.stored, one.refused, one.missing, one.doubled)
        text.append(form.format(one.partition, f"{one.hour:%Y-%m-%d %H:%M}", *(f"{count:,}" for count in counts)))
    names = ("consumed", "stored", "refused", "missing", "doubled")
    sums = [sum(getattr(one, name) for one in lines) for name in names]
    return "\n".join([*text, form.format("all", "", *(f"{count:,}" for count in sums))])


async def _read_again(settings: Settings, connection: Connection, name: str, since: datetime) -> Counter[Place]:
    """Insert the key of each record from `since` to the group's commit into `name`; return the records by hour."""
    consumed: Counter[Place] = Counter()
    async for tp, records in _records(settings, settings.topic_enriched, since, committed=True):
        rows = []
        for record in records:
            consumed[tp.partition, _hour(record.timestamp)] += 1
            if is_row(record.value or b""):
                head = f'[{record.partition},{record.offset},"{record.timestamp / 1000:.3f}",'.encode()
                rows.append(head + record.value[1:])
        chosen: dict[str, object] = {
            "input_format_json_compact_allow_variable_number_of_columns": 1,
            "input_format_allow_errors_ratio": 1.0,  # refused rows are counted from hits.dead
            "async_insert": 0,
        }
        await connection.raw_insert(name, ["p", "o", "t", *KEY], io.BytesIO(b"".join(rows)), chosen, ROW_FORMAT)
    return consumed


async def _dead_letters(settings: Settings, since: datetime) -> list[DeadHit]:
    found = []
    async for _, records in _records(settings, settings.topic_dead, since, committed=False):
        found += [decode_dead(record.value) for record in records]
    return found


def _refused(letters: Iterable[DeadHit], topic: str, since: datetime) -> Counter[Place]:
    """Return, by partition and hour, the records since then that the sink sent to the dead letters."""
    found: dict[tuple[int, int], int] = {}
    for letter in letters:
        if letter.reason == "refused_by_clickhouse" and letter.topic == topic and letter.at >= _ms(since):
            found[letter.partition, letter.offset] = letter.at  # a letter may come twice
    return Counter((partition, _hour(at)) for (partition, _), at in found.items())


async def _records(
    settings: Settings, topic: str, since: datetime, *, committed: bool
) -> AsyncIterator[tuple[TopicPartition, list[ConsumerRecord]]]:
    """Yield (partition, records) from `since`, up to what the group has committed or to the topic's end."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=settings.kafka,
        **access(settings),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    await start_client(consumer)
    try:
        tps = sorted(consumer.assignment())
        if not tps:
            raise Stop(f"Kafka has no topic {topic}")
        ends: dict[TopicPartition, int] = await consumer.end_offsets(tps)
        if committed:
            ends |= await _commits(settings, tps)
        begins = await consumer.offsets_for_times(dict.fromkeys(tps, _ms(since)))
        for tp in tps:
            consumer.seek(tp, ends[tp] if begins[tp] is None else begins[tp].offset)
            while (at := await consumer.position(tp)) < ends[tp]:
                taken = await consumer.getmany(tp, timeout_ms=1000, max_records=min(CHUNK, ends[tp] - at))
                for records in taken.values():
                    yield tp, [record for record in records if record.offset < ends[tp]]
    finally:
        await stop_client(consumer)


async def _commits(settings: Settings, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka, **access(settings))
    await admin.start()
    try:
        found = await admin.list_consumer_group_offsets(settings.group, partitions=tps)
        return {tp: max(0, at.offset) for tp, at in found.items()}
    finally:
        await admin.close()


def _hour(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms // 3_600_000 * 3600, UTC)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


async def _compare(connection: Connection, name: str, consumed: Counter[Place], refused: Counter[Place]) -> list[Line]:
    # A record is stored if its event is; where an event has more rows than records, the rest are doubles, text once.
    found = await connection.query(
        f"""
        SELECT p, toUnixTimestamp(toStartOfHour(toDateTime(t, 'UTC'))), countIf(rows > 0),
               sumIf(greatest(rows, came) - came, first)
        FROM
        (
            SELECT p, o, t, (p, o) = min((p, o)) OVER event AS first, count() OVER event AS came, rows
            FROM {name} AS record
            LEFT JOIN
            (
                SELECT site, event_id, count() AS rows FROM {TABLE}
                WHERE (site, event_id) IN (SELECT site, event_id FROM {name}) GROUP BY site, event_id
            ) AS stored USING (site, event_id)
            WINDOW event AS (PARTITION BY site, event_id)
        )
        GROUP BY 1, 2
        """,  # noqa: S608  names of our own
    )
    stored = {(int(p), datetime.fromtimestamp(int(hour), UTC)): (int(n), int(d)) for p, hour, n, d in found.result_rows}
    lines = []
    for place, count in consumed.items():
        rows, doubled = stored.get(place, (0, 0))
        dead = min(refused[place], count - rows)
        lines.append(Line(*place, count, rows, dead, count - rows - dead, doubled))
    return lines

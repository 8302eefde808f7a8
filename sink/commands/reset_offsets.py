"""`python -m sink reset-offsets`: read hits.enriched again from an earlier point, and store its rows again.

Use it after rows were deleted or a backup was restored. Kafka's own tools can move the group's offsets too, but
ClickHouse remembers the tokens of the batches and drops their rows. This command raises the epoch in the tokens.
"""

import time
from collections.abc import Callable, Mapping
from datetime import datetime

from aiokafka import AIOKafkaConsumer, OffsetAndMetadata, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CommitFailedError

from sink import protocol
from sink.clickhouse import Stop
from sink.protocol import Committed
from sink.settings import Settings
from stage.aiokafka_internals import start_client, stop_client
from stage.kafka import access


def plan(
    found: Mapping[TopicPartition, Committed],
    starts: Mapping[TopicPartition, int],
    targets: Mapping[TopicPartition, int],
    now_s: int,
) -> dict[TopicPartition, Committed]:
    """Return what to commit for each partition that is to be read again; all of them get the same new epoch."""
    epoch = protocol.next_epoch(found.values(), now_s)
    chosen = {tp: protocol.reset(found.get(tp), starts[tp], target, epoch) for tp, target in targets.items()}
    return {tp: one for tp, one in chosen.items() if one is not None}


async def command(
    settings: Settings, since: datetime | None, *, dry_run: bool, say: Callable[[str], None] = print
) -> int:
    """Reset the group to the first records at or after `since` (None: to the log's start); return 0.

    Raises:
        Stop: a sink of the group is running, or there is no topic.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka,
        **access(settings),
        group_id=settings.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await start_client(consumer)
    try:
        partitions, found = await _committed(settings)
        consumer.assign(partitions)
        starts: dict[TopicPartition, int] = await consumer.beginning_offsets(partitions)
        targets = starts if since is None else await _first_since(consumer, partitions, since)
        chosen = plan(found, starts, targets, int(time.time()))
        for tp in partitions:
            before = found[tp].offset if tp in found else None
            then = f"{chosen[tp].offset}, epoch {chosen[tp].epoch}" if tp in chosen else "unchanged"
            say(f"partition {tp.partition}: offset {'none' if before is None else before} -> {then}")
        if dry_run:
            say("dry run: nothing was changed")
        elif chosen:
            commits = {
                tp: OffsetAndMetadata(one.offset, protocol.metadata(None, one.epoch)) for tp, one in chosen.items()
            }
            try:
                await consumer.commit(commits)
            except CommitFailedError:  # Kafka takes a commit of no member only while the group has none
                why = f"group {settings.group} has members: stop every sink, then run this again"
                raise Stop(why) from None
    finally:
        await stop_client(consumer)
    return 0


async def _committed(settings: Settings) -> tuple[list[TopicPartition], dict[TopicPartition, Committed]]:
    """Return the topic's partitions and the group's commits."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka, **access(settings))
    await admin.start()
    try:
        (topic,) = await admin.describe_topics([settings.topic_enriched])
        if topic["error_code"] or not topic["partitions"]:
            raise Stop(f"Kafka has no topic {settings.topic_enriched}")
        numbers = sorted(one["partition"] for one in topic["partitions"])
        partitions = [TopicPartition(settings.topic_enriched, number) for number in numbers]
        offsets = await admin.list_consumer_group_offsets(settings.group, partitions=partitions)
    finally:
        await admin.close()
    found = {tp: protocol.committed(at.offset, at.metadata or "") for tp, at in offsets.items() if at.offset >= 0}
    return partitions, found


async def _first_since(
    consumer: AIOKafkaConsumer, partitions: list[TopicPartition], since: datetime
) -> dict[TopicPartition, int]:
    ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
    first = await consumer.offsets_for_times(dict.fromkeys(partitions, int(since.timestamp() * 1000)))
    return {tp: ends[tp] if first[tp] is None else first[tp].offset for tp in partitions}

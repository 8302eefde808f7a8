"""A consumer of the sink's group: commits with metadata, reads them back, and finds the bounds of the log."""

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, OffsetAndMetadata, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)

from sink import metrics, protocol
from stage.aiokafka_internals import is_group_member, time_fetches
from stage.log import line


class GroupConsumer(AIOKafkaConsumer):  # type: ignore[misc]
    """A consumer whose commits are refused unless it is a member of its group."""

    def __init__(self, *, kafka: str, access: Mapping[str, Any], group: str, **settings: Any) -> None:
        super().__init__(bootstrap_servers=kafka, **access, group_id=group, **settings)
        self._kafka = kafka
        self._access = access
        self._group = group
        self._one_commit = asyncio.Lock()
        self.rewinds = False
        """Whether a partition whose position is not in the log any more is read from the log's start."""
        time_fetches(self, metrics.KAFKA_SECONDS.labels("fetch").observe)

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        """As aiokafka's, with `auto_offset_reset="none"`: no position outside the log is silently corrected.

        The workers seek to a start of their own. aiokafka may have noticed an unusable position before that, and
        reports it now; that is ignored.

        Raises:
            OffsetOutOfRangeError: the position is not in the log any more, and `rewinds` is not set.
        """
        try:
            found: dict[TopicPartition, list[ConsumerRecord]] = await super().getmany(
                *partitions, timeout_ms=timeout_ms, max_records=max_records
            )
        except NoOffsetForPartitionError:
            return {}
        except OffsetOutOfRangeError as error:
            for tp, at in error.args[0].items():
                if tp not in self.assignment() or await self.position(tp) != at:
                    continue
                if not self.rewinds:
                    raise
                self.seek(tp, (await self.beginning_offsets([tp]))[tp])
            return {}
        return found

    async def commit(self, offsets: dict[TopicPartition, OffsetAndMetadata]) -> None:
        """Commit as a member.

        After the coordinator has reported a stale generation, aiokafka commits without membership until it has joined
        again. Kafka accepts that while the group is empty, so a zombie could move offsets back.

        Raises:
            CommitFailedError: not a member now.
        """
        async with self._one_commit:
            if not is_group_member(self):
                raise CommitFailedError("not a member of the group now")
            with metrics.KAFKA_SECONDS.labels("commit").time():
                await super().commit(offsets)

    async def read_commits(self, partitions: list[TopicPartition]) -> dict[TopicPartition, protocol.Committed]:
        """Return the group's commits with their metadata; repeats until the broker answers.

        Raises:
            UnknownMetadata: see protocol.committed.
        """
        while True:
            admin = AIOKafkaAdminClient(bootstrap_servers=self._kafka, **self._access, request_timeout_ms=10_000)
            try:
                await admin.start()
                answer = await admin.list_consumer_group_offsets(self._group, partitions=partitions)
            except (KafkaError, OSError, TimeoutError) as error:
                line("warning", "waiting for the group's commits", why=f"{type(error).__name__}: {error}")
                await asyncio.sleep(0.5)
            else:
                return {
                    tp: protocol.committed(at.offset, at.metadata or "") for tp, at in answer.items() if at.offset >= 0
                }
            finally:
                await admin.close()

    async def keeps_metadata(self, tp: TopicPartition, found: protocol.Committed | None) -> bool:
        """Return whether the broker keeps commit metadata: commit again what is committed, and read it back."""
        offset = found.offset if found else (await self.beginning_offsets([tp]))[tp]
        text = (protocol.metadata(found.intent, found.epoch) if found else "") or protocol.PROBE
        while True:
            try:
                await self.commit({tp: OffsetAndMetadata(offset, text)})
                break
            except (CommitFailedError, IllegalStateError):
                raise asyncio.CancelledError from None  # a rebalance came in between; the next assignment repeats this
            except KafkaError as error:
                line("warning", "waiting for a commit", why=str(error))
                await asyncio.sleep(0.5)
        admin = AIOKafkaAdminClient(bootstrap_servers=self._kafka, **self._access)
        try:
            await admin.start()
            answer = await admin.list_consumer_group_offsets(self._group, partitions=[tp])
        finally:
            await admin.close()
        return bool(answer[tp].metadata == text)

    async def log(self, tp: TopicPartition, found: protocol.Committed | None) -> protocol.Log:
        """Return the log's bounds; waits up to 30 s for an end that lags after a change of leader."""
        for _ in range(30):
            starts = await self.beginning_offsets([tp])
            ends = await self.end_offsets([tp])
            log = protocol.Log(starts[tp], ends[tp])
            if protocol.whole(found, log):
                break
            await asyncio.sleep(1.0)
        return log

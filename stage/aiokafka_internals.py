"""Everything that uses aiokafka beyond its documented interface, in one file, for the minor version in WRITTEN_FOR.

pyproject.toml pins that minor version. Read this file against aiokafka's source before the pin is raised.
stage/record_batch.py follows the private interface of its batch builder.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult
from aiokafka.errors import CorruptRecordException, KafkaConnectionError, KafkaError
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.util import calc_crc32c

__all__ = ["calc_crc32c", "gzip_encode", "lz4_encode", "snappy_encode", "zstd_encode"]

WRITTEN_FOR: Final = "0.14"
STOP_S: Final = 5.0
END_S: Final = 2.0


async def start_client(client: AIOKafkaProducer | AIOKafkaConsumer) -> None:
    """Start a producer or consumer; raises what its `start` raises.

    A broker that has just come back may answer that there is no broker, itself neither. aiokafka takes the answer and
    then asserts that it knows one; here that is a KafkaConnectionError, as if the broker were not there yet.
    """
    try:
        await client.start()
    except AssertionError as error:
        raise KafkaConnectionError(str(error)) from error


async def stop_client(client: AIOKafkaProducer | AIOKafkaConsumer) -> None:
    """Stop a producer or consumer within STOP_S; after that, end its tasks and close its connections.

    aiokafka's `stop` closes the connections last, after it has waited for its sender, whose batches never expire in an
    idempotent producer (aiokafka #1101). A client that is left there keeps its memory and may deliver a batch later.
    """
    # In a task of its own: a consumer's `stop` awaits tasks that it has cancelled, so it ends as cancelled itself.
    stop = asyncio.create_task(client.stop())
    try:
        await asyncio.wait([stop], timeout=STOP_S)
    finally:
        ended = stop.done() and not stop.cancelled()
        stop.cancel()
    if ended:
        with contextlib.suppress(KafkaError, TimeoutError, OSError):
            stop.result()
            return
    owners = [getattr(client, name, None) for name in ("_sender", "_message_accumulator", "_coordinator", "_fetcher")]
    owners = [owner for owner in owners if owner is not None]
    left: list[asyncio.Task[Any]] = [stop]
    for task in asyncio.all_tasks():
        frame = getattr(task.get_coro(), "cr_frame", None)
        if frame is not None and any(frame.f_locals.get("self") is owner for owner in owners):
            task.cancel()
            left.append(task)
    with contextlib.suppress(KafkaError, TimeoutError, OSError):
        async with asyncio.timeout(END_S):
            await asyncio.gather(*left, return_exceptions=True)
            await (client.client if isinstance(client, AIOKafkaProducer) else client._client).close()


def time_fetches(consumer: AIOKafkaConsumer, took: Callable[[float], object]) -> None:
    """Call `took` with the seconds of each fetch, from the request to the broker's answer."""
    send = consumer._client.send

    async def timed(node: int, request: Any, **options: Any) -> Any:
        began = time.perf_counter()
        answer = await send(node, request, **options)
        if isinstance(request, FetchRequest):
            took(time.perf_counter() - began)
        return answer

    consumer._client.send = timed


def is_group_member(consumer: AIOKafkaConsumer) -> bool:
    """Return whether the consumer has a valid generation of its group now."""
    return bool(consumer._coordinator.generation >= 0)


class PartitionAnswer:
    """One partition's part of the answer to a fetch: its record batches, and the consumer's position.

    It decides which batches are read as aiokafka does: no control batches, no aborted transactions under
    read_committed.
    """

    def __init__(self, result: FetchResult) -> None:
        self._result: Final = result
        self._records: Final = result._partition_records
        self._records._records_iterator = None  # it would keep the whole answer in memory by a cycle

    @property
    def position(self) -> int:
        """The offset of the next record to read."""
        return int(self._records.next_fetch_offset)

    @position.setter
    def position(self, offset: int) -> None:
        self._records.next_fetch_offset = offset

    def may_be_read(self) -> bool:
        """Return whether something is left, and the partition is still assigned and at this position."""
        result = self._result
        return bool(result.has_more() and result.check_assignment(result._topic_partition))

    def next_batch(self) -> Any | None:
        """Return the next batch to read, or None at the end; moves the position past batches that are not read.

        Raises:
            CorruptRecordException: the next batch is damaged; the batches after it cannot be read.
        """
        records = self._records
        memory = records._records
        while memory.has_next():
            batch = memory.next_batch()
            if records._check_crcs and not batch.validate_crc():
                records._records = _NO_BATCHES
                raise CorruptRecordException(f"Invalid CRC - {records._tp}")
            if self._is_read(batch):
                return batch
            records.next_fetch_offset = batch.next_offset
        return None

    def _is_read(self, batch: Any) -> bool:
        records = self._records
        if records._isolation_level == READ_COMMITTED and batch.producer_id is not None:
            records._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and records._contains_abort_marker(batch):
                records._aborted_producers.discard(batch.producer_id)
            if batch.is_transactional and batch.producer_id in records._aborted_producers:
                return False
        return not batch.is_control_batch

    def settle(self) -> None:
        """Move the consumer to the position."""
        self._result._update_position()

    def finish(self) -> None:
        """Move the consumer to the position; nothing is left."""
        self._result._update_position()
        self._result._partition_records = None


class _NoBatches:
    """The batches after a corrupt one."""

    def has_next(self) -> bool:
        return False


_NO_BATCHES: Final = _NoBatches()

Taker = Callable[[int | None], Any]


class Answers(dict[Any, Any]):
    """The fetcher's answers by partition. `getall` of each is replaced by a taker."""

    def __init__(self, taker: Callable[[PartitionAnswer], Taker]) -> None:
        super().__init__()
        self._taker: Final = taker

    def __setitem__(self, source: Any, answer: Any) -> None:
        if type(answer) is FetchResult:
            answer.getall = self._taker(PartitionAnswer(answer))
        super().__setitem__(source, answer)

    def __delitem__(self, source: Any) -> None:
        _release(self[source])
        super().__delitem__(source)

    def clear(self) -> None:
        for answer in self.values():
            _release(answer)
        super().clear()


def _release(answer: Any) -> None:
    """Break the cycle of an answer that was not read to its end and its taker."""
    if type(answer) is FetchResult:
        answer.getall = None


def take_by(consumer: AIOKafkaConsumer, taker: Callable[[PartitionAnswer], Taker]) -> None:
    """Make `getmany` return what the takers return. The consumer has started and has fetched nothing yet.

    `taker` gets the answer of one partition and returns a function: largest number of records or None -> the records.
    """
    consumer._fetcher._records = Answers(taker)

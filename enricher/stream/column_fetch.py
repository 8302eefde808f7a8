"""What a fetch brought, as columns: offsets, timestamps, values; without an object a record.

Reason: aiokafka makes a ConsumerRecord of eleven fields of each record, of which three are read here; making and
forgetting them costs a tenth of what a hit costs in all. The rest is aiokafka's own: which batches count (transactions,
control batches, offsets already seen), and where the consumer stands.
tests/enricher/stream/test_column_fetch.py compares the two.
"""

from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException

MOST_BYTES: Final = 16 << 20
"""Of values in one take and partition, but for the last batch: a record may be a hundred times as large as most, and
what is fetched is bounded compressed only."""


class FetchedColumns:
    """BatchWriter of one partition, in order."""

    def __init__(self, offsets: list[int], timestamps: list[int], values: list[bytes]) -> None:
        self.offsets: Final = offsets
        self.timestamps: Final = timestamps
        """Milliseconds since the epoch; -1: none."""
        self.values: Final = values
        """Empty for a record without a value."""

    def __len__(self) -> int:
        return len(self.values)


class _ColumnReader:
    """Takes what is in one answer to a fetch, batch by batch; stands for `FetchResult.getall`."""

    def __init__(self, result: FetchResult) -> None:
        self._result: Final = result
        result._partition_records._records_iterator = None  # it would keep the whole answer in memory by a cycle
        self._batch = FetchedColumns([], [], [])
        self._batch_end = 0
        """Offset behind the batch."""
        self._at = 0

    def __call__(self, max_records: int | None = None) -> FetchedColumns:
        """Return the next records, all or at most so many, and move the consumer's position past them.

        Fewer where they are large: no further batch is unpacked once MOST_BYTES are taken.

        Raises:
            CorruptRecordException: of the next batch; what comes after it is not to be had.
        """
        result = self._result
        taken = FetchedColumns([], [], [])
        if not result.has_more() or not result.check_assignment(result._topic_partition):
            self._batch = taken
            return taken
        records = result._partition_records
        size = 0
        while size < MOST_BYTES and (max_records is None or len(taken) < max_records):
            if self._at == len(self._batch) and not self._next(records):
                result._update_position()
                result._partition_records = None
                self._batch = FetchedColumns([], [], [])
                return taken
            end = len(self._batch)
            if max_records is not None:
                end = min(end, self._at + max_records - len(taken))
            taken.offsets.extend(self._batch.offsets[self._at : end])
            taken.timestamps.extend(self._batch.timestamps[self._at : end])
            values = self._batch.values[self._at : end]
            taken.values.extend(values)
            size += sum(map(len, values))
            self._at = end
            records.next_fetch_offset = self._batch_end if end == len(self._batch) else taken.offsets[-1] + 1
        result._update_position()
        return taken

    def _next(self, records: PartitionRecords) -> bool:
        """Unpack the next batch that holds records to read; False: there is none."""
        memory = records._records
        while memory.has_next():
            batch = memory.next_batch()
            if records._check_crcs and not batch.validate_crc():
                records._records = _NO_BATCHES
                raise CorruptRecordException(f"Invalid CRC - {records._tp}")
            if not _counts(records, batch):
                records.next_fetch_offset = batch.next_offset
                continue
            found = list(batch)
            first_wanted = records.next_fetch_offset
            if found and found[0].offset < first_wanted:
                found = [record for record in found if record.offset >= first_wanted]
            self._batch = FetchedColumns(
                [record.offset for record in found],
                [record.timestamp for record in found],
                [record.value or b"" for record in found],
            )
            self._batch_end = batch.next_offset
            self._at = 0
            if found:
                return True
            records.next_fetch_offset = batch.next_offset
        return False


class _NoBatches:
    """Stands for the batches behind a corrupt one."""

    def has_next(self) -> bool:
        return False


_NO_BATCHES: Final = _NoBatches()


def _counts(records: PartitionRecords, batch: Any) -> bool:
    """Tell whether a batch is one to read: no control batch, and under read_committed of no aborted transaction."""
    if records._isolation_level == READ_COMMITTED and batch.producer_id is not None:
        records._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch and records._contains_abort_marker(batch):
            records._aborted_producers.discard(batch.producer_id)
        if batch.is_transactional and batch.producer_id in records._aborted_producers:
            return False
    return not batch.is_control_batch


class _FetchResults(dict[Any, Any]):
    """The fetcher's answers by partition, each of which is taken in columns."""

    def __setitem__(self, source: Any, answer: Any) -> None:
        if type(answer) is FetchResult:
            answer.getall = _ColumnReader(answer)
        super().__setitem__(source, answer)

    def __delitem__(self, source: Any) -> None:
        _forget(self[source])
        super().__delitem__(source)

    def clear(self) -> None:
        for answer in self.values():
            _forget(answer)
        super().clear()


def _forget(answer: Any) -> None:
    """Let go of an answer that was not taken, or not whole: it and its taker would keep each other until collected."""
    if type(answer) is FetchResult:
        answer.getall = None


def take_columns(consumer: AIOKafkaConsumer) -> None:
    """Make `getmany` of a consumer return FetchedColumns by partition; to be called before the first fetch."""
    consumer._fetcher._records = _FetchResults()

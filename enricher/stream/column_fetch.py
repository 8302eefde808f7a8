"""The records of a fetch as columns: offsets, timestamps, values; without an object per record.

Reason: aiokafka makes a ConsumerRecord of eleven fields of each record, of which three are read here; making and
freeing them costs a tenth of what a hit costs in all. tests/enricher/stream/test_column_fetch.py compares the two.
"""

from typing import Final

from aiokafka import AIOKafkaConsumer

from stage.aiokafka_internals import PartitionAnswer, take_by

MOST_BYTES: Final = 16 << 20
"""Of values in one take and partition, but for the last batch: a record may be a hundred times as large as most, and
what is fetched is bounded compressed only."""


class FetchedColumns:
    """Records of one partition, in order."""

    def __init__(self, offsets: list[int], timestamps: list[int], values: list[bytes]) -> None:
        self.offsets: Final = offsets
        self.timestamps: Final = timestamps
        """Milliseconds since the epoch; -1: none."""
        self.values: Final = values
        """Empty for a record without a value."""

    def __len__(self) -> int:
        return len(self.values)


class _ColumnReader:
    """Takes the records of one partition's answer to a fetch, batch by batch."""

    def __init__(self, answer: PartitionAnswer) -> None:
        self._answer: Final = answer
        self._batch = FetchedColumns([], [], [])
        self._batch_end = 0
        """Offset after the batch."""
        self._at = 0

    def __call__(self, max_records: int | None = None) -> FetchedColumns:
        """Return the next records, at most `max_records` if given, and move the consumer's position past them.

        Fewer where they are large: no further batch is unpacked once MOST_BYTES are taken.

        Raises:
            CorruptRecordException: the next batch is damaged; the batches after it cannot be read.
        """
        answer = self._answer
        taken = FetchedColumns([], [], [])
        if not answer.may_be_read():
            self._batch = taken
            return taken
        size = 0
        while size < MOST_BYTES and (max_records is None or len(taken) < max_records):
            if self._at == len(self._batch) and not self._next():
                answer.finish()
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
            answer.position = self._batch_end if end == len(self._batch) else taken.offsets[-1] + 1
        answer.settle()
        return taken

    def _next(self) -> bool:
        """Unpack the next batch that contains records to read; return False if there is none."""
        answer = self._answer
        while (batch := answer.next_batch()) is not None:
            found = list(batch)
            first_wanted = answer.position
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
            answer.position = batch.next_offset
        return False


def take_columns(consumer: AIOKafkaConsumer) -> None:
    """Make `getmany` of a consumer return FetchedColumns by partition. It has started, and fetched nothing yet."""
    take_by(consumer, _ColumnReader)

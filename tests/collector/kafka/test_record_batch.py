"""Our record batches are what aiokafka's own reader, and so Kafka's, reads, for batches of any blocks."""

import os

from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.kafka.record_batch import BlockBatch
from collector.spool.block import Block, joined, pack

TURNS = st.lists(
    st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=60)
    | st.binary(min_size=1, max_size=300).map(lambda payload: [payload] * 200),
    min_size=1,
    max_size=8,
)


def read(blocks: list[Block], at_ms: int) -> list[bytes]:
    """Return the values as aiokafka reads them from a batch of these blocks."""
    batch = BlockBatch(blocks, at_ms)
    batch._set_producer_state(7, 3, 42)
    seen = MemoryRecords(bytes(batch._build())).next_batch()
    assert seen is not None
    assert seen.validate_crc()
    assert (seen.producer_id, seen.producer_epoch, seen.base_sequence) == (7, 3, 42)
    assert seen.next_offset == batch.record_count()
    values = []
    for number, record in enumerate(seen):
        assert (record.offset, record.timestamp, record.key) == (number, at_ms, None)
        values.append(record.value or b"")
    return values


@settings(max_examples=200, deadline=None)
@given(TURNS, st.integers(0, 1 << 40))
def test_blocks_that_follow_each_other_are_a_batch(turns: list[list[bytes]], at_ms: int) -> None:
    blocks, hits = [], 0
    for payloads in turns:
        blocks.append(pack(payloads, hits))
        hits += len(payloads)
    assert joined(blocks) == blocks
    assert read(blocks, at_ms) == [payload for payloads in turns for payload in payloads]


@settings(max_examples=100, deadline=None)
@given(TURNS, st.data())
def test_any_blocks_can_be_joined(turns: list[list[bytes]], data: st.DataObject) -> None:
    blocks = [pack(payloads, data.draw(st.integers(0, 10_000))) for payloads in turns]
    assert read(joined(blocks), 0) == [payload for payloads in turns for payload in payloads]


def test_what_cannot_be_compressed_is_stored() -> None:
    noise = os.urandom(100_000)
    assert read([pack([noise])], 0) == [noise]

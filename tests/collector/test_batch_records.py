"""Our record batches are what aiokafka's own reader, and so Kafka's, reads."""

import os

import pytest
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.batch_records import Batch, lz4_frame, varint


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=200), st.integers(0, 1 << 40))
def test_a_batch_is_read_back(payloads: list[bytes], at_ms: int) -> None:
    batch = Batch(payloads, at_ms)
    batch._set_producer_state(7, 3, 42)
    read = MemoryRecords(bytes(batch._build())).next_batch()
    assert read is not None
    assert read.validate_crc()
    assert (read.producer_id, read.producer_epoch, read.base_sequence) == (7, 3, 42)
    assert read.next_offset == len(payloads) == batch.record_count()
    assert [(r.offset, r.timestamp, r.key, r.value) for r in read] == [
        (offset, at_ms, None, payload) for offset, payload in enumerate(payloads)
    ]


def test_what_cannot_be_compressed_is_stored() -> None:
    noise = os.urandom(100_000)
    read = MemoryRecords(bytes(Batch([noise], 0)._build())).next_batch()
    assert read is not None
    assert [record.value for record in read] == [noise]


def test_more_than_one_block_is_refused() -> None:
    with pytest.raises(ValueError, match="block"):
        lz4_frame(bytes(5 << 20))


@pytest.mark.parametrize(
    ("number", "text"), [(0, b"\0"), (1, b"\2"), (63, b"\x7e"), (64, b"\x80\1"), (8191, b"\xfe\x7f")]
)
def test_varints(number: int, text: bytes) -> None:
    assert varint(number) == text

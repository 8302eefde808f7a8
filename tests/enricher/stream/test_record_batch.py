"""Batches as they go to Kafka: aiokafka reads what was put in, with every codec."""

import pytest
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given, settings
from hypothesis import strategies as st
from librt.strings import BytesWriter

from enricher.stream.record_batch import CODECS, Batch, BatchWriter, write_varint

HEAD = 61
"""Bytes of a batch before its records."""
_VALUES = st.lists(
    st.tuples(st.binary(max_size=300) | st.binary(min_size=9_000, max_size=9_001), st.integers(-1, 2**44)),
    min_size=1,
    max_size=20,
)


def read(batch: Batch) -> list[tuple[int, int, bytes | None, bytes]]:
    """Offset, timestamp, key and value of each record."""
    stored = MemoryRecords(bytes(batch._build()))
    found = stored.next_batch()
    assert found is not None
    assert found.validate_crc()
    assert not stored.has_next()
    assert stored.size_in_bytes() == batch.size()
    return [(record.offset, record.timestamp, record.key, bytes(record.value)) for record in found]


@settings(max_examples=100, deadline=None)
@given(_VALUES, st.sampled_from(sorted(CODECS)), st.integers(1, 20_000), st.booleans())
def test_what_goes_into_batches_comes_out(
    given_values: list[tuple[bytes, int]], codec: str, most_bytes: int, transactional: bool
) -> None:
    records = BatchWriter(codec, most_bytes, transactional=transactional)
    for value, timestamp in given_values:
        records.add(value, timestamp)
    assert records.count == len(given_values)
    batches = records.batches()
    found = [each for batch in batches for each in read(batch)]
    assert [(value, timestamp) for _, timestamp, _, value in found] == given_values
    for batch in batches:
        inside = read(batch)
        assert [(offset, key) for offset, _, key, _ in inside] == [(number, None) for number in range(len(inside))]
        assert batch.record_count() == len(inside)
        assert len(inside) == 1 or sum(len(value) for *_, value in inside) <= most_bytes


@pytest.mark.parametrize("transactional", [False, True])
def test_a_batch_says_whose_it_is(transactional: bool) -> None:
    records = BatchWriter("zstd", 1000, transactional=transactional)
    records.add(b"one", 7)
    records.add(b"two", 5)
    records.add(b"three", 9)
    (batch,) = records.batches()
    batch._set_producer_state(17, 2, 40)
    found = MemoryRecords(bytes(batch._build())).next_batch()
    assert found is not None
    assert (found.producer_id, found.is_transactional, found.next_offset) == (17, transactional, 3)
    assert (found.first_timestamp, found.max_timestamp) == (7, 9)
    assert [record.timestamp for record in found] == [7, 5, 9]


def test_a_batch_is_bounded_with_all_that_stands_around_its_values() -> None:
    for most_bytes in range(100, 140):
        records = BatchWriter("none", most_bytes, transactional=False)
        for number in range(9):
            records.add(b"x" * 30, number)
        assert all(batch.size() - HEAD <= most_bytes for batch in records.batches())


def test_each_batch_has_its_own_times() -> None:
    records = BatchWriter("none", 40, transactional=False)
    for timestamp in (99, 5):
        records.add(b"x" * 30, timestamp)
    found = [MemoryRecords(bytes(batch._build())).next_batch() for batch in records.batches()]
    assert [(batch.first_timestamp, batch.max_timestamp) for batch in found if batch] == [(99, 99), (5, 5)]


def test_nothing_makes_no_batch() -> None:
    assert BatchWriter("zstd", 1000, transactional=False).batches() == []


@pytest.mark.parametrize(
    ("number", "coded"), [(0, "00"), (-1, "01"), (1, "02"), (63, "7e"), (64, "8001"), (-65, "8101")]
)
def test_varint(number: int, coded: str) -> None:
    out = BytesWriter()
    write_varint(out, number)
    assert out.getvalue().hex() == coded

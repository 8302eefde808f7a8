"""Blocks: what is packed comes out again, in groups of bounded size; anything else is refused by a ValueError."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.spool.block import MOST_PLAIN_BYTES, Block, grouped, pack, unpack, varint
from tests.collector import scale

EXAMPLES = settings(max_examples=scale.of(small=200, full=20_000), deadline=None)
PAYLOADS = st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=100)


@EXAMPLES
@given(PAYLOADS | PAYLOADS.map(lambda some: some * 50), st.integers(0, 100_000))
def test_what_is_packed_comes_out_again(payloads: list[bytes], first: int) -> None:
    block = pack(payloads, first)
    assert (block.first, block.hits) == (first, len(payloads))
    assert len(block.data) <= block.plain_bytes
    assert unpack(block) == payloads


def test_only_what_is_large_enough_is_compressed() -> None:
    small, large = pack([b"x" * 1000]), pack([b"x" * 10_000])
    assert len(small.data) == small.plain_bytes
    assert len(large.data) < large.plain_bytes / 10


@EXAMPLES
@given(st.lists(st.sampled_from([1, 1000, 100_000, 300_000]), min_size=1, max_size=30))
def test_groups_keep_order_and_bound(sizes: list[int]) -> None:
    payloads = [bytes([number]) * size for number, size in enumerate(sizes)]
    groups = grouped(payloads)
    assert [payload for group in groups for payload in group] == payloads
    assert all(group for group in groups)
    assert all(len(group) == 1 or sum(map(len, group)) <= MOST_PLAIN_BYTES for group in groups)


@EXAMPLES
@given(st.binary(max_size=60), st.integers(0, 5), st.integers(0, 200))
def test_what_was_not_packed_is_refused_or_read_but_never_breaks(data: bytes, hits: int, plain_bytes: int) -> None:
    try:
        found = unpack(Block(0, hits, max(plain_bytes, len(data)), data))
    except ValueError:
        return
    assert len(found) == hits


@pytest.mark.parametrize(
    ("number", "text"), [(0, b"\0"), (1, b"\2"), (63, b"\x7e"), (64, b"\x80\1"), (8191, b"\xfe\x7f")]
)
def test_varints(number: int, text: bytes) -> None:
    assert varint(number) == text

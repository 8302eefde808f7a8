"""What stays in memory between spool and Kafka: the same hits in the same order, however blocks grow together."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from collector.kafka.unsent_buffer import UnsentBuffer
from collector.spool.acknowledged import Position
from collector.spool.block import joined, pack, unpack
from collector.spool.inventory import Chunk

HIT = b'{"v":1,"id":"0190163d8694739bbb9ef0a1b5c3d0f7","at":1718452094612,"kind":"pixel","site":"shop","query":"%d"}'


def chunks(turns: list[tuple[int, bool, bool]]) -> list[Chunk]:
    """Return what a spool would write: for each turn its hits, whether a batch begins, whether a segment does."""
    found: list[Chunk] = []
    segment = offset = hits = number = 0
    for size, new_batch, new_segment in turns:
        if new_segment:
            segment, offset = segment + 1, 0
        first = 0 if new_batch else hits
        block = pack([HIT % (number + each) for each in range(size)], first)
        hits, number = first + size, number + size
        start = Position(segment, offset)
        offset += 24 + len(block.data)
        found.append(Chunk(start, Position(segment, offset), block))
    return found


def payloads(found: list[Chunk]) -> list[bytes]:
    return [payload for chunk in found for payload in unpack(chunk.block)]


SELDOM = st.integers(0, 9).map(lambda number: number == 0)
TURNS = st.lists(st.tuples(st.integers(1, 120), SELDOM, SELDOM), min_size=1)


@given(TURNS, st.lists(st.booleans()))
def test_what_comes_out_is_what_went_in(turns: list[tuple[int, bool, bool]], pops: list[bool]) -> None:
    recent = UnsentBuffer(1 << 30)
    written, taken = chunks(turns), []
    for chunk, pop in zip(written, pops + [False] * len(written), strict=False):
        recent.add(chunk)
        assert recent.has_whole_batch == any(each.block.first == 0 for each in list(recent._chunks)[1:])
        if pop:
            taken.append(recent.pop())
    batches = []
    while recent:
        assert recent.start >= (taken[-1].end if taken else Position(0, 0))
        batches.append(recent.batch())
        taken += batches[-1]
    assert recent.bytes == 0
    assert payloads(taken) == payloads(written)
    assert (taken[0].start, taken[-1].end) == (written[0].start, written[-1].end)
    assert all(before.end <= after.start for before, after in pairwise(taken))
    for batch in batches:
        assert [chunk.block.first for chunk in batch[1:]] == [
            chunk.block.first + chunk.block.hits for chunk in batch[:-1]
        ]


@given(TURNS)
def test_a_batch_needs_no_new_numbers(turns: list[tuple[int, bool, bool]]) -> None:
    recent = UnsentBuffer(1 << 30)
    for chunk in chunks([(size, number == 0, new_segment) for number, (size, _, new_segment) in enumerate(turns)]):
        recent.add(chunk)
    blocks = [chunk.block for chunk in recent.batch()]
    assert not recent
    assert all(before is after for before, after in zip(blocks, joined(blocks), strict=True))


def test_small_blocks_are_compressed_before_their_batch_leaves() -> None:
    recent = UnsentBuffer(1 << 30)
    written = chunks([(4, False, False)] * 200)
    for chunk in written:
        recent.add(chunk)
    blocks = [chunk.block for chunk in recent.batch()]
    plain = [block for block in blocks if len(block.data) == block.plain_bytes]
    assert 0 < sum(block.plain_bytes for block in plain) < 32 << 10
    assert len(blocks) - len(plain) == 2


def test_small_blocks_are_compressed_when_a_large_one_follows() -> None:
    recent = UnsentBuffer(1 << 30)
    for chunk in chunks([(4, False, False)] * 6 + [(200, False, False)]):
        recent.add(chunk)
    assert [len(chunk.block.data) < chunk.block.plain_bytes for chunk in recent.batch()] == [True, True]


@given(TURNS, st.integers(1, 60_000))
def test_it_holds_no_more_than_it_may_and_forgets_the_oldest(
    turns: list[tuple[int, bool, bool]], most_bytes: int
) -> None:
    recent = UnsentBuffer(most_bytes)
    written = chunks(turns)
    held = []
    for chunk in written:
        recent.add(chunk)
        assert recent.bytes <= most_bytes
    while recent:
        held.append(recent.pop())
    assert payloads(written)[-len(payloads(held)) :] == payloads(held) or not held
    assert not held or held[-1].end == written[-1].end


def test_blocks_of_two_segments_stay_apart() -> None:
    recent = UnsentBuffer(1 << 30)
    for chunk in chunks([(40, False, False), (40, False, True), (40, False, False)] * 5):
        recent.add(chunk)
    for chunk in recent.batch():
        assert chunk.start.segment == chunk.end.segment


def test_blocks_of_two_batches_stay_apart() -> None:
    recent = UnsentBuffer(1 << 30)
    for chunk in chunks([(40, number % 3 == 0, False) for number in range(30)]):
        recent.add(chunk)
    assert [sum(chunk.block.hits for chunk in recent.batch()) for _ in range(10)] == [120] * 10


def test_a_block_of_the_spool_is_left_as_it_is() -> None:
    recent = UnsentBuffer(1 << 30)
    (chunk,) = chunks([(2, True, False)])
    recent.add(chunk)
    assert recent.pop() == chunk

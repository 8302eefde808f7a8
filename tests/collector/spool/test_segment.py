"""Segments: after any damage each untouched block is read back, in order, and nothing else."""

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.spool.block import Block, pack
from collector.spool.segment import LARGEST_DATA, frame, scan
from tests.collector import scale

PAYLOADS = st.lists(st.text(min_size=1, max_size=40).map(str.encode), min_size=1, max_size=5)
BLOCKS = st.lists(PAYLOADS | PAYLOADS.map(lambda some: some * 300), min_size=1, max_size=12).map(
    lambda groups: [pack(group, number) for number, group in enumerate(groups)]
)
"""Some are compressed, some are not."""
EXAMPLES = settings(max_examples=scale.of(small=300, full=20_000), deadline=None)


def framed(blocks: list[Block]) -> bytes:
    return b"".join(map(frame, blocks))


def bounds(blocks: list[Block]) -> list[tuple[int, int]]:
    """Return where each block lies."""
    found, at = [], 0
    for block in blocks:
        found.append((at, at + len(frame(block))))
        at = found[-1][1]
    return found


@EXAMPLES
@given(BLOCKS)
def test_what_is_framed_is_read_back(blocks: list[Block]) -> None:
    seen = scan(framed(blocks), last=True)
    assert seen.blocks == blocks
    assert seen.ends == [end for _, end in bounds(blocks)]
    assert seen.damage == []


@EXAMPLES
@given(BLOCKS, st.data())
def test_damage_costs_only_the_blocks_it_touches(blocks: list[Block], data: st.DataObject) -> None:
    whole = framed(blocks)
    start = data.draw(st.integers(0, len(whole) - 1))
    harm = data.draw(st.one_of(st.binary(min_size=1, max_size=30), st.integers(1, 200).map(bytes)))
    harmed = whole[:start] + harm[: len(whole) - start] + whole[start + len(harm) :]
    touched = [end > start and begin < start + len(harm) for begin, end in bounds(blocks)]
    seen = scan(harmed, last=True)
    kept = [block for block, bad in zip(blocks, touched, strict=True) if not bad]
    # A harm that changes nothing (the same bytes again) may leave a touched block whole.
    assert all(block in blocks for block in seen.blocks)
    remaining = iter(seen.blocks)
    assert all(block in remaining for block in kept), "an untouched block was lost, or the order changed"


@EXAMPLES
@given(BLOCKS, st.data())
def test_a_torn_tail_is_the_only_damage_of_a_cut(blocks: list[Block], data: st.DataObject) -> None:
    whole = framed(blocks)
    cut = data.draw(st.integers(0, len(whole)))
    seen = scan(whole[:cut], last=True)
    assert seen.blocks == [block for block, (_, end) in zip(blocks, bounds(blocks), strict=True) if end <= cut]
    assert sum(stop - start for start, stop in seen.damage) == cut - (seen.ends[-1] if seen.ends else 0)


@EXAMPLES
@given(BLOCKS, st.floats(0.01, 1.1), st.binary(max_size=6))
def test_any_partition_into_pieces_reads_the_same(blocks: list[Block], share: float, garbage: bytes) -> None:
    whole = framed(blocks) + garbage
    step = max(1, int(len(whole) * share))
    found: list[Block] = []
    held = b""
    for at in range(0, len(whole) + step, step):
        more = whole[at : at + step]
        held += more
        seen = scan(held, last=not more)
        found += seen.blocks
        held = held[seen.read_to :]
    assert found == blocks


def test_a_block_that_holds_the_mark_of_another_is_waited_for() -> None:
    """Compressed bytes may be any, also those with which a block begins; a piece may end right behind them."""
    outer = Block(0, 1, 1000, frame(pack([b"inner"])) + b"more")
    whole = frame(outer)
    for cut in range(len(whole)):
        seen = scan(whole[:cut], last=False)
        assert not seen.blocks
        assert not seen.damage
    assert scan(whole, last=False).blocks == [outer]


def test_a_length_out_of_bounds_is_damage_not_patience() -> None:
    good, bad = frame(pack([b"a"])), bytearray(frame(pack([b"b"])))
    bad[8:12] = (LARGEST_DATA + 1).to_bytes(4, "little")
    assert scan(bytes(bad) + good, last=False).blocks == [pack([b"a"])]

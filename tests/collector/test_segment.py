"""Segments: whatever happens to the bytes, each record that was not touched is read back, in order, nothing else."""

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.segment import HEADER_BYTES, LARGEST_PAYLOAD, frame, scan
from tests.collector import scale

PAYLOADS = st.lists(st.text(min_size=1, max_size=40).map(str.encode), min_size=1, max_size=12)
EXAMPLES = settings(max_examples=scale.of(small=300, full=20_000), deadline=None)


def bounds(payloads: list[bytes]) -> list[tuple[int, int]]:
    """Return where each record lies."""
    found, at = [], 0
    for payload in payloads:
        found.append((at, at + HEADER_BYTES + len(payload)))
        at = found[-1][1]
    return found


@EXAMPLES
@given(PAYLOADS)
def test_what_is_framed_is_read_back(payloads: list[bytes]) -> None:
    seen = scan(frame(payloads), last=True)
    assert seen.payloads == payloads
    assert seen.ends == [end for _, end in bounds(payloads)]
    assert seen.damage == []


@EXAMPLES
@given(PAYLOADS, st.data())
def test_damage_costs_only_the_records_it_touches(payloads: list[bytes], data: st.DataObject) -> None:
    whole = frame(payloads)
    start = data.draw(st.integers(0, len(whole) - 1))
    harm = data.draw(st.one_of(st.binary(min_size=1, max_size=30), st.integers(1, 200).map(bytes)))
    harmed = whole[:start] + harm[: len(whole) - start] + whole[start + len(harm) :]
    touched = [end > start and begin < start + len(harm) for begin, end in bounds(payloads)]
    seen = scan(harmed, last=True)
    kept = [payload for payload, bad in zip(payloads, touched, strict=True) if not bad]
    # A harm that changes nothing (the same bytes again) may leave a touched record whole.
    assert [p for p in seen.payloads if p in kept or p in payloads] == seen.payloads
    remaining = iter(seen.payloads)
    assert all(payload in remaining for payload in kept), "an untouched record was lost, or the order changed"


@EXAMPLES
@given(PAYLOADS, st.data())
def test_a_torn_tail_is_the_only_damage_of_a_cut(payloads: list[bytes], data: st.DataObject) -> None:
    whole = frame(payloads)
    cut = data.draw(st.integers(0, len(whole)))
    seen = scan(whole[:cut], last=True)
    fits = [payload for payload, (_, end) in zip(payloads, bounds(payloads), strict=True) if end <= cut]
    assert seen.payloads == fits
    assert sum(stop - start for start, stop in seen.damage) == cut - (seen.ends[-1] if seen.ends else 0)


@EXAMPLES
@given(PAYLOADS, st.integers(1, 60), st.binary(max_size=6))
def test_any_partition_into_pieces_reads_the_same(payloads: list[bytes], step: int, garbage: bytes) -> None:
    whole = frame(payloads) + garbage
    found: list[bytes] = []
    held = b""
    for at in range(0, len(whole) + step, step):
        more = whole[at : at + step]
        held += more
        seen = scan(held, last=not more)
        found += seen.payloads
        held = held[seen.read_to :]
    assert found == payloads


def test_a_length_out_of_bounds_is_damage_not_patience() -> None:
    good = frame([b"a"])
    bad = bytearray(frame([b"b"]))
    bad[4:8] = (LARGEST_PAYLOAD + 1).to_bytes(4, "little")
    seen = scan(bytes(bad) + good, last=False)
    assert seen.payloads == [b"a"]

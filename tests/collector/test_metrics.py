"""The workers' tallies: added up they say what one worker alone would have said."""

from hypothesis import given
from hypothesis import strategies as st

from collector.metrics import SECONDS, Tally, text, total

took = st.lists(st.tuples(st.floats(0, 60), st.integers(1, 50)), max_size=30)


def tally(observed: list[tuple[float, int]]) -> Tally:
    made = Tally()
    for seconds, by in observed:
        made.histogram("answer_seconds", "fast").observe(seconds, by)
        made.add("hits_total", "shop", "accepted", by=by)
    return made


@given(st.lists(took, min_size=1, max_size=4), took)
def test_histograms_of_workers_add_up_also_of_those_that_are_gone(
    living: list[list[tuple[float, int]]], gone: list[tuple[float, int]]
) -> None:
    sums = total([tally(one).snapshot() for one in living], [tally(gone).snapshot()])
    every = [one for each in (*living, gone) for one in each]
    lines = dict(line.rsplit(" ", 1) for line in text(sums).decode().splitlines() if not line.startswith("#"))
    if not every:
        return
    name = 'pharos_collector_answer_seconds_bucket{lane="fast",le="%s"}'
    for bound in SECONDS:
        assert float(lines[name % bound]) == sum(by for seconds, by in every if seconds <= bound)
    count = sum(by for _, by in every)
    assert float(lines[name % "+Inf"]) == count
    assert float(lines['pharos_collector_answer_seconds_count{lane="fast"}']) == count
    assert float(lines['pharos_collector_hits_total{result="accepted",site="shop"}']) == count
    added = sum(seconds * by for seconds, by in every)
    assert abs(float(lines['pharos_collector_answer_seconds_sum{lane="fast"}']) - added) <= 1e-6 * added + 1e-9

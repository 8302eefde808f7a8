"""The workers' tallies: their sum is what one worker alone would report."""

from hypothesis import given
from hypothesis import strategies as st

from collector.metrics import DROPPABLE, METRICS, MOST_SITES, SECONDS, Tally, text, total

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
    name = 'pharos_collector_answer_seconds_bucket{le="%s",path="fast"}'
    for bound in SECONDS:
        assert float(lines[name % bound]) == sum(by for seconds, by in every if seconds <= bound)
    count = sum(by for _, by in every)
    assert float(lines[name % "+Inf"]) == count
    assert float(lines['pharos_collector_answer_seconds_count{path="fast"}']) == count
    assert float(lines['pharos_collector_hits_total{result="accepted",site="shop"}']) == count
    added = sum(seconds * by for seconds, by in every)
    assert abs(float(lines['pharos_collector_answer_seconds_sum{path="fast"}']) - added) <= 1e-6 * added + 1e-9


def shown(tallies: list[Tally]) -> dict[str, float]:
    """Return the samples, without the prefix, of these workers."""
    lines = text(total(one.snapshot() for one in tallies)).decode().splitlines()
    told = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name.removeprefix("pharos_collector_"): float(value) for name, value in told.items()}


def test_sites_past_the_bound_share_a_label_and_no_hit_is_left_out() -> None:
    """For any number of sites and workers the time series are bounded; the file's first sites have names."""
    sites = [f"site-{number:04}" for number in reversed(range(3 * MOST_SITES))]
    workers = [Tally(), Tally()]
    for number, worker in enumerate(workers):
        worker.name_sites(sites)
        for site in sites[:: number + 1]:
            worker.add("hits_total", site, "accepted")
        worker.add("hits_total", "", "unknown_site")
    hits = {name: value for name, value in shown(workers).items() if name.startswith("hits_total")}
    assert len(hits) == MOST_SITES + 2
    assert hits[f'hits_total{{result="accepted",site="{sites[0]}"}}'] == 2
    assert hits[f'hits_total{{result="accepted",site="{sites[1]}"}}'] == 1
    assert hits['hits_total{result="accepted",site="_other"}'] == 2 * MOST_SITES + MOST_SITES
    assert hits['hits_total{result="unknown_site",site=""}'] == 2
    assert sum(hits.values()) == 4.5 * MOST_SITES + 2


def test_dropped_fields_share_the_sites_labels() -> None:
    worker = Tally()
    sites = [f"site-{number}" for number in range(MOST_SITES + 3)]
    worker.name_sites(sites)
    for site in sites:
        worker.add("dropped_fields_total", site, "url")
    worker.add("dropped_fields_total", sites[-1], "value")
    counts = {name: value for name, value in shown([worker]).items() if name.startswith("dropped_fields_total")}
    assert len(counts) == (MOST_SITES + 1) * len(DROPPABLE)
    assert counts['dropped_fields_total{field="referrer",site="site-0"}'] == 0
    assert counts['dropped_fields_total{field="url",site="_other"}'] == 3
    assert counts['dropped_fields_total{field="value",site="_other"}'] == 1


def test_a_site_keeps_its_label_when_the_file_changes() -> None:
    """Else a counter would jump: from one name to another."""
    worker = Tally()
    worker.name_sites(f"site-{number}" for number in range(MOST_SITES - 1))
    worker.add("hits_total", "site-0", "accepted")
    worker.name_sites(f"new-{number}" for number in range(MOST_SITES))
    for site in ("site-0", "new-0", "new-1"):
        worker.add("hits_total", site, "accepted")
    hits = shown([worker])
    assert hits['hits_total{result="accepted",site="site-0"}'] == 2
    assert hits['hits_total{result="accepted",site="new-0"}'] == 1
    assert hits['hits_total{result="accepted",site="_other"}'] == 1
    assert 'hits_total{result="accepted",site="new-1"}' not in hits


def test_what_never_happened_is_shown_at_zero() -> None:
    """The first 503 is then an increase from 0 to 1, which an alert sees."""
    hits = shown([Tally()])
    for name, declared in METRICS.items():
        if declared.kind == "counter" and name not in ("hits_total", "dropped_fields_total"):
            (*_, label) = declared.labels or ("",)
            series = [f'{name}{{{label}="{value}"}}' for value in declared.begin] if label else [name]
            assert series, f"{name} begins at no value of {label}"
            assert [hits[one] for one in series] == [0] * len(series)
    worker = Tally()
    worker.name_sites(["shop"])
    worker.add("spool_refused_total", "full", by=3)
    hits = shown([worker])
    assert hits['spool_refused_total{why="full"}'] == 3
    assert hits['spool_refused_total{why="floor"}'] == 0
    assert hits['hits_total{result="accepted",site="shop"}'] == 0

"""The audit's arithmetic against a second, plainer one; and the wait for the pipeline to come to rest."""

import itertools
from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.check import audit
from loadtest.check.stored_hits import StoreUnavailable
from loadtest.drive import verdict

outcome = st.sampled_from(
    [verdict.UNANSWERED, verdict.ACCEPTED, verdict.REFUSED, verdict.WRONGLY_REFUSED, verdict.FAILED]
)
hit = st.tuples(outcome, st.sampled_from([0, 0, 1, 1, 1, 2, 3]))
"""What was answered, and how many rows there are."""


@given(st.lists(st.lists(hit, max_size=40), min_size=1, max_size=3), st.integers(0, 3), st.randoms())
def test_every_kind_of_fault_is_counted(senders: list[list[tuple[int, int]]], strange: int, random: object) -> None:
    totals = [bytes(outcome for outcome, _ in hits) for hits in senders]
    rows = [(i, n) for i, hits in enumerate(senders) for n, (_, times) in enumerate(hits) for _ in range(times)]
    rows += [(len(senders) + 7, n) for n in range(strange)]
    random.shuffle(rows)  # type: ignore[attr-defined]
    found = audit.compare("0badcafe", totals, rows, log_rows=[*rows, *rows])
    every = [hit for hits in senders for hit in hits]
    counts = Counter(every)
    assert found.sent == len(every)
    assert found.accepted == sum(1 for outcome, _ in every if outcome == verdict.ACCEPTED)
    assert found.missing == counts[verdict.ACCEPTED, 0]
    assert found.stored == found.accepted - found.missing
    assert found.doubled == sum(1 for _, times in every if times > 1)
    assert found.unknown == strange
    wrong = (verdict.REFUSED, verdict.WRONGLY_REFUSED, verdict.FAILED)
    assert found.refused_but_stored == sum(counts[each, 1] for each in wrong)
    assert found.unanswered_stored == counts[verdict.UNANSWERED, 1]
    assert found.repeats == len(rows)
    wrongly = any(outcome == verdict.WRONGLY_REFUSED for outcome, _ in every)
    bad = found.missing + found.doubled + found.unknown + found.refused_but_stored
    assert bool(found.faults()) == (wrongly or bad > 0)
    assert len(found.examples) <= audit.EXAMPLES


class Filling:
    """A store into which events come, a few a look, and which is away at times."""

    def __init__(self, counts: Iterable[int | None]) -> None:
        self.counts = iter(counts)

    def count(self, run: str, since: float) -> int:
        found = next(self.counts)
        if found is None:
            raise StoreUnavailable("gone")
        return found

    def rows(self, run: str, since: float, *, log: bool) -> Iterable[tuple[int, int]]:
        return ()

    def visible(self, ids: list[str], since: float) -> set[str]:
        return set()


class Clock:
    """Replaces the module `time`: sleeping takes no time."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(audit, "time", found)
    return found


def test_it_waits_while_events_come_and_while_the_store_is_away(clock: Clock) -> None:
    seen: list[int] = []
    store = Filling(itertools.chain([0, 5, None, 8], itertools.repeat(10)))
    settled_s = audit.settle(store, "r", 0, 10, quiet_s=30, at_most_s=60, tell=seen.append)
    assert seen == [0, 5, 8, 10]
    assert settled_s == 2.0, "four pauses of half a second before the last event"
    assert clock.now - 1000 == settled_s + 1, "and a second more, in which a repeat could have come"


def test_it_gives_up_on_what_does_not_come(clock: Clock) -> None:
    assert audit.settle(Filling(itertools.repeat(3)), "r", 0, 10, quiet_s=30, at_most_s=60) == 0
    assert clock.now - 1000 == 30


def test_it_waits_no_longer_than_its_bound(clock: Clock) -> None:
    assert audit.settle(Filling(itertools.count()), "r", 0, 10_000, quiet_s=30, at_most_s=60) == 60
    assert clock.now - 1000 == 60

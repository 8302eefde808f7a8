"""Freshness: every hit gets its turn, however many before it are lost."""

from collections.abc import Iterable

from loadtest.check import freshness
from loadtest.drive.measurements import Measurements
from loadtest.traffic.request_template import hit_id
from loadtest.traffic.schedule import Schedule, constant

LOST = 3 * freshness.ASKED


class Lossy:
    """A store without the first hits of a run."""

    def __init__(self) -> None:
        self.questions: list[list[str]] = []

    def count(self, run: str, since: float) -> int:
        return 0

    def rows(self, run: str, since: float, *, log: bool) -> Iterable[tuple[int, int]]:
        return ()

    def visible(self, ids: list[str], since: float) -> set[str]:
        self.questions.append(ids)
        return {each for each in ids if int(each[14:], 16) >= LOST}


def following(count: int) -> freshness.Monitor:
    """Return a monitor that follows `count` hits, and whose threads do not run."""
    one = freshness.Monitor("0badcafe", None, ())
    measured = Measurements(Schedule(constant(1, 1)), 1, 0.0)
    one._threads = []
    measured.probes = [(0, number, 0.0) for number in range(count)]
    one.follow(measured)
    return one


def test_lost_hits_do_not_starve_those_after_them() -> None:
    one, store = following(LOST + 50), Lossy()
    for _ in range(4):
        one.ask(store)
    assert len(one.fresh) == 50
    assert set(one.outstanding) == {hit_id("0badcafe", 0, number) for number in range(LOST)}
    assert all(len(ids) <= freshness.ASKED for ids in store.questions)


def test_lost_hits_take_turns() -> None:
    """One that comes after minutes is found too: none is asked for twice before each has been asked for once."""
    one, store = following(LOST), Lossy()
    for _ in range(6):
        one.ask(store)
    first, second = store.questions[:3], store.questions[3:]
    assert sorted(each for ids in first for each in ids) == sorted(one.outstanding)
    assert first == second


def test_what_was_not_found_is_told_with_how_long_it_was_looked_for() -> None:
    one = following(3)
    one.ask(Lossy())
    one.stop()
    waited = [hit.after_s for hit in one.unseen()]
    assert len(waited) == 3
    assert min(waited) > 0
    assert waited == [hit.after_s for hit in one.unseen()], "the looking has ended"

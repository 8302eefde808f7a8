"""The offsets: in any order of copies, results and rebalances, no event that is not done is passed."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sink.forward.pending import Key, Pending

EVENTS = st.integers(0, 5).map(lambda number: Key("shop", str(number)))


class Partitions(RuleBasedStateMachine):
    """Two partitions; a model that knows of each record whether its event was ever done after it was read."""

    def __init__(self) -> None:
        super().__init__()
        self.pending = Pending(10)
        self.now = 0.0
        self.next = [0, 0]
        self.records: list[dict[int, Key | None]] = [{}, {}]
        self.done: set[Key] = set()

    @rule(partition=st.integers(0, 1), key=EVENTS | st.none())
    def read(self, partition: int, key: Key | None) -> None:
        offset = self.next[partition]
        self.next[partition] += 1
        self.records[partition][offset] = key
        position = ("t", partition, offset)
        if key is None:
            self.pending.skip(position)
        else:
            first = self.pending.add(key, 0, position, self.now)
            assert not (first and key in self.done)

    @rule(seconds=st.floats(0, 30))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(most=st.integers(1, 4))
    def send(self, most: int) -> None:
        for each in self.pending.due(self.now, most):
            assert self.now >= each.since + 10
            self.pending.done(each.key)
            self.done.add(each.key)

    @rule(partition=st.integers(0, 1))
    def revoke(self, partition: int) -> None:
        """Another reads on from what was committed; later it comes back from there."""
        committed = self.pending.offsets().get(("t", partition), 0)
        self.pending.forget({("t", partition)})
        self.next[partition] = committed
        self.records[partition] = {at: key for at, key in self.records[partition].items() if at < committed}

    @invariant()
    def no_open_event_is_passed(self) -> None:
        for (_, partition), offset in self.pending.offsets().items():
            for at, key in self.records[partition].items():
                assert at >= offset or key is None or key in self.done


TestPartitions = Partitions.TestCase
TestPartitions.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_many_copies_take_no_room() -> None:
    pending = Pending(0)
    for offset in range(1_000):
        pending.add(Key("shop", "a"), 0, ("t", 0, offset), 0)
    (waiting,) = pending.due(0, 10)
    assert len(waiting.positions) == 1
    assert pending.offsets() == {("t", 0): 0}
    pending.done(waiting.key)
    assert pending.offsets() == {("t", 0): 1_000}


def test_an_event_is_missed_from_the_first_call_on() -> None:
    pending = Pending(0)
    pending.add(Key("shop", "a"), 0, ("t", 0, 0), 0)
    assert pending.missed_s(Key("shop", "a"), 30_000) == 0
    assert pending.missed_s(Key("shop", "a"), 30_010) == 10


def test_an_event_of_a_partition_that_is_gone_is_left_alone() -> None:
    pending = Pending(0)
    pending.add(Key("shop", "a"), 0, ("t", 0, 0), 0)
    pending.forget({("t", 0)})
    pending.later(Key("shop", "a"), 5)
    assert pending.missed_s(Key("shop", "a"), 5) == 0
    assert len(pending) == 0


def test_everything_done_passes_everything() -> None:
    pending = Pending(0)
    for offset in range(5):
        pending.add(Key("shop", str(offset % 2)), 0, ("t", 0, offset), 0)
    assert pending.offsets() == {("t", 0): 0}
    for each in pending.due(0, 10):
        pending.done(each.key)
    assert pending.offsets() == {("t", 0): 5}
    assert len(pending) == 0

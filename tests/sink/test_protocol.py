"""The protocol: as a table, and as a world in which anything may crash at any step.

Long: the world that crashes is read next to its table.
"""

import contextlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sink.protocol import (
    PROBE,
    BatchReady,
    Closing,
    CommitDone,
    CommitRefused,
    Committed,
    Declaring,
    Event,
    Gone,
    Idle,
    Impossible,
    Inserting,
    InsertRefused,
    InsertUnknown,
    Intent,
    Isolated,
    Isolating,
    Log,
    Range,
    Refetching,
    Revoked,
    State,
    Stored,
    UnknownMetadata,
    committed,
    lost,
    metadata,
    next_epoch,
    reset,
    resume,
    step,
    token,
    whole,
)

ROWS = Intent(10, 19, 1_000)
FENCED = CommitRefused("another generation")

TABLE: list[tuple[str, bool, State, Event, State]] = [
    ("a batch is declared before anything else", True, Idle(10), BatchReady(ROWS), Declaring(ROWS)),
    ("a batch may start past offsets without a record", True, Idle(7), BatchReady(ROWS), Declaring(ROWS)),
    ("without metadata there is nothing to declare", False, Idle(10), BatchReady(ROWS), Inserting(ROWS)),
    ("declared: now insert", True, Declaring(ROWS), CommitDone(), Inserting(ROWS)),
    ("an insert without an answer stays open", True, Inserting(ROWS), InsertUnknown(), Inserting(ROWS)),
    ("stored but not committed", True, Inserting(ROWS), Stored(), Closing(ROWS)),
    ("refused: the bad rows are sought", True, Inserting(ROWS), InsertRefused(), Isolating(ROWS)),
    ("the rest is inserted under the same intent", True, Isolating(ROWS), Isolated(rest=True), Inserting(ROWS)),
    ("no good row is left: close", True, Isolating(ROWS), Isolated(rest=False), Closing(ROWS)),
    ("committed", True, Closing(ROWS), CommitDone(), Idle(20)),
    ("fenced at the intent", True, Declaring(ROWS), FENCED, Gone("another generation")),
    ("fenced while inserting", True, Inserting(ROWS), FENCED, Gone("another generation")),
    ("fenced at the end", True, Closing(ROWS), FENCED, Gone("another generation")),
    ("rebalanced away with nothing in hand", True, Idle(10), Revoked(), Gone("revoked")),
    ("rebalanced away with an intent open", True, Inserting(ROWS), Revoked(), Gone("revoked")),
    ("rebalanced away before the last commit", True, Closing(ROWS), Revoked(), Gone("revoked")),
    ("what is gone stays gone", True, Gone("revoked"), CommitDone(), Gone("revoked")),
    ("an intent that was found is inserted", True, Refetching(ROWS, Range(10, 19)), BatchReady(ROWS), Inserting(ROWS)),
    ("also where the log has lost its start", True, Refetching(ROWS, Range(15, 19)), BatchReady(ROWS), Inserting(ROWS)),
]


@pytest.mark.parametrize(("shows", "intents", "state", "event", "next_state"), TABLE, ids=[row[0] for row in TABLE])
def test_the_table(shows: str, intents: bool, state: State, event: Event, next_state: State) -> None:
    assert step(state, event, intents=intents) == next_state


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (Idle(10), CommitDone()),
        (Idle(15), BatchReady(ROWS)),
        (Declaring(ROWS), Stored()),
        (Closing(ROWS), Stored()),
        (Isolating(ROWS), Stored()),
        (Refetching(ROWS, Range(10, 19)), BatchReady(Intent(10, 18, 1_000))),
    ],
)
def test_what_cannot_happen_is_a_mistake_of_the_program(state: State, event: Event) -> None:
    with pytest.raises(Impossible):
        step(state, event, intents=True)


LOG = Log(0, 100)
RESUME: list[tuple[str, Committed | None, Log, State]] = [
    ("nothing committed: from the log's start", None, Log(5, 100), Idle(5)),
    ("committed", Committed(20), LOG, Idle(20)),
    ("committed, at the end", Committed(100), LOG, Idle(100)),
    ("retention went past what was committed", Committed(20), Log(50, 100), Idle(50)),
    ("another log under the old name", Committed(200), LOG, Idle(0)),
    ("an intent", Committed(10, ROWS), LOG, Refetching(ROWS, Range(10, 19))),
    ("the log lost the intent's start", Committed(10, ROWS), Log(15, 100), Refetching(ROWS, Range(15, 19))),
    ("the log lost all of the intent", Committed(10, ROWS), Log(50, 100), Idle(50)),
    ("the log lost the intent's end", Committed(10, ROWS), Log(0, 15), Refetching(ROWS, Range(10, 14))),
    ("the log lost more than the intent", Committed(10, ROWS), Log(0, 5), Idle(0)),
]


@pytest.mark.parametrize(("shows", "found", "log", "state"), RESUME, ids=[row[0] for row in RESUME])
def test_where_to_begin(shows: str, found: Committed | None, log: Log, state: State) -> None:
    assert resume(found, log) == state


LOST: list[tuple[str, Committed | None, Log, int]] = [
    ("nothing was committed", None, Log(5, 100), 0),
    ("all that was committed is followed by records", Committed(20), LOG, 0),
    ("committed, at the end", Committed(100), LOG, 0),
    ("retention went up to what was committed", Committed(50), Log(50, 100), 0),
    ("retention went past what was committed", Committed(20), Log(50, 100), 30),
    ("retention took all there was", Committed(20), Log(100, 100), 80),
    ("another log under the old name", Committed(200), LOG, 1),
    ("an intent", Committed(10, ROWS), LOG, 0),
    ("the log lost the intent's start", Committed(10, ROWS), Log(15, 100), 5),
    ("the log lost all of the intent, and more", Committed(10, ROWS), Log(50, 100), 40),
    ("the log lost the intent's end", Committed(10, ROWS), Log(0, 15), 5),
    ("the log lost more than the intent", Committed(10, ROWS), Log(0, 5), 10),
]


@pytest.mark.parametrize(("shows", "found", "log", "records"), LOST, ids=[row[0] for row in LOST])
def test_records_that_are_gone_are_counted(shows: str, found: Committed | None, log: Log, records: int) -> None:
    assert lost(found, log)[1] == records


@given(st.integers(0, 50), st.none() | st.integers(0, 10), st.integers(0, 50), st.integers(0, 50))
def test_what_is_lost_and_what_is_read_are_all_there_was(
    offset: int, more: int | None, start: int, length: int
) -> None:
    found = Committed(offset, None if more is None else Intent(offset, offset + more, 0))
    log = Log(start, start + length)
    if not whole(found, log):
        return
    match resume(found, log):
        case Idle(at):
            read = range(at, log.end)
        case Refetching(intent, fetch):
            read = range(fetch.first, fetch.last + 1)
            log = Log(log.start, intent.last + 1)
        case state:
            raise AssertionError(state)
    assert len(read) + lost(found, Log(start, start + length))[1] == log.end - offset


def test_a_log_that_lags_behind_its_commits_is_seen() -> None:
    assert whole(None, LOG)
    assert whole(Committed(100), LOG)
    assert whole(Committed(90, Intent(90, 99, 0)), LOG)
    assert not whole(Committed(101), LOG)
    assert not whole(Committed(90, Intent(90, 100, 0)), LOG)


EPOCHS = st.just(0) | st.integers(1, 2**40)


@given(st.integers(0, 2**62), st.none() | st.integers(0, 2**20), st.integers(0, 2**45), EPOCHS)
def test_metadata_is_read_back(first: int, more: int | None, at: int, epoch: int) -> None:
    intent = None if more is None else Intent(first, first + more, at)
    assert committed(first, metadata(intent, epoch)) == Committed(first, intent, epoch)
    assert len(metadata(intent, epoch)) < 100  # brokers take 4,096 bytes


def test_metadata_without_an_intent() -> None:
    assert metadata(None) == ""
    assert committed(5, "") == committed(5, PROBE) == Committed(5)


@pytest.mark.parametrize(
    "text",
    [
        "what is this",
        '{"v":3,"to":9}',
        '{"v":2,"to":9}',
        '{"v":1,"to":9,"epoch":7}',
        '{"v":2,"epoch":-1}',
        '{"to":9}',
        '{"v":1,"to":3}',
        '{"v":1,"to":"9"}',
        "[]",
    ],
)
def test_metadata_of_another_kind_stops_the_sink(text: str) -> None:
    with pytest.raises(UnknownMetadata):
        committed(5, text)


def test_the_token_names_the_topic_partition_range_and_first_record() -> None:
    assert token("hits.enriched", 3, Intent(10, 19, 1_000)) == "hits.enriched:3:10-19:1000"
    assert token("hits.enriched", 3, Intent(10, 19, 1_000), 7) == "hits.enriched:3:10-19:1000:7"


def test_a_reset_reads_again_under_a_new_epoch_and_skips_nothing() -> None:
    assert reset(Committed(50, None, 3), 0, 20, 4) == Committed(20, None, 4)
    assert reset(Committed(10, ROWS), 0, 5, 4) == Committed(5, None, 4)
    assert reset(Committed(10, ROWS), 0, 10, 4) == Committed(10, None, 4), "the intent's rows may be deleted too"
    assert reset(Committed(10, ROWS), 0, 15, 4) == Committed(10, None, 4)
    assert reset(Committed(10, ROWS), 0, 20, 4) is None
    assert reset(Committed(50), 0, 60, 4) is None
    assert reset(None, 3, 20, 4) == Committed(3, None, 4)


@given(st.lists(st.builds(Committed, st.just(5), st.none(), EPOCHS)), st.integers(0, 2**40))
def test_a_new_epoch_is_new_for_every_partition(found: list[Committed], now_s: int) -> None:
    assert next_epoch(found, now_s) >= now_s
    assert all(next_epoch(found, now_s) > one.epoch for one in found)


class World:
    """A broker's commits and a ClickHouse that knows tokens; rows are their offsets."""

    def __init__(self, end: int) -> None:
        self.end = end
        self.commit: tuple[int, str] | None = None
        self.stored: Counter[int] = Counter()
        self.tokens: set[str] = set()
        self.dead: set[int] = set()
        self.now_s = 0
        self.may_double: set[int] = set()
        """Rows of an intent before the target of a reset: perhaps stored twice; the view shows each once."""

    def restore(self, target: int) -> None:
        """Lose the rows from `target` on, but not the tokens; then reset the offsets to there."""
        self.stored = Counter({row: count for row, count in self.stored.items() if row < target})
        found = None if self.commit is None else committed(*self.commit)
        self.now_s += 1
        if found and found.intent and found.offset < target:
            self.may_double |= set(range(found.offset, target))
        again = reset(found, 0, target, next_epoch([found] if found else [], self.now_s))
        if again is not None:
            self.commit = (again.offset, metadata(None, again.epoch))

    def insert(self, name: str, rows: list[int]) -> None:
        if name not in self.tokens:
            self.tokens.add(name)
            self.stored.update(rows)


class Crash(Exception):
    pass


def one_life(world: World, draw: st.DataObject, bad: set[int]) -> None:
    """Run a sink until it has stored all, or crashes: before, or after, any of its effects."""

    def may_crash() -> None:
        if draw.draw(st.integers(0, 5), label="crash") == 0:
            raise Crash

    found = None if world.commit is None else committed(*world.commit)
    state = resume(found, Log(0, world.end))
    epoch = found.epoch if found else 0
    rows: list[int] = []
    while True:
        may_crash()
        event: Event
        match state:
            case Idle(offset) if offset == world.end:
                return
            case Idle(offset):
                last = draw.draw(st.integers(offset, world.end - 1), label="last")
                rows = list(range(offset, last + 1))
                event = BatchReady(Intent(offset, last, 0))
            case Refetching(intent, fetch):
                rows = list(range(fetch.first, fetch.last + 1))
                event = BatchReady(intent)
            case Declaring(intent):
                world.commit = (intent.first, metadata(intent, epoch))
                event = CommitDone()
            case Inserting(intent):
                if bad & set(rows):
                    event = InsertRefused()
                else:
                    world.insert(token("t", 0, intent, epoch), rows)
                    event = Stored() if draw.draw(st.booleans(), label="answered") else InsertUnknown()
            case Isolating():
                world.dead |= bad & set(rows)
                rows = [row for row in rows if row not in bad]
                event = Isolated(bool(rows))
            case Closing(intent):
                world.commit = (intent.last + 1, metadata(None, epoch))
                event = CommitDone()
            case _:
                raise AssertionError(state)
        may_crash()
        state = step(state, event, intents=True)


@given(st.data(), st.integers(1, 30))
def test_whatever_crashes_every_row_is_stored_once(draw: st.DataObject, end: int) -> None:
    world = World(end)
    bad = draw.draw(st.sets(st.integers(0, end - 1), max_size=3), label="bad")
    for _ in range(30):
        try:
            one_life(world, draw, bad)
            break
        except Crash:
            continue
    offset = world.commit[0] if world.commit else 0
    done = set(range(offset)) - bad
    assert set(world.stored) >= done
    assert max(world.stored.values(), default=0) <= 1
    assert world.dead <= bad
    assert bad & set(range(offset)) <= world.dead


@given(st.data(), st.integers(1, 12))
def test_restore_then_reset_stores_every_row_once(draw: st.DataObject, end: int) -> None:
    """Rows vanish while ClickHouse keeps their tokens, and the operator resets the offsets: between any two crashes."""
    world = World(end)
    for _ in range(draw.draw(st.integers(1, 2), label="restores")):
        for _ in range(draw.draw(st.integers(1, 3), label="lives")):
            with contextlib.suppress(Crash):
                one_life(world, draw, set())
        world.restore(draw.draw(st.integers(0, end), label="target"))
    for _ in range(10):
        with contextlib.suppress(Crash):
            one_life(world, draw, set())
            break
    offset = world.commit[0] if world.commit else 0
    assert set(world.stored) >= set(range(offset))
    assert all(count <= 1 or row in world.may_double for row, count in world.stored.items())

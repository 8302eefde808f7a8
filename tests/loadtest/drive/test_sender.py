"""The sender on a clock of the test: no machine, no network, so that latencies are exactly what arithmetic says."""

import asyncio
import heapq
import itertools
from collections.abc import Callable

import pytest

from loadtest.drive import sender as module
from loadtest.drive.measurements import Measurements
from loadtest.drive.plan import Target
from loadtest.drive.sender import Connection, Sender
from loadtest.traffic import profiles
from loadtest.traffic.schedule import Schedule, arrivals, constant

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Pharos: accepted\r\n\r\n"
RATE, CONNECTIONS = 1_000, 16


class Wire(asyncio.Transport):
    """Takes requests for a server that answers each at the moment that `answers_at` says; None: never."""

    def __init__(self, world: "World") -> None:
        super().__init__()
        self.world = world
        self.connection: Connection

    def write(self, data: object) -> None:
        at = self.world.answers_at(self.world.now)
        if at is not None:
            self.world.later(at, lambda: self.connection.data_received(ANSWER))

    def abort(self) -> None:
        self.world.later(self.world.now, lambda: self.connection.connection_lost(None))


class World:
    """The clock, and what is to happen when."""

    def __init__(self, answers_at: Callable[[float], float | None]) -> None:
        self.now = 0.0
        self.answers_at = answers_at
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def later(self, at: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (at, next(self._order), call))

    def run(self, until: float) -> None:
        while self._agenda and self._agenda[0][0] <= until:
            self.now, _, call = heapq.heappop(self._agenda)
            call()
        self.now = until


@pytest.fixture
def drive(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Sender, Measurements]]:
    """`drive(answers_at, seconds, until)`: a sender that has served its schedule, and what was measured; no churn."""

    def driven(
        answers_at: Callable[[float], float | None],
        seconds: float,
        until: float,
        timeout_s: float = 10,
        again: bool = True,
    ) -> tuple[Sender, Measurements]:
        world = World(answers_at)
        monkeypatch.setattr(module, "clock", lambda: world.now)
        target = Target(host="127.0.0.1", port=1, connections=CONNECTIONS, churn=0, timeout_s=timeout_s)
        plan = Schedule(constant(RATE, seconds))
        templates = profiles.pool("pixel", 1, profiles.Surface(), 50)
        sender = Sender(target, templates, iter(()), run="0badcafe", index=0, seed=1, probes_per_s=0)
        monkeypatch.setattr(sender, "reconnect", lambda: connect(sender, world) if again else None)
        for _ in range(CONNECTIONS):
            connect(sender, world)
        for at in arrivals(plan, seed=1):
            world.later(at, lambda at=at: due(sender, at))  # type: ignore[misc]
        measured = Measurements(plan, 1, 0.0)
        for tenth in range(1, int(until * 10) + 1):
            world.run(tenth / 10)
            sender.sweep(world.now)
            measured.add(0, sender.cut(world.now))
        sender.close(world.now)
        measured.add(0, sender.cut(world.now))
        return sender, measured

    return driven


def connect(sender: Sender, world: World) -> None:
    wire = Wire(world)
    wire.connection = Connection(sender)
    wire.connection.connection_made(wire)


def due(sender: Sender, at: float) -> None:
    sender.next_at = at
    sender.due(at)


async def test_a_stall_of_one_second_is_measured_to_a_thousandth(
    drive: Callable[..., tuple[Sender, Measurements]],
) -> None:
    """Of 4,000 requests those of the second's stall take 1,000 ms, 999 ms ... 1 ms, all others none."""
    sender, measured = drive(lambda now: 1.2 if 0.2 <= now < 1.2 else now, seconds=4, until=5)
    assert sender.requests == sender.answers == measured.latency.get_total_count() == 4 * RATE
    for percentile in (76, 80, 90, 95, 99, 99.9):
        expected_us = 1e6 * (1 - 4 * (1 - percentile / 100))
        assert measured.latency.get_value_at_percentile(percentile) == pytest.approx(expected_us, rel=2e-3, abs=1_100)
    assert measured.latency.get_value_at_percentile(74) <= 1
    assert measured.latency.get_max_value() == pytest.approx(1e6, rel=2e-3)
    stalled = sum(measured.service.get_value_at_percentile(p) > 2 for p in (90, 95, 99))
    assert stalled == 0, "from sending, 16 slow ones of 4,000 are all that is seen"


async def test_a_server_that_dies_leaves_every_moment_in_the_books(
    drive: Callable[..., tuple[Sender, Measurements]],
) -> None:
    """From the first second on nothing is answered: of 2,000 requests one in two waits for the timeout of 0.5 s."""
    sender, measured = drive(lambda now: now if now < 1 else None, seconds=2, until=4, timeout_s=0.5)
    assert measured.latency.get_total_count() == 2 * RATE
    assert sender.answers == RATE
    assert sender.requests + sender.never_sent == 2 * RATE
    assert sum(second.failed for second in measured.seconds) == RATE
    assert measured.latency.get_value_at_percentile(49) <= 1
    # A tenth of a second is the sweep's grain; a request sent just before its moment's timeout has another one.
    assert 500_000 <= measured.latency.get_value_at_percentile(52) <= 620_000
    assert measured.latency.get_max_value() <= 1_210_000


async def test_a_server_that_is_gone_leaves_no_moment_waiting(
    drive: Callable[..., tuple[Sender, Measurements]],
) -> None:
    """As above, and no connection can be opened again: the waiting ones are given up at their timeout all the same."""
    sender, measured = drive(lambda now: now if now < 1 else None, seconds=2, until=8, timeout_s=0.5, again=False)
    assert sender.never_sent == RATE - CONNECTIONS
    assert measured.latency.get_total_count() == 2 * RATE
    assert measured.latency.get_max_value() <= 620_000


async def test_what_waits_at_the_end_is_booked_with_the_time_that_it_waited(
    drive: Callable[..., tuple[Sender, Measurements]],
) -> None:
    """A run of 1 s that is over at once: 16 requests are under way, 984 were never sent, waiting 0-1 s so far."""
    sender, measured = drive(lambda now: None, seconds=1, until=1)
    assert (sender.requests, sender.never_sent) == (CONNECTIONS, RATE - CONNECTIONS)
    assert sender.errors["no answer: the run was over"] == CONNECTIONS
    assert measured.latency.get_total_count() == RATE
    assert measured.latency.get_value_at_percentile(50) == pytest.approx(500_000, rel=5e-3)


async def test_ctrl_c_gives_up_what_was_due_and_waits(drive: Callable[..., tuple[Sender, Measurements]]) -> None:
    sender, _ = drive(lambda now: now, seconds=0.1, until=0.2)
    sender.free.clear()
    sender.waiting.extend([0.1, 0.15])
    sender.stop()
    assert sender.over()
    assert sender.never_sent == 2
    assert list(sender.slice.missed) == [pytest.approx(100_000, abs=1), pytest.approx(50_000, abs=1)]


async def test_a_broken_connection_is_named_in_words(drive: Callable[..., tuple[Sender, Measurements]]) -> None:
    """The report is for readers who know no names of exceptions."""
    sender, _ = drive(lambda now: now, seconds=1, until=2)
    for problem in (ConnectionResetError(104, "Connection reset by peer"), ConnectionAbortedError()):
        connection = Connection(sender)
        connection.template, connection.at = sender.templates[0], 0.0
        sender.lost(connection, problem)
    assert dict(sender.errors) == {"no answer: Connection reset by peer": 1, "no answer: the connection broke": 1}

"""One destination's loop: a fault of its own stops no other, and costs no event."""

import asyncio
import time
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from sink.clickhouse import Stop
from sink.forward import head, run
from sink.forward.delivery import Delivery
from sink.forward.gate import StoredEvent
from sink.forward.pending import Key
from sink.settings import Settings
from tests.sink.forward.test_gate import ONE

EVENT_ID = "019aa0b1-c2d3-7e4f-8a9b-acbdcedfe0f1"
KEY = Key("shop", EVENT_ID)


def row(event_id: str = EVENT_ID, occurred_at: str = "1795334400.123") -> bytes:
    return f'["{event_id}","shop","purchase","tag","1795334400.5","{occurred_at}","more"]'.encode()


def forwarder(tmp_path: Path) -> run.Forwarder:
    async def bury(_: object) -> None:
        raise AssertionError

    delivery = Delivery("meta", ONE, folder=tmp_path, warehouse=None, transport=None, bury=bury)  # type: ignore[arg-type]
    return run.Forwarder(Settings(), delivery, lambda _: None)


def test_a_head() -> None:
    found = head.read(row())
    assert (found.key, found.occurred_ms()) == (KEY, 1_795_334_400_123)


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"{}",
        b"[1]",
        row(event_id="x"),
        row(event_id=EVENT_ID.upper()),
        *(row(occurred_at=at) for at in ("", "soon", "nan", "inf", "-1", "9e99", "1" * 400)),
    ],
)
def test_a_record_that_is_no_event_is_passed(tmp_path: Path, record: bytes) -> None:
    one = forwarder(tmp_path)
    one._take(TopicPartition("t", 0), 4, record, 0)
    assert len(one.pending) == 0
    assert one.pending.offsets() == {("t", 0): 5}


async def test_a_partition_that_goes_while_its_events_are_sent(tmp_path: Path) -> None:
    one = forwarder(tmp_path)
    one._take(TopicPartition("t", 0), 0, row(), 0)

    async def forward(_: object) -> frozenset[Key]:
        one.pending.forget({("t", 0)})
        return frozenset({KEY})

    one.delivery.forward = forward  # type: ignore[method-assign,assignment]
    await one._send(100)
    assert len(one.pending) == 0


async def test_an_event_that_the_sink_stores_late_is_not_given_up(tmp_path: Path) -> None:
    one = forwarder(tmp_path)
    one._take(TopicPartition("t", 0), 0, row(), 0)

    async def forward(_: object) -> frozenset[Key]:
        return frozenset({KEY})

    one.delivery.forward = forward  # type: ignore[method-assign,assignment]
    await one._send(2 * run.NOT_STORED_S)  # ClickHouse was away for longer than that; `bury` would fail
    assert KEY in one.pending


class Store:
    """A warehouse that has the event, at another time than that of the copy that was read."""

    def __init__(self, at_ms: int) -> None:
        self.at_ms = at_ms
        self.asked = 0

    async def events(self, *_: object) -> dict[str, StoredEvent]:
        return {}

    async def stored(self, site: str, ids: list[str]) -> dict[str, int]:
        self.asked += 1
        return dict.fromkeys(ids, self.at_ms)


@pytest.mark.parametrize(
    ("days", "waits"),
    [
        pytest.param(-7, 0, id="late-copy"),
        pytest.param(0, 1, id="refund-waits-for-its-order"),
        pytest.param(7, 1, id="a-later-copy-stands"),
    ],
)
async def test_a_copy_of_another_week_does_not_wait_for_hours(tmp_path: Path, days: int, waits: int) -> None:
    one = forwarder(tmp_path)
    at_ms = 1_795_334_400_123 + days * 86_400_000
    one.delivery._warehouse = store = Store(at_ms)  # type: ignore[assignment]
    one._take(TopicPartition("t", 0), 0, row(), 0)
    await one._send(time.monotonic())
    assert (len(one.pending), store.asked) == (1, 0)
    (waiting,) = one.pending._waiting.values()
    waiting.missed_since = time.monotonic() - run.COPIES_S - 1
    waiting.due = 0
    await one._send(time.monotonic())
    assert (len(one.pending), store.asked) == (waits, 1)
    assert one.pending.offsets() == {("t", 0): 1 - waits}
    if waits:
        assert waiting.occurred_ms == at_ms


async def test_a_fault_begins_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "FAULT_PAUSES_S", (0.0, 0.0))
    one = forwarder(tmp_path)
    stop = asyncio.Event()
    faults: list[Exception] = [KeyError("jane@shop.example"), RuntimeError()]
    said: list[str] = []

    async def consume(_: asyncio.Event) -> None:
        said.append(one.not_ready)
        if not faults:
            stop.set()
            return
        raise faults.pop(0)

    monkeypatch.setattr(one, "_consume", consume)
    await one.run(stop)
    assert said == ["starting", "meta: a fault: KeyError", "meta: a fault: RuntimeError"]


async def test_clickhouse_that_refuses_the_question_stops_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = forwarder(tmp_path)

    async def consume(_: asyncio.Event) -> None:
        raise Stop("no right")

    monkeypatch.setattr(one, "_consume", consume)
    with pytest.raises(Stop):
        await one.run(asyncio.Event())

"""One partition's worker with a broker and a ClickHouse that do as the test says."""

import asyncio
import time

import pytest
from aiokafka import ConsumerRecord, OffsetAndMetadata, TopicPartition
from aiokafka.errors import CommitFailedError

from sink.batch import Batch, Limits, is_row
from sink.clickhouse import Retry
from sink.partition_worker import PartitionWorker
from sink.protocol import Gone, Idle, Intent, Range, Refetching, State
from tests.waiting import until

TP = TopicPartition("hits.enriched", 0)


class Log:
    """The broker's side: records by offset (gaps are markers of transactions), and commits."""

    def __init__(self, offsets: list[int]) -> None:
        self.offsets = offsets
        self.at = 0
        self.commits: list[tuple[int, str]] = []
        self.refuse_after = 10**9
        self.most = 10**9
        """Records that come at once."""
        self.values: dict[int, bytes | None] = {}
        """Of the records that are no such rows as the others."""

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int, max_records: int
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        found = [offset for offset in self.offsets if offset >= self.at][: min(max_records, self.most)]
        if not found:
            await asyncio.sleep(min(timeout_ms, 20) / 1000)
            return {}
        self.at = found[-1] + 1
        values = [(offset, self.values.get(offset, f"[{offset}]\n".encode())) for offset in found]
        return {TP: [ConsumerRecord("t", 0, o, 7, 0, None, v, None, 0, len(v or b""), ()) for o, v in values]}

    async def commit(self, offsets: dict[TopicPartition, OffsetAndMetadata]) -> None:
        if len(self.commits) >= self.refuse_after:
            raise CommitFailedError("stale generation")
        self.commits += [(one.offset, one.metadata) for one in offsets.values()]

    async def position(self, partition: TopicPartition) -> int:
        return self.at

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.at = offset


class Rows:
    """ClickHouse's side."""

    def __init__(self, fail: int = 0) -> None:
        self.inserted: list[tuple[bytes, str]] = []
        self.fail = fail
        self.slots = 0
        self.most = 10**6

    async def insert(self, body: bytes, token: str) -> None:
        self.inserted.append((body, token))
        if self.fail:
            self.fail -= 1
            raise Retry("no answer")

    async def isolate(self, partition: TopicPartition, rows: Batch, *, careful: bool) -> frozenset[int]:
        return frozenset(index for index, row in enumerate(rows.rows) if not is_row(row))

    def room(self, begun: bool) -> int:
        return self.most

    def acquire(self, *, full: bool, of: TopicPartition | None = None, since: float = 0.0) -> float:
        self.slots += 1
        return 0.0

    async def slot_released(self, wait_s: float) -> None:
        await asyncio.sleep(wait_s)

    def release_slot(self) -> None:
        self.slots -= 1


def worker(
    log: Log, rows: Rows, state: State, *, intents: bool = True, limit: int = 4, stale: float = 100
) -> PartitionWorker:
    return PartitionWorker(
        TP, state, log, rows, Limits(limit, 10**6, 0.01), intents=intents, stale_after_s=stale, clock=time.monotonic
    )


async def drained(one: PartitionWorker, log: Log) -> None:
    task = asyncio.create_task(one.run())
    await until(lambda: log.at > log.offsets[-1] and not any(rows.offsets for rows in one.in_hand), "all stored")
    one.stopping = True
    async with asyncio.timeout(60):
        await task


async def test_each_batch_is_declared_inserted_and_closed() -> None:
    log, rows = Log([0, 1, 2, 3, 5, 6]), Rows()
    await drained(worker(log, rows, Idle(0)), log)
    assert log.commits == [(0, '{"v":1,"to":3,"at":7}'), (4, ""), (5, '{"v":1,"to":6,"at":7}'), (7, "")]
    assert rows.inserted == [
        (b"[0]\n[1]\n[2]\n[3]\n", "hits.enriched:0:0-3:7"),
        (b"[5]\n[6]\n", "hits.enriched:0:5-6:7"),
    ]
    assert rows.slots == 0


async def test_without_metadata_there_is_no_intent_and_no_token_outlives_the_sink() -> None:
    tokens = []
    for _ in range(2):
        log, rows = Log([0, 1]), Rows(fail=1)
        await drained(worker(log, rows, Idle(0), intents=False), log)
        assert log.commits == [(2, "")]
        assert [body for body, _ in rows.inserted] == [b"[0]\n[1]\n"] * 2
        tokens.append({token for _, token in rows.inserted})
    assert [len(one) for one in tokens] == [1, 1]
    assert tokens[0] != tokens[1]


async def test_a_retry_is_the_same_insert() -> None:
    log, rows = Log([0, 1]), Rows(fail=2)
    await drained(worker(log, rows, Idle(0)), log)
    assert len(rows.inserted) == 3
    assert len(set(rows.inserted)) == 1


@pytest.mark.parametrize("most", [1, 2, 3, 4, 9])
async def test_however_records_come_what_is_stored_is_the_same(most: int) -> None:
    """Some are no rows; a repeat of the batch, taken otherwise, must be the same insert."""
    log, rows = Log(list(range(6))), Rows(fail=1)
    log.most = most
    log.values = {1: b"[1]\n[x]\n", 2: None, 3: b"x", 4: b"]\n["}
    await drained(worker(log, rows, Idle(0), limit=6), log)
    assert rows.inserted == [(b"[0]\n[5]\n", "hits.enriched:0:0-5:7")] * 2


async def test_before_a_late_retry_the_broker_is_asked_whose_partition_it_is() -> None:
    log, rows = Log([0, 1]), Rows(fail=3)
    log.refuse_after = 1
    one = worker(log, rows, Idle(0), stale=0.05)
    async with asyncio.timeout(60):
        await one.run()
    assert isinstance(one.state, Gone)
    assert log.commits == [(0, '{"v":1,"to":1,"at":7}')]
    assert rows.slots == 0


async def test_an_intent_is_fetched_again_exactly() -> None:
    log, rows = Log([0, 1, 3, 4, 5, 6, 7]), Rows()
    intent = Intent(1, 5, 7)
    await drained(worker(log, rows, Refetching(intent, Range(1, 5)), limit=100), log)
    assert rows.inserted[0] == (b"[1]\n[3]\n[4]\n[5]\n", "hits.enriched:0:1-5:7")
    assert rows.inserted[1][0] == b"[6]\n[7]\n"


async def test_an_intent_whose_records_are_gone_is_closed() -> None:
    log, rows = Log([6]), Rows()
    await drained(worker(log, rows, Refetching(Intent(1, 5, 7), Range(3, 5))), log)
    assert log.commits[0] == (6, "")
    assert [body for body, _ in rows.inserted] == [b"[6]\n"]


async def test_who_leaves_starts_nothing_more() -> None:
    log, rows = Log([0]), Rows()
    one = worker(log, rows, Idle(0))
    one.leaving = True
    async with asyncio.timeout(60):
        await one.run()
    assert (log.commits, rows.inserted) == ([], [])


async def test_without_memory_what_is_in_hand_goes_first() -> None:
    log, rows = Log(list(range(10))), Rows()
    one = worker(log, rows, Idle(0), limit=100)
    rows.room = lambda begun: 0 if begun else 2000  # type: ignore[method-assign]
    await drained(one, log)
    assert [body for body, _ in rows.inserted] == [f"[{n}]\n[{n + 1}]\n".encode() for n in range(0, 10, 2)]

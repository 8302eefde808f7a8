"""`reset-offsets`: rows that were deleted, or that a restore does not have, are stored again from Kafka."""

import asyncio
from datetime import UTC, datetime

import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from sink.commands.reset_offsets import plan
from sink.protocol import Committed, Intent
from tests.processes import Program
from tests.sink.conftest import Bench
from tests.sink.kafka import send
from tests.sink.rows import row
from tests.waiting import until

OFFSETS = st.integers(0, 1000)
INTENTS = st.none() | st.tuples(st.integers(0, 100), st.integers(0, 10))


@given(
    st.dictionaries(st.integers(0, 5), st.tuples(OFFSETS, INTENTS, st.integers(0, 50))), st.lists(OFFSETS, min_size=6)
)
def test_no_partition_moves_forward_and_all_that_move_have_one_new_epoch(
    commits: dict[int, tuple[int, tuple[int, int] | None, int]], targets: list[int]
) -> None:
    found = {
        TopicPartition("t", number): Committed(
            offset, None if intent is None else Intent(offset, offset + intent[0], intent[1]), epoch
        )
        for number, (offset, intent, epoch) in commits.items()
    }
    starts = {TopicPartition("t", number): 0 for number in range(6)}
    chosen = plan(found, starts, {TopicPartition("t", number): targets[number] for number in range(6)}, 10)
    for tp, one in chosen.items():
        assert one.intent is None
        assert one.offset <= targets[tp.partition]
        if tp in found:
            assert one.offset <= found[tp].offset
            assert one.epoch > found[tp].epoch
    assert len({one.epoch for one in chosen.values()}) <= 1


@pytest.mark.parametrize("point", ["--earliest", "--since"])
async def test_deleted_rows_are_stored_again_each_once(bench: Bench, point: str) -> None:
    began = datetime.now(UTC)
    await send(bench.broker.bootstrap, bench.enriched, [row(number) for number in range(400)])
    sink = bench.sink()
    await stored(bench, sink, 400)
    if bench.broker.commit_metadata:  # Tansu takes commits of anybody
        refused = bench.sink("reset-offsets", "--earliest")
        assert await asyncio.to_thread(refused.wait, 60) == 1
        assert "stop every sink" in refused.output()
    assert await asyncio.to_thread(sink.terminate) == 0
    client = bench.storage.client()
    client.command("DELETE FROM pharos.event_log WHERE 1")
    client.close()
    assert bench.count() == (0, 0)

    since = (point, began.isoformat()) if point == "--since" else (point,)

    looked = bench.sink("reset-offsets", *since, "--dry-run")
    assert await asyncio.to_thread(looked.wait, 60) == 0, looked.output()
    assert "nothing was changed" in looked.output()
    again = bench.sink()
    await until(lambda: asyncio.to_thread(lambda: bench.lag(again) == 0), "a sink that has nothing to do")
    assert bench.count() == (0, 0)
    assert await asyncio.to_thread(again.terminate) == 0

    done = bench.sink("reset-offsets", *since)
    assert await asyncio.to_thread(done.wait, 60) == 0, done.output()
    assert "partition 0: offset 100 -> 0, epoch " in done.output()
    for _ in range(2):
        # The epoch is in each commit, so that a second start neither stops nor stores anything twice.
        sink = bench.sink()
        await stored(bench, sink, 400)
        assert await asyncio.to_thread(sink.terminate) == 0


async def stored(bench: Bench, sink: Program, rows: int) -> None:
    await until(lambda: asyncio.to_thread(lambda: bench.count() == (rows, rows)), f"{rows} rows")
    await until(lambda: asyncio.to_thread(lambda: bench.lag(sink) == 0), "all committed")

"""A replay as analysts see it: in `pharos.events` later rules' rows replace earlier ones, and no event is doubled."""

import asyncio
from collections.abc import Callable, Iterator

import msgspec
import pytest

from collector.contract import Hit
from collector.contract import encode as encode_hit
from enricher.commands.replay import Wanted, replay
from enricher.contract import decode_row, encode_row
from enricher.row.enrich import Enricher
from enricher.rules.event_id import RULES, version
from enricher.rules.sent_fields import Refusal
from enricher.tables import load_enricher
from tests.brokers import Tansu
from tests.clickhouse import ClickHouse
from tests.enricher.stream.test_stream import hit, read, running, topics, write
from tests.processes import Program
from tests.sink.conftest import Bench
from tests.waiting import until

HITS = 60


@pytest.fixture(scope="module")
def enricher() -> Enricher:
    return load_enricher()


@pytest.fixture
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    clickhouse = ClickHouse(tmp_path_factory.mktemp("clickhouse"), schema=True)
    clickhouse.start()
    yield clickhouse
    clickhouse.kill()


def by_rules(enricher: Enricher, rules: int) -> Callable[[Hit], bytes | Refusal]:
    """Enrichment as another version of the rules would do it: another campaign, its own version."""

    def enrich(given: Hit) -> bytes | Refusal:
        row = enricher.enrich(given)
        assert isinstance(row, bytes)
        made = version(given.kind, given.at, rules)
        return encode_row(
            msgspec.structs.replace(decode_row(row), campaign=f"of rules {rules}", enriched_by=rules, version=made)
        )

    return enrich


async def test_later_rules_replace_what_is_stored_and_again_changes_nothing(
    tansu: Tansu, storage: ClickHouse, enricher: Enricher, start: Callable[..., Program]
) -> None:
    settings = await topics(tansu)
    bench = Bench(tansu, storage, start)
    bench.enriched, bench.dead = settings.topic_enriched, settings.topic_dead
    bench.sink()
    await write(tansu, settings.topic_raw, [encode_hit(hit(number)) for number in range(HITS)])
    async with running(settings, enricher):
        await read(tansu, settings.topic_enriched, HITS)

    marks = 0

    async def stored() -> list[tuple[object, ...]]:
        """Return every event, once all that was written is stored: behind it each partition is given a mark."""
        nonlocal marks
        marks += 1
        plain = enricher.enrich(hit(0))
        assert isinstance(plain, bytes)
        ids = [f"ffffffff-0000-4000-8000-{marks:08x}{partition:04x}" for partition in range(4)]
        mark = msgspec.structs.replace(decode_row(plain), site="mark")
        await write(
            tansu, settings.topic_enriched, [encode_row(msgspec.structs.replace(mark, event_id=each)) for each in ids]
        )
        await until(lambda: asyncio.to_thread(lambda: bench.count("events")[1] >= HITS + 4 * marks), "all is stored")
        return await asyncio.to_thread(_events, storage)

    first = await stored()
    assert [row[-1] for row in first] == [RULES] * HITS

    everything = Wanted(settings.topic_raw, 0, 2**42)
    for rules in (RULES + 1, RULES + 1, RULES):
        outcome = await replay(settings, everything, by_rules(enricher, rules), lambda *_: None)
        assert outcome.results == {"enriched": HITS}
        again = await stored()
        assert [row[0] for row in again] == [row[0] for row in first], "the same events, each once"
        assert {row[1:] for row in again} == {(f"of rules {RULES + 1}", RULES + 1)}, "the latest rules stand"


def _events(storage: ClickHouse) -> list[tuple[object, ...]]:
    client = storage.client()
    try:
        asked = "SELECT toString(event_id), campaign, enriched_by FROM pharos.events WHERE site = 'shop' ORDER BY 1"
        return [tuple(row) for row in client.query(asked).result_rows]
    finally:
        client.close()

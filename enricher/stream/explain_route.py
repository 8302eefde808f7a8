"""The admin port's `/explain`: the hit behind a row, found in `hits.raw` again, and why it became that row.

A consumer of its own, in no group, reads a bounded number of records from the row's time of receipt on; one search at a
time. The stream is not disturbed but for the CPU of that search.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec
import orjson
from aiohttp import web
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from collector.contract import Hit
from collector.contract import decode as decode_hit
from enricher.contract import decode_row
from enricher.row.enrich import Enricher
from enricher.row.steps import Explainer, shown
from enricher.rules.sent_fields import Refusal
from enricher.settings import Settings
from stage.aiokafka_internals import stop_client
from stage.kafka import access

MOST_RECORDS: Final = 200_000
"""Records that one search reads."""
SEARCH_S: Final = 5.0
_BEFORE_MS: Final = 2_000
"""A record may have a slightly earlier timestamp than its hit has."""
_FETCH_MS: Final = 500
_CHUNK: Final = 5_000


class NotFound(Exception):
    """The hit is not in the records that were searched; the message says which these were."""


async def find(settings: Settings, at_ms: int, is_wanted: Callable[[Hit], bool], deadline_s: float = SEARCH_S) -> Hit:
    """Return the hit of `hits.raw` that was received at `at_ms` and that `is_wanted` accepts.

    Raises:
        NotFound: it is not there, or not within MOST_RECORDS and `deadline_s`.
        KafkaError: the broker is away, or has no such topic.
    """
    mark = b'"at":%d' % at_ms
    consumer = AIOKafkaConsumer(
        settings.topic_raw,  # without a group: every partition
        bootstrap_servers=settings.kafka,
        **access(settings),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    await consumer.start()
    read = 0
    try:
        async with asyncio.timeout(deadline_s):
            ends = await _seek(consumer, at_ms - _BEFORE_MS)
            while read < MOST_RECORDS:
                taken = await consumer.getmany(timeout_ms=_FETCH_MS, max_records=_CHUNK)
                for records in taken.values():
                    read += len(records)
                    for record in records:
                        if mark in (record.value or b"") and (hit := _hit(record.value, at_ms)) and is_wanted(hit):
                            return hit
                if not taken and not [each for each, end in ends.items() if await consumer.position(each) < end]:
                    raise NotFound(f"not among the {read:,} hits of {settings.topic_raw} since then")
    except TimeoutError:
        raise NotFound(f"not among the first {read:,} hits since then, in {deadline_s:g} s") from None
    finally:
        await stop_client(consumer)
    raise NotFound(f"not among the first {read:,} hits since then")


async def _seek(consumer: AIOKafkaConsumer, since_ms: int) -> dict[TopicPartition, int]:
    """Put the consumer where the hits since a time begin; return the end of each partition."""
    partitions = sorted(consumer.assignment())
    ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
    begins = await consumer.beginning_offsets(partitions)
    try:
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, max(since_ms, 0)))
    except KafkaError:  # a broker without an index of times: read from the beginning
        found = begins
    for each in partitions:
        start = found.get(each)
        # None: every record is earlier.
        offset = ends[each] if start is None else getattr(start, "offset", start)
        consumer.seek(each, max(offset, begins[each]))
    return ends


def _hit(record: bytes, at_ms: int) -> Hit | None:
    try:
        hit = decode_hit(record)
    except (msgspec.DecodeError, UnicodeError):
        return None
    return hit if hit.at == at_ms else None


class ExplainRoute:
    """Answers `GET /explain?event_id=...&at=MS`, where `at` is the row's `received_at`."""

    def __init__(self, settings: Settings, enricher: Enricher) -> None:
        self._settings: Final = settings
        self._enricher: Final = enricher
        self._explainer: Final = Explainer(enricher)
        self._one: Final = asyncio.Lock()

    async def answer(self, request: web.Request) -> web.Response:
        """Return `{"hit": ..., "steps": [...]}`; 400 for a wrong question, 404 with a reason, 503 without Kafka."""
        event_id, at = request.query.get("event_id", ""), request.query.get("at", "")
        if not event_id or not at.isascii() or not at.isdigit() or len(at) > 15:
            return _json(400, {"problem": "give event_id, and at in milliseconds"})

        def is_wanted(hit: Hit) -> bool:
            made = self._enricher.enrich(hit)
            return not isinstance(made, Refusal) and decode_row(made).event_id == event_id

        try:
            async with self._one:
                hit = await find(self._settings, int(at), is_wanted)
        except NotFound as why:
            return _json(404, {"problem": f"{self._settings.topic_raw} no longer has the hit, or not yet: {why}"})
        except (KafkaError, OSError) as problem:
            return _json(503, {"problem": f"Kafka: {problem}"})
        steps = self._explainer.explain(hit)
        if isinstance(steps, Refusal):
            return _json(404, {"problem": f"the hit became no row: {steps.reason}"})
        return _json(200, {"hit": shown(hit), "steps": [one._asdict() for one in steps]})


def _json(status: int, said: dict[str, Any]) -> web.Response:
    return web.Response(
        status=status,
        body=orjson.dumps(said),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )

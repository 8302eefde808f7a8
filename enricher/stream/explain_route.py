"""The admin port's `/explain`: the hit behind a row, found in `hits.raw` again, and why it became that row.

It reads a bounded number of records from the row's time of receipt on; one search at a time. The stream is not
disturbed but for the CPU of that search.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

import msgspec
from aiohttp import web
from aiokafka.errors import KafkaError

from collector.contract import Hit
from collector.contract import decode as decode_hit
from enricher.contract import decode_row
from enricher.row.enrich import Enricher
from enricher.row.steps import Explainer, shown
from enricher.rules.sent_fields import Refusal
from enricher.settings import Settings
from enricher.stream.topic_search import CHUNK, json_answer, records

MOST_RECORDS: Final = 200_000
"""Records that one search reads."""
SEARCH_S: Final = 5.0
_BEFORE_MS: Final = 2_000
"""A record may have a slightly earlier timestamp than its hit has."""
_CHUNK: Final = CHUNK


class NotFound(Exception):
    """The hit is not in the records that were searched; the message says which these were."""


async def find(settings: Settings, at_ms: int, is_wanted: Callable[[Hit], bool], deadline_s: float = SEARCH_S) -> Hit:
    """Return the hit of `hits.raw` that was received at `at_ms` and that `is_wanted` accepts.

    Raises:
        NotFound: it is not there, or not within MOST_RECORDS and `deadline_s`.
        KafkaError: the broker is away, or has no such topic.
    """
    mark = b'"at":%d' % at_ms
    read = 0
    try:
        async with (
            asyncio.timeout(deadline_s),
            aclosing(records(settings, settings.topic_raw, at_ms - _BEFORE_MS, _CHUNK)) as taken,
        ):
            async for chunk in taken:
                read += len(chunk)
                for record in chunk:
                    if mark in (record.value or b"") and (hit := _hit(record.value, at_ms)) and is_wanted(hit):
                        return hit
                if read >= MOST_RECORDS:
                    raise NotFound(f"not among the first {read:,} hits since then")
    except TimeoutError:
        raise NotFound(f"not among the first {read:,} hits since then, in {deadline_s:g} s") from None
    raise NotFound(f"not among the {read:,} hits of {settings.topic_raw} since then")


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
            return json_answer(400, {"problem": "give event_id, and at in milliseconds"})

        def is_wanted(hit: Hit) -> bool:
            made = self._enricher.enrich(hit)
            return not isinstance(made, Refusal) and decode_row(made).event_id == event_id

        try:
            async with self._one:
                hit = await find(self._settings, int(at), is_wanted)
        except NotFound as why:
            return json_answer(404, {"problem": f"{self._settings.topic_raw} no longer has the hit, or not yet: {why}"})
        except (KafkaError, OSError) as problem:
            return json_answer(503, {"problem": f"Kafka: {problem}"})
        steps = self._explainer.explain(hit)
        if isinstance(steps, Refusal):
            return json_answer(404, {"problem": f"the hit became no row: {steps.reason}"})
        return json_answer(200, {"hit": shown(hit), "steps": [one._asdict() for one in steps]})

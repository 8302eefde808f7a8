"""The admin port's `/dead`: how many dead letters some days have, by stage and reason. Nothing else of them leaves."""

import asyncio
from collections import Counter
from contextlib import aclosing
from datetime import date, datetime, time
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from aiohttp import web
from aiokafka.errors import KafkaError

from enricher.settings import Settings
from enricher.stream.topic_search import json_answer, records

MOST_LETTERS: Final = 100_000
"""Letters that one question reads."""
READ_S: Final = 5.0


class _Letter(msgspec.Struct):
    """What is counted of an `enricher.contract.DeadHit`."""

    reason: str
    stage: str
    at: int
    records: int = 1


class DeadRoute:
    """Answers `GET /dead?since=DAY&until=DAY&tz=ZONE`: letters about records of [since, until)."""

    def __init__(self, settings: Settings) -> None:
        self._settings: Final = settings
        self._one: Final = asyncio.Lock()

    async def answer(self, request: web.Request) -> web.Response:
        """Return `{"letters": [{"stage", "reason", "records"}], "complete": ...}`; 400 for no days, 503 without Kafka.

        Not complete: there were more letters than are read, or Kafka was slow.
        """
        try:
            zone = ZoneInfo(request.query.get("tz", "UTC"))
            since, until = (_moment(request.query.get(name, ""), zone) for name in ("since", "until"))
        except (ValueError, KeyError, OSError):
            return json_answer(400, {"problem": "give since and until as days, and tz as a time zone"})
        try:
            async with self._one:
                counted, complete = await count(self._settings, since, until)
        except (KafkaError, OSError) as problem:
            return json_answer(503, {"problem": f"Kafka: {problem}"})
        letters = [
            {"stage": stage, "reason": reason, "records": number} for (stage, reason), number in counted.most_common()
        ]
        return json_answer(200, {"letters": letters, "complete": complete})


async def count(settings: Settings, since_ms: int, until_ms: int) -> tuple[Counter[tuple[str, str]], bool]:
    """Return the number of records that went to `hits.dead`, by (stage, reason), and whether all letters were read.

    Raises:
        KafkaError: the broker is away, or has no such topic.
    """
    found: Counter[tuple[str, str]] = Counter()
    decode = msgspec.json.Decoder(_Letter).decode
    read = 0
    try:
        async with asyncio.timeout(READ_S), aclosing(records(settings, settings.topic_dead, since_ms)) as taken:
            # A letter is written after the record that it is about.
            async for chunk in taken:
                for record in chunk:
                    letter = decode(record.value)
                    if since_ms <= letter.at < until_ms:
                        found[letter.stage, letter.reason] += letter.records
                read += len(chunk)
                if read >= MOST_LETTERS:
                    return found, False
    except TimeoutError:
        return found, False
    return found, True


def _moment(day: str, zone: ZoneInfo) -> int:
    """Return the beginning of a day in milliseconds since the epoch. Raises ValueError."""
    return round(datetime.combine(date.fromisoformat(day), time(), zone).timestamp() * 1000)

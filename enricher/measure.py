"""`python -m enricher measure`: what enriching costs, of hits given as JSON lines, without Kafka.

CPU microseconds a hit, each step on its own; `warm` is the second pass over the same hits.
"""

import sys
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import orjson

from collector.contract import Hit, decode
from enricher.contract import Event, encode_row
from enricher.said import Refusal

Item = TypeVar("Item")
Result = TypeVar("Result")


def _timed(step: Callable[[Item], Result], items: Sequence[Item]) -> tuple[float, list[Result]]:
    before = time.process_time()
    results = [step(item) for item in items]
    return (time.process_time() - before) / max(1, len(items)) * 1e6, results


def main(enrich: Callable[[Hit], Event | Refusal]) -> int:
    """Print one JSON object of figures."""
    records = [line for line in sys.stdin.buffer.read().splitlines() if line]
    decoding, hits = _timed(decode, records)
    cold, _ = _timed(enrich, hits)
    warm, judged = _timed(enrich, hits)
    encoding, _ = _timed(encode_row, [each for each in judged if isinstance(each, Event)])
    figures = {
        "decode_us_per_hit": decoding,
        "enrich_cold_us_per_hit": cold,
        "enrich_warm_us_per_hit": warm,
        "encode_us_per_hit": encoding,
    }
    sys.stdout.buffer.write(orjson.dumps(figures) + b"\n")
    return 0

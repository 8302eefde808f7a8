"""`python -m enricher measure`: what enriching costs, of hits given as JSON lines, without Kafka.

CPU microseconds a hit: decoding; the rest of the way to the row; the latter once more, when everything is remembered.
"""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import orjson

from collector.contract import decode
from enricher.enrich import Enricher

_PIECE: Final = 500

Item = TypeVar("Item")
Result = TypeVar("Result")


def _timed(step: Callable[[Item], Result], items: Sequence[Item]) -> tuple[float, list[Result]]:
    before = time.process_time()
    results = [step(item) for item in items]
    return (time.process_time() - before) * 1e6, results


def main(enricher: Enricher) -> int:
    """Print one JSON object of figures."""
    records = [line for line in sys.stdin.buffer.read().splitlines() if line]
    decoding, hits = _timed(decode, records)
    pieces = [hits[start : start + _PIECE] for start in range(0, len(hits), _PIECE)]
    cold, _ = _timed(enricher.enrich_all, pieces)
    warm, _ = _timed(enricher.enrich_all, pieces)
    count = max(1, len(hits))
    figures = {
        "decode_us_per_hit": decoding / count,
        "enrich_cold_us_per_hit": cold / count,
        "enrich_warm_us_per_hit": warm / count,
    }
    sys.stdout.buffer.write(orjson.dumps(figures) + b"\n")
    return 0

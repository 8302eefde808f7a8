"""`python -m enricher measure`: what enriching costs, of hits given as JSON lines, without Kafka.

CPU microseconds a hit, each step on its own: decoding, saying what sent the hits (a thousand at a time), the rest of
the way to the row (a slice at a time, as the stream does); the latter once more, when everything is remembered.
"""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import orjson

from collector.contract import decode
from enricher.enrich import Enricher

_PIECE: Final = 1000
_SLICE: Final = 125

Item = TypeVar("Item")
Result = TypeVar("Result")


def _timed(step: Callable[[Item], Result], items: Sequence[Item]) -> tuple[float, list[Result]]:
    before = time.process_time()
    results = [step(item) for item in items]
    return (time.process_time() - before) / max(1, len(items)) * 1e6, results


def main(enricher: Enricher) -> int:
    """Print one JSON object of figures."""
    records = [line for line in sys.stdin.buffer.read().splitlines() if line]
    decoding, hits = _timed(decode, records)
    pieces, slices = ([hits[start : start + size] for start in range(0, len(hits), size)] for size in (_PIECE, _SLICE))
    judging, _ = _timed(enricher.meet, pieces)
    cold, _ = _timed(enricher.enrich_all, slices)
    warm, _ = _timed(enricher.enrich_all, slices)
    a_hit = 1 / max(1, len(hits))
    figures = {
        "decode_us_per_hit": decoding,
        "new_agents_us_per_hit": judging * len(pieces) * a_hit,
        "enrich_cold_us_per_hit": cold * len(slices) * a_hit,
        "enrich_warm_us_per_hit": warm * len(slices) * a_hit,
    }
    sys.stdout.buffer.write(orjson.dumps(figures) + b"\n")
    return 0

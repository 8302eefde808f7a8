"""`python -m enricher measure`: what enriching costs, of hits given as JSON lines, without Kafka.

CPU microseconds a hit, each step on its own: meeting new user agents, a thousand hits at a time as the stream does; the
first pass over the hits, and the second, when everything is remembered.
"""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import orjson

from collector.contract import decode
from enricher.contract import Event, encode_row
from enricher.enrich import Enricher

_PIECE: Final = 1000

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
    pieces = [hits[start : start + _PIECE] for start in range(0, len(hits), _PIECE)]
    meeting, _ = _timed(enricher.meet, pieces)
    cold, _ = _timed(enricher.enrich, hits)
    warm, judged = _timed(enricher.enrich, hits)
    encoding, _ = _timed(encode_row, [each for each in judged if isinstance(each, Event)])
    figures = {
        "decode_us_per_hit": decoding,
        "meet_us_per_hit": meeting * len(pieces) / max(1, len(hits)),
        "enrich_cold_us_per_hit": cold,
        "enrich_warm_us_per_hit": warm,
        "encode_us_per_hit": encoding,
    }
    sys.stdout.buffer.write(orjson.dumps(figures) + b"\n")
    return 0

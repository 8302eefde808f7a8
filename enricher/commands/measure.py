"""`python -m enricher measure`: the cost of enrichment without Kafka, of hits given as JSON lines.

CPU microseconds a hit: decoding; from the hit to the row; the same again with full caches. Hits and rows are freed in
blocks of 500, as in the stream. Unlike the stream, each block reads its own new user agents (the stream reads those of
a whole chunk together, which is cheaper), and nothing is written into batches.
"""

import sys
import time
from collections.abc import Sequence
from typing import Final

import orjson

from collector.contract import decode
from enricher.row.enrich import Enricher

_TURN: Final = 500


def _timed(enricher: Enricher, records: Sequence[bytes]) -> tuple[float, float]:
    """Return the seconds that decoding and enriching take."""
    decoding = enriching = 0.0
    for start in range(0, len(records), _TURN):
        began = time.process_time()
        hits = list(map(decode, records[start : start + _TURN]))
        decoded = time.process_time()
        enricher.enrich_all(hits)
        decoding += decoded - began
        enriching += time.process_time() - decoded
    return decoding, enriching


def main(enricher: Enricher) -> int:
    """Print one JSON object of figures."""
    records = [line for line in sys.stdin.buffer.read().splitlines() if line]
    decoding, cold = _timed(enricher, records)
    _, warm = _timed(enricher, records)
    us_a_hit = 1e6 / max(1, len(records))
    figures = {
        "decode_us_per_hit": decoding * us_a_hit,
        "enrich_cold_us_per_hit": cold * us_a_hit,
        "enrich_warm_us_per_hit": warm * us_a_hit,
    }
    sys.stdout.buffer.write(orjson.dumps(figures) + b"\n")
    return 0

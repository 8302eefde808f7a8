"""`python -m loadtest.bench.enricher_memory --hits N`: the enricher's memory over millions of hits, read on the way."""

import argparse
import asyncio
import secrets
import sys
import tempfile
from pathlib import Path
from typing import Final

from loadtest.bench.broker import broker
from loadtest.bench.enricher import enriching, fill, until_committed
from loadtest.check.processes import rss_bytes
from stage import version

_AT: Final = (0.1, 0.2, 0.5, 1.0)


def main() -> int:
    """Print a line at a tenth, a fifth, half and the whole of the hits."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.bench.enricher_memory",
        description="Measure the enricher's memory over millions of hits.",
    )
    version.add_option(parser)
    parser.add_argument("--hits", type=int, default=10_000_000, help="hits to send (default %(default)s)")
    hits: int = parser.parse_args().hits
    with tempfile.TemporaryDirectory() as name, broker(Path(name)) as kafka:
        raw = f"raw.{secrets.token_hex(4)}"
        asyncio.run(fill(kafka, raw, hits))
        with enriching(kafka, raw, Path(name), "at_least_once") as one:
            for share in _AT:
                count = int(hits * share)
                asyncio.run(until_committed(kafka, one.group, raw, count, one.program))
                now, peak = rss_bytes(one.program.pid) / 1e6, one.program.rss_peak_bytes() / 1e6
                print(f"{count:>12,} hits: {now:.0f} MB, at most {peak:.0f} MB so far", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

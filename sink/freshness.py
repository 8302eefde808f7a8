"""When a batch's hits were received, from a sample of its rows: for the freshness metric alone.

The sink reads no other rows. The first four columns need no escapes, so the fifth is between the ninth and tenth quote.
"""

from collections.abc import Sequence
from typing import Final

MOST: Final = 16
"""Rows sampled of one fetch."""
KEPT: Final = 128
"""Rows that represent a batch."""


def sample(rows: Sequence[bytes]) -> list[tuple[float, int]]:
    """Return (`received_at` in seconds since the epoch, rows that it represents), evenly spread, at most MOST.

    A broken row is left out with the rows that it represents.
    """
    pieces = min(MOST, len(rows))
    found: list[tuple[float, int]] = []
    for piece in range(pieces):
        first, end = len(rows) * piece // pieces, len(rows) * (piece + 1) // pieces
        parts = rows[(first + end - 1) // 2].split(b'"', 10)
        try:
            found.append((float(parts[9]), end - first))
        except (IndexError, ValueError):
            continue
    return found


def thinned(found: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """Return `found`, merged where it is more than KEPT: neighbours become one, as old as the older of them.

    A merged sample represents a small share of all rows at most: otherwise the oldest rows would be lost among the
    newest.
    """
    if len(found) <= KEPT:
        return found
    share = 4 * sum(rows for _, rows in found) / KEPT
    fewer: list[tuple[float, int]] = []
    for at, rows in found:
        if fewer and fewer[-1][1] + rows <= share:
            before_at, before_rows = fewer.pop()
            fewer.append((min(before_at, at), before_rows + rows))
        else:
            fewer.append((at, rows))
    return fewer

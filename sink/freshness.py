"""When a batch's hits were received, by few of its rows: pure, for the metric alone.

Rule: rows stay unread but for these, few of what comes at once and not many of a batch. The first four columns need no
escapes, so that the fifth stands between the ninth quote and the tenth.
"""

from collections.abc import Sequence
from typing import Final

MOST: Final = 16
"""Rows that are looked at, of what comes at once."""
KEPT: Final = 128
"""Rows that stand for a batch."""


def sample(rows: Sequence[bytes]) -> list[tuple[float, int]]:
    """Return (`received_at` in seconds since the epoch, how many rows it stands for), evenly spread, MOST at most.

    A row that tells none, being broken, is left out with what it stands for.
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
    """Return `found`, or where that is more than KEPT, fewer: neighbours become one, as old as the older of them.

    None that is put together stands for more than a small share of all rows: what waits longest would else be lost
    among what came last.
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
